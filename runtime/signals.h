#pragma once

#include <csignal>
#include <initializer_list>
#include <memory>
#include <optional>

#include "protocol/base/status.h"

namespace sluice::runtime {

/// Signals as a descriptor, for EventLoop::watch(). Made before the program's first other thread: a thread
/// inherits which signals are blocked.
class Signals {
 public:
  /// Blocks these signals, and ignores SIGPIPE. Errors: system_error.
  static Result<std::unique_ptr<Signals>> catch_all(std::initializer_list<int> numbers = {SIGTERM, SIGINT,
                                                                                          SIGHUP});

  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  /// Puts the thread's signal mask back.
  ~Signals();

  [[nodiscard]] int fd() const noexcept { return fd_; }
  /// The next signal that has come; nothing if none has. Never waits.
  [[nodiscard]] std::optional<int> next() noexcept;

 private:
  Signals(int fd, const sigset_t& before) noexcept : fd_(fd), before_(before) {}

  int fd_;
  sigset_t before_;
};

}  // namespace sluice::runtime
