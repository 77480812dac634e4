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

TEST_CASE("crc32c gives the published check values", "[base]") {
  CHECK(sluice::crc32c({}) == 0);
  CHECK(sluice::crc32c(bytes_of("123456789")) == 0xe3069283U);
  // RFC 3720 appendix B.4: 32 bytes of zeroes, of ones, ascending.
  std::array<std::byte, 32> block{};
  CHECK(sluice::crc32c(block) == 0x8a9136aaU);
  block.fill(std::byte{0xff});
  CHECK(sluice::crc32c(block) == 0x62a8ab43U);
  for (std::size_t i = 0; i < block.size(); ++i)
    block.at(i) = static_cast<std::byte>(i);
  CHECK(sluice::crc32c(block) == 0x46dd794eU);
}

TEST_CASE("crc32c of split data continues to the same value at every split", "[base]") {
  std::vector<std::byte> data(1027);
  for (std::size_t i = 0; i < data.size(); ++i)
    data[i] = static_cast<std::byte>(i * 31 + 7);
  const std::span<const std::byte> all(data);
  const std::uint32_t whole = sluice::crc32c(all);
  for (std::size_t split = 0; split <= data.size(); ++split) {
    REQUIRE(sluice::crc32c(all.subspan(split), sluice::crc32c(all.first(split))) == whole);
  }
}
