#pragma once

#include <memory>

#include "protocol/base/clock.h"
#include "protocol/base/status.h"
#include "transport/transport_config.h"

namespace sluice::runtime {

/// What a thread does over and over. A simulation calls turn() by itself, in virtual time.
class Turning {
 public:
  Turning() = default;
  Turning(const Turning&) = delete;
  Turning& operator=(const Turning&) = delete;
  virtual ~Turning() = default;

  /// Does whatever there is to do, without ever waiting. True if there was anything.
  virtual bool turn() = 0;

  /// Asks everything that turn() looks at to make its descriptor readable when it has something. False:
  /// something is there already, don't sleep.
  virtual bool arm() = 0;

  /// How long it may sleep before turn() has to look at the clock.
  [[nodiscard]] virtual Duration longest_sleep() const = 0;
};

/// Lets a Turning turn, and sleeps between its turns as the polling mode says: never (busy), once nothing has
/// happened for a while (adaptive), or at once (event). One thread.
class EventLoop {
 public:
  static Result<std::unique_ptr<EventLoop>> create(const transport::PollingConfig& polling);

  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;
  ~EventLoop();

  /// Wakes up while `fd` is readable: turn() must read what is there. Owned by the caller.
  Status watch(int fd);

  /// One turn, then a sleep if it is time for one; not longer than `limit`.
  void run_once(Turning& turning, Duration limit);

  /// For other people's loops: readable when, after `turning.arm()`, something may have happened.
  [[nodiscard]] int fd() const noexcept { return epoll_fd_; }

 private:
  EventLoop(const transport::PollingConfig& polling, int epoll_fd) noexcept
      : polling_(polling), epoll_fd_(epoll_fd) {}

  /// Whether it is time to, after a turn that has done something or not.
  [[nodiscard]] bool may_sleep(bool worked) noexcept;

  transport::PollingConfig polling_;
  int epoll_fd_;
  SteadyClock clock_;
  Instant last_work_;
};

}  // namespace sluice::runtime
