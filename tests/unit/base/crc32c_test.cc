#include "protocol/base/crc32c.h"

#include <array>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>

namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

}  // namespace

TEST_CASE("crc32c gives the published check values, whichever way", "[base]") {
  auto* const crc32c = GENERATE(sluice::crc32c, sluice::crc32c_by_instructions, sluice::crc32c_by_tables);
  CHECK(crc32c({}, 0) == 0);
  CHECK(crc32c(bytes_of("123456789"), 0) == 0xe3069283U);
  // RFC 3720 appendix B.4: 32 bytes of zeroes, of ones, ascending.
  std::array<std::byte, 32> block{};
  CHECK(crc32c(block, 0) == 0x8a9136aaU);
  block.fill(std::byte{0xff});
  CHECK(crc32c(block, 0) == 0x62a8ab43U);
  for (std::size_t i = 0; i < block.size(); ++i)
    block.at(i) = static_cast<std::byte>(i);
  CHECK(crc32c(block, 0) == 0x46dd794eU);
}

TEST_CASE("crc32c of split data continues to the same value at every split, whichever way", "[base]") {
  auto* const crc32c = GENERATE(sluice::crc32c_by_instructions, sluice::crc32c_by_tables);
  std::vector<std::byte> data(1027);
  for (std::size_t i = 0; i < data.size(); ++i)
    data[i] = static_cast<std::byte>(i * 31 + 7);
  const std::span<const std::byte> all(data);
  const std::uint32_t whole = sluice::crc32c(all);
  for (std::size_t split = 0; split <= data.size(); ++split) {
    REQUIRE(crc32c(all.subspan(split), crc32c(all.first(split), 0)) == whole);
  }
}
