#pragma once

#include <cstdint>

namespace sluice::runtime {

/// Where nonces, cookies and ids come from, so that a simulation can supply its own.
class RandomSource {
 public:
  RandomSource() = default;
  RandomSource(const RandomSource&) = delete;
  RandomSource& operator=(const RandomSource&) = delete;
  virtual ~RandomSource() = default;

  /// Never 0, which means "none" wherever such numbers are used.
  [[nodiscard]] virtual std::uint64_t next() = 0;
};

/// The system's: unpredictable. Any thread.
class SystemRandom final : public RandomSource {
 public:
  [[nodiscard]] std::uint64_t next() override;
};

}  // namespace sluice::runtime
