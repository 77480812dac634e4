#include "client/cli/progress.h"

#include <catch2/catch.hpp>

using sluice::ByteCount;
using sluice::cli::progress_line;

TEST_CASE("a progress line has share, bar, amount, rate and time left") {
  const ByteCount total(std::uint64_t{10} << 30U);
  CHECK(progress_line("import", ByteCount(std::uint64_t{5} << 30U), total, std::chrono::seconds(10), 200) ==
        "import  50% [##########          ] 5G of 10G, 512M/s, 10 s left");
  CHECK(progress_line("import", ByteCount(0), total, std::chrono::seconds(0), 200) ==
        "import   0% [                    ] 0 of 10G");
  CHECK(progress_line("import", total, total, std::chrono::seconds(10), 200) ==
        "import 100% [####################] 10G of 10G, 1G/s");
}

TEST_CASE("a progress line is never wider than the terminal, nor fuller than full") {
  CHECK(progress_line("import", ByteCount(1), ByteCount(2), std::chrono::seconds(1), 20).size() == 20);
  CHECK(progress_line("x", ByteCount(3), ByteCount(2), std::chrono::seconds(1), 200).find("100%") !=
        std::string::npos);
  CHECK(progress_line("x", ByteCount(0), ByteCount(0), std::chrono::seconds(1), 200).find("100%") !=
        std::string::npos);
}

TEST_CASE("long times left are told in minutes and hours") {
  const ByteCount total(std::uint64_t{1} << 40U);
  CHECK(progress_line("x", ByteCount(std::uint64_t{1} << 30U), total, std::chrono::seconds(1), 200)
            .find("17 min 3 s left") != std::string::npos);
  CHECK(progress_line("x", ByteCount(std::uint64_t{1} << 30U), total, std::chrono::seconds(10), 200)
            .find("2 h 50 min left") != std::string::npos);
}
