#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <rdma/fabric.h>

#include "transport/provider.h"

namespace sluice::transport::ofi {

class WorkQueues;

/// A request that was posted. Its address is the context under which libfabric reports it.
struct Operation {
  fi_context2 scratch{};  ///< first: belongs to the fabric while it holds the request
  WorkQueues* queues = nullptr;
  WorkId id;
  std::uint64_t sequence = 0;
  bool is_receive = false;
  bool is_rma = false;
  bool is_signaled = false;
  bool is_silent = false;  ///< the fabric reports it only if it fails
  bool is_done = false;
  CompletionStatus status = CompletionStatus::success;
  std::uint32_t byte_count = 0;
  bool has_immediate = false;
  std::uint32_t immediate = 0;
  std::uint32_t vendor_error = 0;
};

/// The requests of one queue that haven't been completed to the owner, oldest first, in memory that is
/// allocated once. (transport/work_ring.h keeps ids alone; here each request needs a place that libfabric can
/// point to, and that place serves as the ring.)
class OperationRing {
 public:
  explicit OperationRing(std::uint32_t capacity) : entries_(capacity) {}

  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] std::uint32_t size() const noexcept { return size_; }
  [[nodiscard]] std::uint32_t capacity() const noexcept {
    return static_cast<std::uint32_t>(entries_.size());
  }
  [[nodiscard]] std::uint32_t room() const noexcept { return capacity() - size_; }

  Operation& push() noexcept;
  void unpush() noexcept;
  [[nodiscard]] Operation& front() noexcept { return entries_[head_]; }
  void pop() noexcept;
  /// The n-th oldest.
  [[nodiscard]] Operation& at(std::uint32_t n) noexcept;

 private:
  std::vector<Operation> entries_;
  std::uint32_t head_ = 0;
  std::uint32_t size_ = 0;
  std::uint64_t next_sequence_ = 0;
};

/// Who is told what happens to the work of an endpoint.
class WorkObserver {
 public:
  WorkObserver() = default;
  WorkObserver(const WorkObserver&) = delete;
  WorkObserver& operator=(const WorkObserver&) = delete;
  virtual ~WorkObserver() = default;

  /// A message arrived. May come before the connection is known to be established.
  virtual void on_first_receive() noexcept = 0;
  /// The fabric reported an error, now or since the last call. Never called while completions are read.
  virtual void on_work_failed() noexcept = 0;
  /// The last completion was taken and nothing is outstanding.
  virtual void on_work_empty() noexcept = 0;
};

/// The send and the receive queue of one endpoint: puts the fabric's reports in order. A READ, or a WRITE
/// that waits for the peer's word, may be reported after a SEND that was posted later; the owner sees them in
/// the order of posting. Never allocates after construction.
class WorkQueues {
 public:
  WorkQueues(Endpoint& endpoint, WorkObserver& observer, std::uint32_t send_depth,
             std::uint32_t receive_depth)
      : endpoint_(endpoint), observer_(observer), sends_(send_depth), receives_(receive_depth) {}
  WorkQueues(const WorkQueues&) = delete;
  WorkQueues& operator=(const WorkQueues&) = delete;

  [[nodiscard]] OperationRing& sends() noexcept { return sends_; }
  [[nodiscard]] OperationRing& receives() noexcept { return receives_; }
  [[nodiscard]] const OperationRing& sends() const noexcept { return sends_; }
  [[nodiscard]] WorkObserver& observer() noexcept { return observer_; }
  [[nodiscard]] bool empty() const noexcept { return sends_.empty() && receives_.empty(); }

  /// The fabric's word on one operation. For receives `byte_count` and the immediate are set already.
  void on_success(Operation& operation) noexcept;
  /// Follow it with flush().
  void on_failure(Operation& operation, CompletionStatus status, std::uint32_t vendor_error) noexcept;

  /// Something can be taken.
  [[nodiscard]] bool is_ready() noexcept;
  std::size_t take(std::span<Completion> out) noexcept;

  /// The oldest WRITE or READ without an outcome, or null.
  [[nodiscard]] Operation* oldest_unanswered_rma() noexcept;
  /// The fabric holds nothing any more: whatever has no outcome was flushed.
  void flush() noexcept;

  /// The first error that wasn't a flush; `flushed` if there was none.
  struct Failure {
    WorkId id;
    CompletionStatus status = CompletionStatus::flushed;
    std::uint32_t vendor_error = 0;
    bool is_receive = false;
  };
  [[nodiscard]] const Failure& failure() const noexcept { return failure_; }

  /// For the completion queue's lists: whether it is in them.
  bool is_listed_ready = false;
  bool is_listed_failed = false;

 private:
  std::size_t take_from(OperationRing& ring, std::uint64_t settled, std::span<Completion> out) noexcept;
  [[nodiscard]] static bool is_finished(const Operation& operation, std::uint64_t settled) noexcept {
    return operation.is_done || (operation.is_silent && operation.sequence < settled);
  }
  [[nodiscard]] Completion completion_of(const Operation& operation) noexcept;

  Endpoint& endpoint_;
  WorkObserver& observer_;
  OperationRing sends_;
  OperationRing receives_;
  /// Silent sends numbered below this have succeeded: a later one has.
  std::uint64_t sends_settled_ = 0;
  bool had_receive_ = false;
  Failure failure_;
};

}  // namespace sluice::transport::ofi
