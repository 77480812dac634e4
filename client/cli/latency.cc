#include "client/cli/latency.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace sluice::cli {

std::size_t LatencyHistogram::bucket_of(std::uint64_t ns) noexcept {
  const auto width = static_cast<unsigned>(std::bit_width(ns));
  if (width <= kPrecisionBits) return ns;
  // The leading bit is implied by the power of two; the next kPrecisionBits tell the bucket in it.
  const unsigned shift = width - kPrecisionBits - 1;
  return ((std::size_t{shift} + 1) << kPrecisionBits) + ((ns >> shift) - (1U << kPrecisionBits));
}

std::uint64_t LatencyHistogram::top_of(std::size_t bucket) noexcept {
  if (bucket < (1U << kPrecisionBits)) return bucket;
  const std::size_t shift = (bucket >> kPrecisionBits) - 1;
  const std::uint64_t mantissa = (bucket & ((1U << kPrecisionBits) - 1)) + (1U << kPrecisionBits);
  return ((mantissa + 1) << shift) - 1;
}

void LatencyHistogram::add(Duration latency) noexcept {
  const auto ns = static_cast<std::uint64_t>(std::max<Duration::rep>(latency.count(), 0));
  ++counts_[bucket_of(ns)];
  ++count_;
  sum_ns_ += ns;
  greatest_ns_ = std::max(greatest_ns_, static_cast<std::int64_t>(ns));
}

void LatencyHistogram::add(const LatencyHistogram& others) noexcept {
  for (std::size_t i = 0; i < kBuckets; ++i)
    counts_[i] += others.counts_[i];
  count_ += others.count_;
  sum_ns_ += others.sum_ns_;
  greatest_ns_ = std::max(greatest_ns_, others.greatest_ns_);
}

Duration LatencyHistogram::percentile(double share) const noexcept {
  if (count_ == 0) return Duration::zero();
  const auto wanted =
      std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(count_))));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    seen += counts_[i];
    if (seen >= wanted) return std::min(Duration(static_cast<Duration::rep>(top_of(i))), greatest());
  }
  return greatest();
}

Duration LatencyHistogram::mean() const noexcept {
  return count_ == 0 ? Duration::zero() : Duration(static_cast<Duration::rep>(sum_ns_ / count_));
}

}  // namespace sluice::cli
