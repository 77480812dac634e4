#include "runtime/event_loop.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <string>

#include <sys/epoll.h>
#include <unistd.h>

namespace sluice::runtime {

Result<std::unique_ptr<EventLoop>> EventLoop::create(const transport::PollingConfig& polling) {
  const int fd = epoll_create1(EPOLL_CLOEXEC);
  if (fd < 0) return fail_errno(errno, "create an event loop");
  return std::unique_ptr<EventLoop>(new EventLoop(polling, fd));
}

EventLoop::~EventLoop() {
  close(epoll_fd_);
}

Status EventLoop::watch(int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  if (epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) != 0) {
    return fail_errno(errno, "watch descriptor " + std::to_string(fd));
  }
  return {};
}

void EventLoop::run_once(Turning& turning, Duration limit) {
  const bool worked = turning.turn();
  if (!may_sleep(worked) || !turning.arm()) return;
  const Duration sleep = std::min(limit, turning.longest_sleep());
  const auto sleep_ms =
      std::chrono::ceil<std::chrono::milliseconds>(std::max(sleep, Duration::zero())).count();
  std::array<epoll_event, 8> ready;
  // What woke us up is looked at by the next turn, whatever it was; EINTR is as good a reason as any.
  static_cast<void>(epoll_wait(epoll_fd_, ready.data(), ready.size(), static_cast<int>(sleep_ms)));
}

bool EventLoop::may_sleep(bool worked) noexcept {
  switch (polling_.mode) {
    case transport::PollingMode::busy:
      return false;
    case transport::PollingMode::adaptive:
      if (worked) last_work_ = clock_.now();
      return !worked && clock_.now() - last_work_ >= Duration(polling_.spin);
    case transport::PollingMode::event:
      return !worked;
  }
  return true;
}

}  // namespace sluice::runtime
