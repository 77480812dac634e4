#include "runtime/sizes.h"

#include <catch2/catch.hpp>

using sluice::ByteCount;
using sluice::runtime::format_exact_size;
using sluice::runtime::format_size;
using sluice::runtime::parse_size;

TEST_CASE("a size is bytes or a number with a binary unit") {
  CHECK(parse_size("0") == ByteCount(0));
  CHECK(parse_size("512") == ByteCount(512));
  CHECK(parse_size("512B") == ByteCount(512));
  CHECK(parse_size("64K") == ByteCount(65536));
  CHECK(parse_size("64KiB") == ByteCount(65536));
  CHECK(parse_size("10g") == ByteCount(10737418240));
  CHECK(parse_size("1.5T") == ByteCount(1649267441664));
  CHECK(parse_size("0.5K") == ByteCount(512));
  CHECK(parse_size("15E") == ByteCount(std::uint64_t{15} << 60U));
  CHECK(parse_size("18446744073709551615") == ByteCount(UINT64_MAX));
}

TEST_CASE("what is no size is refused, and the error says what was expected") {
  for (const char* const text : {"",
                                 "G",
                                 "-1",
                                 "+1",
                                 " 1",
                                 "1 ",
                                 "1 G",
                                 "1GB",
                                 "1Gib",
                                 "1X",
                                 "1.G",
                                 "1.5",
                                 "0.3K",
                                 "16E",
                                 "15.99999E",
                                 "18446744073709551616",
                                 "1e3",
                                 "0x10",
                                 "1.0000000000001K",
                                 "10GG",
                                 "1,5G",
                                 "\xff"}) {
    CAPTURE(text);
    const auto size = parse_size(text);
    REQUIRE_FALSE(size.has_value());
    CHECK(size.error().code == sluice::StatusCode::invalid_argument);
    CHECK(size.error().message.find("10G") != std::string::npos);
  }
  CHECK(parse_size("1.0") == ByteCount(1));
}

TEST_CASE("a size for people has at most two decimals and never 1024 of a unit") {
  CHECK(format_size(ByteCount(0)) == "0");
  CHECK(format_size(ByteCount(1023)) == "1023");
  CHECK(format_size(ByteCount(1024)) == "1K");
  CHECK(format_size(ByteCount(1536)) == "1.5K");
  CHECK(format_size(ByteCount(10737418240)) == "10G");
  CHECK(format_size(ByteCount((1U << 20U) - 1)) == "1M");
  CHECK(format_size(ByteCount(UINT64_MAX)) == "16E");
}

TEST_CASE("an exact size is read back as the same size") {
  for (const std::uint64_t bytes : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{513},
                                    std::uint64_t{1} << 40U, std::uint64_t{3} << 39U, UINT64_MAX}) {
    CHECK(parse_size(format_exact_size(ByteCount(bytes))) == ByteCount(bytes));
  }
  CHECK(format_exact_size(ByteCount(std::uint64_t{3} << 39U)) == "1536G");
}
