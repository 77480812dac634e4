#include "storage_node/backends/uring_queue.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <fstream>
#include <string>
#include <utility>

#include <liburing.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/uio.h>

#include "protocol/base/check.h"

namespace sluice::storage_node {
namespace {

constexpr unsigned kSubmissionEntries = 256;
/// As many operations as may be under way in the kernel: completions never overflow.
constexpr unsigned kCompletionEntries = 1024;

/// The most that the kernel takes as one registered buffer.
constexpr std::size_t kLargestBuffer = std::size_t{1} << 30U;

/// Why the kernel gave no ring, and what to do about it.
tl::unexpected<Error> explain_refusal(int errno_value) {
  switch (errno_value) {
    case ENOSYS:
      return fail(StatusCode::unsupported, "this kernel has no io_uring: Linux 5.6 or later is needed");
    case EPERM: {
      std::string disabled;
      std::getline(std::ifstream("/proc/sys/kernel/io_uring_disabled"), disabled);
      if (disabled.empty() || disabled == "0") {
        return fail(StatusCode::permission_denied,
                    "io_uring is refused, as by a container's seccomp profile: allow io_uring_setup, "
                    "io_uring_enter and io_uring_register in it");
      }
      return fail(
          StatusCode::permission_denied,
          "io_uring is switched off: kernel.io_uring_disabled is " + disabled + "; set it to 0 with sysctl" +
              (disabled == "1" ? ", or to let this user in, its group in kernel.io_uring_group" : ""));
    }
    case ENOMEM:
      return fail(StatusCode::out_of_memory,
                  "no memory for io_uring's rings, which some kernels count as locked memory: raise "
                  "RLIMIT_MEMLOCK (ulimit -l, LimitMEMLOCK= in a systemd unit)");
    default:
      return fail_errno(errno_value, "set up io_uring");
  }
}

int set_up_ring(io_uring& ring) {
  io_uring_params params{};
  params.cq_entries = kCompletionEntries;
  // The kernel runs completions when this thread enters it next, and says in the ring that there are some,
  // instead of interrupting the thread for each.
  params.flags = IORING_SETUP_CQSIZE | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
  int result = io_uring_queue_init_params(kSubmissionEntries, &ring, &params);
  if (result == -EINVAL) {  // before Linux 5.19
    params = {};
    params.cq_entries = kCompletionEntries;
    params.flags = IORING_SETUP_CQSIZE;
    result = io_uring_queue_init_params(kSubmissionEntries, &ring, &params);
  }
  return result;
}

std::string in_mib(std::size_t bytes) {
  return std::to_string(bytes >> 20U) + " MiB";
}

std::string locked_memory_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return "unlimited";
  return std::to_string(limit.rlim_cur / 1024) + " KiB";
}

}  // namespace

Result<std::unique_ptr<UringQueue>> UringQueue::create(LogSink log) {
  FileHandle event_fd(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!event_fd) return fail_errno(errno, "make an eventfd");
  auto ring = std::make_unique<io_uring>();
  if (const int result = set_up_ring(*ring); result < 0) return explain_refusal(-result);
  if (const int result = io_uring_register_eventfd(ring.get(), event_fd.get()); result < 0) {
    io_uring_queue_exit(ring.get());
    return fail_errno(result, "register an eventfd with io_uring");
  }
  return std::unique_ptr<UringQueue>(new UringQueue(std::move(log), std::move(ring), std::move(event_fd)));
}

UringQueue::UringQueue(LogSink log, std::unique_ptr<io_uring> ring, FileHandle event_fd) noexcept
    : log_(std::move(log)), ring_(std::move(ring)), event_fd_(std::move(event_fd)) {
  static_cast<void>(io_uring_cq_eventfd_toggle(ring_.get(), false));  // until somebody sleeps
}

UringQueue::~UringQueue() {
  check(taken_ == 0, "a backend is idle when it is destroyed");
  io_uring_queue_exit(ring_.get());
}

void UringQueue::register_buffers(std::span<std::byte> buffers) {
  check(buffers_.empty(), "a backend's buffers are registered once");
  std::vector<iovec> pieces;
  for (std::size_t at = 0; at < buffers.size(); at += kLargestBuffer) {
    pieces.push_back(
        {.iov_base = buffers.data() + at, .iov_len = std::min(kLargestBuffer, buffers.size() - at)});
  }
  const int result =
      io_uring_register_buffers(ring_.get(), pieces.data(), static_cast<unsigned>(pieces.size()));
  if (result == 0) {
    buffers_ = buffers;
    buffer_count_ = static_cast<unsigned>(pieces.size());
    return;
  }
  const std::string what = "io_uring can't pin " + in_mib(buffers.size()) + " of IO buffers";
  log_line(log_, LogLevel::warning,
           (result == -ENOMEM ? what + ": RLIMIT_MEMLOCK is " + locked_memory_limit() +
                                    "; raise it (ulimit -l, LimitMEMLOCK= in a systemd unit)"
                              : fail_errno(result, what).value().message) +
               "; IO goes on without, somewhat slower");
}

