#include "storage_node/backends/volume_format.h"

#include <array>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

#include <catch2/catch.hpp>

namespace sluice::storage_node {
namespace {

Superblock sample(std::uint64_t sequence) {
  return {.sequence = sequence,
          .state = {.volume = VolumeId(12),
                    .size = ByteCount(std::uint64_t{10} << 30U),
                    .block_size = 4096,
                    .fence = make_gvn(ManagerVersion(3), OpenVersion(static_cast<std::uint32_t>(sequence))),
                    .manager_version = ManagerVersion(4),
                    .write_back_open = sequence % 2 == 1,
                    .incomplete = sequence % 3 == 1}};
}

std::array<SuperblockBytes, 2> copies(std::uint64_t first, std::uint64_t second) {
  return {encode(sample(first)), encode(sample(second))};
}

TEST_CASE("A superblock is read as it was written", "[volume_format]") {
  for (std::uint64_t sequence = 1; sequence < 7; ++sequence) {
    const auto pair = decode_superblocks(copies(sequence, sequence), "volume");
    REQUIRE(pair);
    CHECK(pair->newest == sample(sequence));
    CHECK(pair->same);
  }
}

TEST_CASE("Of two intact copies the newer one counts, wherever it is", "[volume_format]") {
  const auto second = decode_superblocks(copies(5, 6), "volume");
  REQUIRE(second);
  CHECK(second->newest == sample(6));
  CHECK_FALSE(second->same);
  CHECK(second->stale == 0);
  const auto first = decode_superblocks(copies(6, 5), "volume");
  REQUIRE(first);
  CHECK(first->newest == sample(6));
  CHECK(first->stale == 1);
}

TEST_CASE("Any one damaged byte of a copy is found, and the other copy counts", "[volume_format]") {
  for (const std::size_t copy : {0U, 1U}) {
    for (std::size_t at = 0; at < kSuperblockSize; ++at) {
      auto both = copies(5, 5);
      both[copy][at] ^= std::byte{0x10};
      const auto pair = decode_superblocks(both, "volume");
      REQUIRE(pair);
      REQUIRE(pair->newest == sample(5));
      REQUIRE_FALSE(pair->same);
      REQUIRE(pair->stale == copy);
    }
  }
}

TEST_CASE("A copy that was written up to any byte is the old one, the new one, or damaged",
          "[volume_format]") {
  const auto before = encode(sample(5));
  const auto after = encode(sample(6));
  for (std::size_t cut = 0; cut <= kSuperblockSize; ++cut) {
    SuperblockBytes torn = before;
    std::memcpy(torn.data(), after.data(), cut);
    const auto pair = decode_superblocks(std::array{before, torn}, "volume");
    REQUIRE(pair);
    REQUIRE((pair->newest == sample(5) || pair->newest == sample(6)));
    REQUIRE((pair->newest == sample(6)) == (torn == after));
  }
}

TEST_CASE("Without an intact copy there is no fence, and the error names the place", "[volume_format]") {
  auto both = copies(5, 5);
  both[0][100] ^= std::byte{1};
  both[1][4000] ^= std::byte{1};
  const auto pair = decode_superblocks(both, "/srv/12.volume");
  REQUIRE_FALSE(pair);
  CHECK(pair.error().code == StatusCode::malformed);
  CHECK(pair.error().message.find("/srv/12.volume") == 0);
  const std::array<SuperblockBytes, 2> zeroes{};
  CHECK(decode_superblocks(zeroes, "volume").error().code == StatusCode::malformed);
}

TEST_CASE("Contents that nothing wrote are refused in spite of a good checksum", "[volume_format]") {
  Superblock superblock = sample(5);
  SECTION("no volume") {
    superblock.state.volume = VolumeId(0);
  }
  SECTION("a part of a block") {
    superblock.state.size = ByteCount(4097);
  }
  SECTION("odd blocks") {
    superblock.state.block_size = 1000;
  }
  SECTION("a tombstone with a size") {
    superblock.state.removed = true;
  }
  const std::array both{encode(superblock), encode(superblock)};
  CHECK(decode_superblocks(both, "volume").error().code == StatusCode::malformed);
}

TEST_CASE("A tombstone is read as it was written", "[volume_format]") {
  const Superblock tombstone{.sequence = 9,
                             .state = {.volume = VolumeId(12), .fence = Gvn(77), .removed = true}};
  const std::array both{encode(tombstone), encode(tombstone)};
  CHECK(decode_superblocks(both, "volume").value().newest == tombstone);
}

// SLUICE_ON_DISK_FORMAT_PAGE is the page's place in the source tree. To write it anew after a change of the
// format: SLUICE_WRITE_PAGE=1 backends_test "docs/on_disk_format.md is what the code does"
TEST_CASE("docs/on_disk_format.md is what the code does", "[volume_format]") {
  const std::string described = describe_on_disk_format();
  if (std::getenv("SLUICE_WRITE_PAGE") != nullptr) std::ofstream(SLUICE_ON_DISK_FORMAT_PAGE) << described;
  std::ifstream page(SLUICE_ON_DISK_FORMAT_PAGE);
  std::ostringstream text;
  text << page.rdbuf();
  CHECK(text.str() == described);
}

}  // namespace
}  // namespace sluice::storage_node
