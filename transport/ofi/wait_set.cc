#include "transport/ofi/wait_set.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include <sys/epoll.h>
#include <unistd.h>

namespace sluice::transport::ofi {

namespace {
constexpr int kMaxWakeups = 32;
}  // namespace

Result<std::unique_ptr<WaitSet>> WaitSet::create(const Fabric& fabric) {
  const int fd = injected_failure(fabric.faults(), "epoll_create1") ? -1 : epoll_create1(EPOLL_CLOEXEC);
  if (fd < 0) return fail_errno(errno, "epoll_create1");
  return std::unique_ptr<WaitSet>(new WaitSet(fabric, fd));
}

WaitSet::~WaitSet() {
  close(epoll_fd_);
}

Status WaitSet::add(int fd, bool is_watched) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u32 = is_watched ? 1 : 0;
  if (injected_failure(fabric_.faults(), "epoll_ctl") ||
      epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) != 0) {
    return fail_errno(errno, "epoll_ctl: watch descriptor " + std::to_string(fd));
  }
  return {};
}

Status WaitSet::add_fabric(fid_t object, int fd) {
  if (Status status = add(fd, false); !status) return status;
  objects_.push_back(object);
  return {};
}

void WaitSet::remove_fabric(fid_t object, int fd) noexcept {
  if (std::erase(objects_, object) > 0) epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, fd, nullptr);
}

Status WaitSet::watch(int fd) {
  return add(fd, true);
}

void WaitSet::unwatch(int fd) noexcept {
  epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, fd, nullptr);
}

bool WaitSet::arm() noexcept {
  if (objects_.empty()) return true;
  if (injected_failure(fabric_.faults(), "fi_trywait")) return false;  // looking once more is always safe
  return fi_trywait(fabric_.get(), objects_.data(), static_cast<int>(objects_.size())) == FI_SUCCESS;
}

WaitSet::Wakeup WaitSet::sleep(Duration timeout) noexcept {
  std::array<epoll_event, kMaxWakeups> events;
  // Rounded up: a wait that ends early would only be started again.
  const auto limit = std::chrono::ceil<std::chrono::milliseconds>(timeout);
  const int count = epoll_wait(epoll_fd_, events.data(), kMaxWakeups, static_cast<int>(limit.count()));
  Wakeup wakeup;
  for (int i = 0; i < count; ++i) {
    wakeup.any = true;
    if (events[static_cast<std::size_t>(i)].data.u32 != 0) wakeup.watched = true;
  }
  return wakeup;
}

}  // namespace sluice::transport::ofi