UringOperation& UringQueue::take() noexcept {
  if (free_ == nullptr) grow();
  UringOperation& operation = *std::exchange(free_, free_->next);
  ++taken_;
  operation = {};
  return operation;
}

void UringQueue::grow() {
  Chunk& chunk = *chunks_.emplace_back(std::make_unique<Chunk>());
  for (std::size_t i = kChunkOperations; i > 0; --i) {
    chunk[i - 1].next = std::exchange(free_, &chunk[i - 1]);
  }
}

void UringQueue::start(UringOperation& operation) noexcept {
  operation.next = nullptr;
  (first_waiting_ == nullptr ? first_waiting_ : last_waiting_->next) = &operation;
  last_waiting_ = &operation;
}

bool UringQueue::has_room() const noexcept {
  return in_kernel_ < kCompletionEntries && io_uring_sq_space_left(ring_.get()) > 0;
}

std::optional<unsigned> UringQueue::registered_buffer(const UringOperation& operation) const noexcept {
  if (operation.data < buffers_.data() || operation.data >= buffers_.data() + buffers_.size())
    return std::nullopt;
  const auto begin = static_cast<std::size_t>(operation.data - buffers_.data());
  const std::size_t end = begin + operation.length;
  if (end > buffers_.size() || begin / kLargestBuffer != (end - 1) / kLargestBuffer) return std::nullopt;
  return static_cast<unsigned>(begin / kLargestBuffer);
}

void UringQueue::prepare(io_uring_sqe& entry, const UringOperation& operation) const noexcept {
  const auto length = static_cast<unsigned>(operation.length);
  switch (operation.kind) {
    case UringOperation::Kind::read:
      if (const auto buffer = registered_buffer(operation)) {
        io_uring_prep_read_fixed(&entry, operation.fd, operation.data, length, operation.offset,
                                 static_cast<int>(*buffer));
      } else {
        io_uring_prep_read(&entry, operation.fd, operation.data, length, operation.offset);
      }
      entry.rw_flags = operation.mode;
      break;
    case UringOperation::Kind::write:
      if (const auto buffer = registered_buffer(operation)) {
        io_uring_prep_write_fixed(&entry, operation.fd, operation.data, length, operation.offset,
                                  static_cast<int>(*buffer));
      } else {
        io_uring_prep_write(&entry, operation.fd, operation.data, length, operation.offset);
      }
      entry.rw_flags = operation.mode;
      break;
    case UringOperation::Kind::sync_data:
      io_uring_prep_fsync(&entry, operation.fd, IORING_FSYNC_DATASYNC);
      break;
    case UringOperation::Kind::allocate:
      io_uring_prep_fallocate(&entry, operation.fd, operation.mode, static_cast<off_t>(operation.offset),
                              static_cast<off_t>(operation.length));
      break;
  }
}

void UringQueue::submit() noexcept {
  while (first_waiting_ != nullptr && has_room()) {
    UringOperation& operation = *std::exchange(first_waiting_, first_waiting_->next);
    io_uring_sqe* const entry = io_uring_get_sqe(ring_.get());
    prepare(*entry, operation);
    io_uring_sqe_set_data(entry, &operation);
    ++in_kernel_;
  }
  if (io_uring_sq_ready(ring_.get()) == 0) return;
  const int result = io_uring_submit(ring_.get());
  // Out of memory for now, or interrupted: the entries are still there, and go out with the next turn.
  check(result >= 0 || result == -EAGAIN || result == -EBUSY || result == -EINTR,
        "the kernel takes what io_uring's library prepared");
}

std::size_t UringQueue::poll(std::span<BackendCompletion> out) noexcept {
  static_cast<void>(io_uring_cq_eventfd_toggle(ring_.get(), false));
  std::size_t count = 0;
  io_uring_cqe* entry = nullptr;
  while (count < out.size() && io_uring_peek_cqe(ring_.get(), &entry) == 0) {
    auto& operation = *static_cast<UringOperation*>(io_uring_cqe_get_data(entry));
    const int result = entry->res;
    io_uring_cqe_seen(ring_.get(), entry);
    --in_kernel_;
    const auto status = operation.handler->on_result(operation, result);
    if (!status) {
      start(operation);
      continue;
    }
    out[count++] = {.tag = operation.request.tag, .status = *status};
    operation.next = std::exchange(free_, &operation);
    --taken_;
  }
  return count;
}

bool UringQueue::arm() noexcept {
  if ((first_waiting_ != nullptr && has_room()) || io_uring_sq_ready(ring_.get()) > 0) return false;
  std::uint64_t events = 0;
  static_cast<void>(read(event_fd_.get(), &events, sizeof events));
  static_cast<void>(io_uring_cq_eventfd_toggle(ring_.get(), true));
  // The kernel posts a completion and then looks at the switch; we throw the switch and then look for one.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  io_uring_cqe* entry = nullptr;
  return io_uring_peek_cqe(ring_.get(), &entry) != 0;
}

}  // namespace sluice::storage_node
