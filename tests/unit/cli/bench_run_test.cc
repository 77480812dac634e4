#include "client/cli/bench_run.h"

#include <vector>

#include <catch2/catch.hpp>

using sluice::cli::has_stamp;
using sluice::cli::stamp;

TEST_CASE("a stamp fits its place and its generation only") {
  std::vector<std::byte> data(4096);
  stamp(data, 8192, 5);
  CHECK(has_stamp(data, 8192, 5));
  CHECK_FALSE(has_stamp(data, 8192, 4));
  CHECK_FALSE(has_stamp(data, 4096, 5));
  // A piece of it is told to be its place's, whatever the size of requests.
  CHECK(has_stamp(std::span(data).subspan(512, 512), 8192 + 512, 5));
  data[4095] ^= std::byte{1};
  CHECK_FALSE(has_stamp(data, 8192, 5));
}
