#include "tests/sim/scheduler.h"

#include <algorithm>

namespace sluice::sim {

Scheduler::TaskId Scheduler::add(runtime::Turning& turning) {
  const auto id = static_cast<TaskId>(next_task_++);
  tasks_[id].turning = &turning;
  wake(id);
  return id;
}

void Scheduler::remove(TaskId task) {
  tasks_.erase(task);
}

Duration Scheduler::delay() {
  if (random_.chance_ppm(stall_ppm)) {
    ++stalls_;
    return random_.up_to(stall);
  }
  return random_.up_to(usual_delay);
}

void Scheduler::wake(TaskId id) {
  const auto found = tasks_.find(id);
  if (found == tasks_.end() || found->second.is_woken) return;
  found->second.is_woken = true;
  if (found->second.is_paused) return;
  network_.at(network_.now() + delay(), [this, id] { turn(id); });
}

void Scheduler::pause(TaskId task) {
  if (const auto found = tasks_.find(task); found != tasks_.end()) found->second.is_paused = true;
}

void Scheduler::resume(TaskId task) {
  const auto found = tasks_.find(task);
  if (found == tasks_.end() || !found->second.is_paused) return;
  found->second.is_paused = false;
  found->second.is_woken = false;
  wake(task);
}

void Scheduler::turn(TaskId id) {
  auto found = tasks_.find(id);
  if (found == tasks_.end() || found->second.is_paused || !found->second.is_woken) return;
  found->second.is_woken = false;
  runtime::Turning& turning = *found->second.turning;
  ++turns_;
  const bool has_worked = turning.turn();
  if (after_turn) after_turn(id);
  found = tasks_.find(id);  // it may be gone by now
  if (found == tasks_.end()) return;
  if (has_worked || !turning.arm()) return wake(id);
  const Duration sleep =
      std::clamp<Duration>(turning.longest_sleep(), std::chrono::microseconds(1), std::chrono::hours(1));
  set_alarm(id, found->second, network_.now() + sleep);
}

/// One alarm is set at a time: one that comes too early costs a turn in vain, which is what threads must
/// bear.
void Scheduler::set_alarm(TaskId id, Task& task, Instant when) {
  if (task.alarm > network_.now() && task.alarm <= when) return;
  task.alarm = when;
  network_.at(when, [this, id, when] {
    const auto found = tasks_.find(id);
    if (found == tasks_.end() || found->second.alarm != when) return;
    found->second.alarm = Instant{INT64_MAX};
    wake(id);
  });
}

}  // namespace sluice::sim
