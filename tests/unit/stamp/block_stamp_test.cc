#include "client/stamp/block_stamp.h"

#include <array>
#include <cstring>

#include <catch2/catch.hpp>

namespace sluice::stamp {
namespace {

using Block = std::array<std::byte, kBlockBytes>;

Block stamped(std::uint64_t block, std::uint64_t version) {
  Block bytes{};
  write_stamp({block, version}, bytes);
  return bytes;
}

TEST_CASE("a stamp is read as it was written", "[stamp]") {
  const ReadStamp read = read_stamp(7, stamped(7, 3));
  CHECK(read.damage == Damage::none);
  CHECK(read.stamp.block == 7);
  CHECK(read.stamp.version == 3);
}

TEST_CASE("a block of zeroes was never written", "[stamp]") {
  const ReadStamp read = read_stamp(7, Block{});
  CHECK(read.damage == Damage::none);
  CHECK(read.stamp.version == 0);
}

TEST_CASE("a block at another block's place is noticed", "[stamp]") {
  CHECK(read_stamp(8, stamped(7, 3)).damage == Damage::misplaced);
}

TEST_CASE("sectors of two versions are a torn block, wherever it was torn", "[stamp]") {
  const Block older = stamped(7, 3);
  for (std::size_t at = 512; at < kBlockBytes; at += 512) {
    Block torn = stamped(7, 4);
    std::memcpy(torn.data() + at, older.data() + at, kBlockBytes - at);
    CHECK(read_stamp(7, torn).damage == Damage::torn);
  }
}

TEST_CASE("a sector of zeroes in a stamped block is a torn block", "[stamp]") {
  Block torn = stamped(7, 4);
  std::memset(torn.data() + 1024, 0, 512);
  CHECK(read_stamp(7, torn).damage == Damage::torn);
}

TEST_CASE("any bit that is wrong is noticed", "[stamp]") {
  for (std::size_t byte = 0; byte < kBlockBytes; byte += 13) {
    Block damaged = stamped(7, 4);
    damaged[byte] ^= std::byte{1};
    CHECK(read_stamp(7, damaged).damage != Damage::none);
  }
}

}  // namespace
}  // namespace sluice::stamp
