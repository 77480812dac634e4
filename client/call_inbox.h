#pragma once

#include <atomic>
#include <cstdint>

#include <sys/eventfd.h>
#include <unistd.h>

#include "client/io_request_args.h"
#include "protocol/base/check.h"
#include "protocol/base/status.h"

namespace sluice::client {

class VolumeClient;

/// What any thread asks of the one that owns the client. It belongs to the asker until it is posted, to the
/// client's thread until its end, and is told exactly once.
struct Call {
  /// On the client's thread; not null for an inspection, whose `io` isn't looked at.
  using Inspection = void (*)(VolumeClient& client, void* context);
  using Callback = void (*)(void* context, StatusCode status);

  IoRequestArgs io;
  Inspection inspect = nullptr;
  Callback callback = nullptr;  ///< null: somebody waits for `is_done`
  void* context = nullptr;
  StatusCode status = StatusCode::ok;
  std::atomic<bool> is_done = false;
  Call* next = nullptr;  ///< of whoever has the call now
  Call* previous = nullptr;
};

/// Calls from any thread to one. Posting takes no lock and allocates nothing; the reader is woken by a
/// descriptor if it sleeps.
class CallInbox {
 public:
  CallInbox() : fd_(eventfd(0, EFD_CLOEXEC)) {
    check(fd_ >= 0, "a process has a file descriptor left for each of its clients");
  }
  CallInbox(const CallInbox&) = delete;
  CallInbox& operator=(const CallInbox&) = delete;
  ~CallInbox() { ::close(fd_); }

  /// Any thread. False: closed, and the call is still the caller's.
  [[nodiscard]] bool post(Call& call) noexcept {
    Call* head = newest_.load(std::memory_order_relaxed);
    do {
      if (head == closed()) return false;
      call.next = head;
    } while (
        !newest_.compare_exchange_weak(head, &call, std::memory_order_seq_cst, std::memory_order_relaxed));
    wake();
    return true;
  }
  /// Any thread: ends a sleep, or keeps the next one from coming.
  void wake() noexcept {
    if (!sleeps_.exchange(false, std::memory_order_seq_cst)) return;
    const std::uint64_t one = 1;
    static_cast<void>(write(fd_, &one, sizeof one));  // can't fail: the counter is far from its end
  }

  // --- The reader ---

  /// All that was posted, linked through `next`, oldest first; null if there is nothing.
  [[nodiscard]] Call* take() noexcept {
    if (is_armed_) disarm();
    if (newest_.load(std::memory_order_relaxed) == nullptr) return nullptr;
    return reversed(newest_.exchange(nullptr, std::memory_order_seq_cst));
  }
  /// The last take: nothing can be posted any more.
  [[nodiscard]] Call* close() noexcept {
    return reversed(newest_.exchange(closed(), std::memory_order_seq_cst));
  }
  /// From now on a post makes fd() readable. False: there is something already.
  [[nodiscard]] bool arm() noexcept {
    is_armed_ = true;
    sleeps_.store(true, std::memory_order_seq_cst);
    return newest_.load(std::memory_order_seq_cst) == nullptr;
  }
  [[nodiscard]] int fd() const noexcept { return fd_; }

 private:
  static Call* closed() noexcept {
    static Call mark;
    return &mark;
  }
  static Call* reversed(Call* newest) noexcept {
    Call* oldest = nullptr;
    while (newest != nullptr) {
      Call* const next = newest->next;
      newest->next = oldest;
      oldest = newest;
      newest = next;
    }
    return oldest;
  }
  void disarm() noexcept {
    is_armed_ = false;
    if (sleeps_.exchange(false, std::memory_order_seq_cst)) return;
    // Somebody has written, or is about to: this waits for a moment at most.
    std::uint64_t count = 0;
    static_cast<void>(read(fd_, &count, sizeof count));
  }

  int fd_;
  std::atomic<Call*> newest_ = nullptr;
  std::atomic<bool> sleeps_ = false;
  bool is_armed_ = false;  ///< the reader's own
};

}  // namespace sluice::client
