#pragma once

#include <chrono>
#include <cstdint>

namespace sluice {

/// A span of time. Nanoseconds, so that virtual and real time share one type.
using Duration = std::chrono::nanoseconds;

/// A point on a monotonic clock whose origin means nothing.
struct Instant {
  std::int64_t ns = 0;

  constexpr auto operator<=>(const Instant&) const noexcept = default;
};

constexpr Instant operator+(Instant instant, Duration span) noexcept {
  return {instant.ns + span.count()};
}
constexpr Instant operator-(Instant instant, Duration span) noexcept {
  return {instant.ns - span.count()};
}
constexpr Duration operator-(Instant later, Instant earlier) noexcept {
  return Duration(later.ns - earlier.ns);
}

/// Where time is read. Production code takes a Clock, so that tests and the simulator can supply virtual
/// time. Protocol code never reads a clock at all: it is told the time with each event.
class Clock {
 public:
  Clock() = default;
  Clock(const Clock&) = delete;
  Clock& operator=(const Clock&) = delete;
  virtual ~Clock() = default;

  /// Monotonic; any thread.
  [[nodiscard]] virtual Instant now() const noexcept = 0;
};

/// The machine's monotonic clock.
class SteadyClock final : public Clock {
 public:
  [[nodiscard]] Instant now() const noexcept override {
    return {
        std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()).count()};
  }
};

}  // namespace sluice
