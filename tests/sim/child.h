#pragma once

#include <span>
#include <string>

#include "tests/sim/run.h"

namespace sluice::sim {

/// Runs a seed in a process of its own, so that a crash is a verdict like any other, and so is a run that
/// takes more than `limit_s` seconds of a processor (liveness). What a crash says goes to standard error if
/// `loud`.
[[nodiscard]] RunResult run_in_child(const RunOptions& options, unsigned limit_s, bool loud);

/// For several at a time.
class Child {
 public:
  Child(const RunOptions& options, unsigned limit_s, bool loud);
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child();

  /// Waits for its end.
  [[nodiscard]] RunResult result();
  /// Its result has been told, as a whole: it doesn't need a processor any more.
  [[nodiscard]] bool has_ended() const noexcept { return has_ended_; }
  /// Waits until one of them says something or ends, and takes what they have said.
  static void listen(std::span<Child* const> children);
  [[nodiscard]] int pid() const noexcept { return pid_; }

 private:
  void take();

  int pid_ = -1;
  int pipe_ = -1;
  std::string said_;
  bool has_ended_ = false;
};

}  // namespace sluice::sim
