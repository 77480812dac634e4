#pragma once

#include <cstdint>
#include <functional>
#include <map>

#include "protocol/base/clock.h"
#include "runtime/event_loop.h"
#include "runtime/random.h"
#include "transport/sim/network.h"
#include "transport/sim/random.h"

namespace sluice::sim {

/// Lets the threads of all simulated processes turn, in virtual time: one turns when something woke it up or
/// its sleep is over, a moment later, as an operating system would have it. A turn takes no time; the next
/// one of the same thread comes a little later.
class Scheduler {
 public:
  enum class TaskId : std::uint64_t {};

  Scheduler(transport::sim::Network& network, std::uint64_t seed) : network_(network), random_(seed) {}

  /// Woken at once. `turning` stays until remove().
  TaskId add(runtime::Turning& turning);
  /// Also from within a turn, its own included.
  void remove(TaskId task);
  /// There is something to look at. Harmless if there is no such task any more.
  void wake(TaskId task);
  /// SIGSTOP: it doesn't turn until resume().
  void pause(TaskId task);
  void resume(TaskId task);

  /// How late a thread may come.
  Duration usual_delay = std::chrono::microseconds(2);
  /// How often it comes much later, and how much.
  std::uint32_t stall_ppm = 0;
  Duration stall = std::chrono::milliseconds(20);
  /// After each turn.
  std::function<void(TaskId)> after_turn;

  [[nodiscard]] std::uint64_t turns() const noexcept { return turns_; }
  [[nodiscard]] std::uint64_t stalls() const noexcept { return stalls_; }

 private:
  struct Task {
    runtime::Turning* turning = nullptr;
    bool is_woken = false;
    bool is_paused = false;
    Instant alarm{INT64_MAX};  ///< when it wakes up by itself
  };

  void turn(TaskId id);
  void set_alarm(TaskId id, Task& task, Instant when);
  [[nodiscard]] Duration delay();

  transport::sim::Network& network_;
  transport::sim::Random random_;
  std::map<TaskId, Task> tasks_;
  std::uint64_t next_task_ = 1;
  std::uint64_t turns_ = 0;
  std::uint64_t stalls_ = 0;
};

/// A process's random numbers, which the seed determines.
class SimRandomSource final : public runtime::RandomSource {
 public:
  explicit SimRandomSource(std::uint64_t seed) : random_(seed) {}
  [[nodiscard]] std::uint64_t next() override {
    std::uint64_t drawn = random_.next();
    while (drawn == 0)
      drawn = random_.next();
    if (on_draw) on_draw(drawn);
    return drawn;
  }

  std::function<void(std::uint64_t)> on_draw;

 private:
  transport::sim::Random random_;
};

}  // namespace sluice::sim
