#include "client/cli/latency.h"

#include <algorithm>
#include <random>
#include <vector>

#include <catch2/catch.hpp>

using sluice::Duration;
using sluice::cli::LatencyHistogram;

TEST_CASE("a percentile is never below the true one, and at most 1.6% above it") {
  std::mt19937_64 random(7);
  LatencyHistogram histogram;
  std::vector<std::int64_t> all;
  for (int i = 0; i < 100'000; ++i) {
    const auto ns = static_cast<std::int64_t>(random() >> (random() % 40 + 20));
    all.push_back(ns);
    histogram.add(Duration(ns));
  }
  std::sort(all.begin(), all.end());
  for (const double share : {0.001, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    const auto rank = static_cast<std::size_t>(share * static_cast<double>(all.size()) + 0.5);
    const std::int64_t truth = all[rank - 1];
    const std::int64_t told = histogram.percentile(share).count();
    CAPTURE(share, truth, told);
    CHECK(told >= truth);
    CHECK(static_cast<double>(told) <= static_cast<double>(truth) * 1.016 + 1);
  }
  CHECK(histogram.greatest().count() == all.back());
  CHECK(histogram.count() == all.size());
}

TEST_CASE("an empty histogram and the extremes are told as they are") {
  LatencyHistogram histogram;
  CHECK(histogram.percentile(0.5) == Duration(0));
  CHECK(histogram.mean() == Duration(0));
  histogram.add(Duration(-5));
  CHECK(histogram.percentile(1) == Duration(0));
  histogram.add(Duration::max());
  CHECK(histogram.percentile(1) == Duration::max());
  LatencyHistogram sum;
  sum.add(histogram);
  sum.add(histogram);
  CHECK(sum.count() == 4);
}
