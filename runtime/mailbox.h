#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

#include <sys/eventfd.h>
#include <unistd.h>

#include "protocol/base/check.h"

namespace sluice::runtime {

/// Letters from any thread to the one that reads them. For the control flow, not for the data path: it locks
/// and allocates.
template <typename Letter>
class Mailbox {
 public:
  Mailbox() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    check(fd_ >= 0, "a process has a file descriptor left for each of its threads");
  }
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;
  ~Mailbox() { close(fd_); }

  /// Any thread.
  void post(Letter letter) {
    const std::lock_guard lock(mutex_);
    letters_.push_back(std::move(letter));
    has_letters_.store(true, std::memory_order_release);
    if (letters_.size() > 1) return;  // it is readable already
    const std::uint64_t one = 1;
    static_cast<void>(write(fd_, &one, sizeof one));  // can't fail: the counter is far from its end
  }

  /// The reader: everything that has come, in the order of coming. Costs next to nothing if nothing has.
  [[nodiscard]] std::vector<Letter> take() {
    if (!has_letters_.load(std::memory_order_acquire)) return {};
    const std::lock_guard lock(mutex_);
    has_letters_.store(false, std::memory_order_relaxed);
    std::uint64_t count = 0;
    static_cast<void>(read(fd_, &count, sizeof count));
    return std::exchange(letters_, {});
  }

  /// Readable while there are letters.
  [[nodiscard]] int fd() const noexcept { return fd_; }

 private:
  int fd_;
  std::mutex mutex_;
  std::vector<Letter> letters_;
  std::atomic<bool> has_letters_{false};
};

}  // namespace sluice::runtime
