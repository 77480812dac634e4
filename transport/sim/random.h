#pragma once

#include <array>
#include <cstdint>

#include "protocol/base/clock.h"

namespace sluice::transport::sim {

/// xoshiro256** (Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2018), seeded by
/// splitmix64. Written down here, since what a standard library's distributions and shuffles draw is its own
/// business, and a seed must mean the same run on every compiler.
class Random {
 public:
  explicit Random(std::uint64_t seed) noexcept;

  std::uint64_t next() noexcept;
  /// Uniform in [0, bound); `bound` at least 1.
  std::uint64_t below(std::uint64_t bound) noexcept;
  /// True in `ppm` of a million draws. Draws nothing for 0.
  bool chance_ppm(std::uint32_t ppm) noexcept;
  /// Uniform in [0, longest], in nanoseconds. Draws nothing for 0.
  Duration up_to(Duration longest) noexcept;

 private:
  std::array<std::uint64_t, 4> state_{};
};

}  // namespace sluice::transport::sim
