#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "protocol/base/clock.h"

namespace sluice::cli {

/// Counts latencies so that any percentile is known to within 1.6%, in constant memory.
class LatencyHistogram {
 public:
  void add(Duration latency) noexcept;
  void add(const LatencyHistogram& others) noexcept;

  [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
  /// The latency that `share` (0 to 1) of all don't exceed; zero if there are none.
  [[nodiscard]] Duration percentile(double share) const noexcept;
  [[nodiscard]] Duration mean() const noexcept;
  [[nodiscard]] Duration greatest() const noexcept { return Duration(greatest_ns_); }

 private:
  /// A power of two is cut into this many buckets of one width.
  static constexpr unsigned kPrecisionBits = 6;
  static constexpr std::size_t kBuckets = (64 - kPrecisionBits + 1) << kPrecisionBits;

  static std::size_t bucket_of(std::uint64_t ns) noexcept;
  /// The greatest latency that falls into a bucket, ns.
  static std::uint64_t top_of(std::size_t bucket) noexcept;

  std::array<std::uint64_t, kBuckets> counts_{};
  std::uint64_t count_ = 0;
  std::uint64_t sum_ns_ = 0;
  std::int64_t greatest_ns_ = 0;
};

}  // namespace sluice::cli
