#include "transport/ofi/work_queues.h"

#include <algorithm>

namespace sluice::transport::ofi {

Operation& OperationRing::push() noexcept {
  check(room() > 0, "a queue has room for what is posted to it");
  Operation& operation = at(size_);
  ++size_;
  operation = {};
  operation.sequence = next_sequence_++;
  return operation;
}

void OperationRing::unpush() noexcept {
  check(size_ > 0, "only what was pushed is taken back");
  --size_;
  --next_sequence_;
}

void OperationRing::pop() noexcept {
  check(size_ > 0, "only what was pushed is taken");
  if (++head_ == capacity()) head_ = 0;
  --size_;
}

Operation& OperationRing::at(std::uint32_t n) noexcept {
  const std::uint32_t index = head_ + n;
  return entries_[index < capacity() ? index : index - capacity()];
}

void WorkQueues::on_success(Operation& operation) noexcept {
  operation.is_done = true;
  if (!operation.is_receive) {
    sends_settled_ = std::max(sends_settled_, operation.sequence);
  } else if (!had_receive_) {
    had_receive_ = true;
    observer_.on_first_receive();
  }
}

void WorkQueues::on_failure(Operation& operation, CompletionStatus status,
                            std::uint32_t vendor_error) noexcept {
  // A flush is no outcome: the endpoint, which knows why the connection ended, gives it one.
  if (status != CompletionStatus::flushed) {
    operation.is_done = true;
    operation.status = status;
    operation.vendor_error = vendor_error;
  }
  if (failure_.status == CompletionStatus::flushed) {
    failure_ = {operation.id, status, vendor_error, operation.is_receive};
  }
}

bool WorkQueues::is_ready() noexcept {
  return (!sends_.empty() && is_finished(sends_.front(), sends_settled_)) ||
         (!receives_.empty() && receives_.front().is_done);
}

std::size_t WorkQueues::take(std::span<Completion> out) noexcept {
  const std::size_t taken = take_from(sends_, sends_settled_, out);
  return taken + take_from(receives_, 0, out.subspan(taken));
}

std::size_t WorkQueues::take_from(OperationRing& ring, std::uint64_t settled,
                                  std::span<Completion> out) noexcept {
  std::size_t taken = 0;
  while (!ring.empty() && is_finished(ring.front(), settled)) {
    const Operation& operation = ring.front();
    if (operation.is_signaled || operation.status != CompletionStatus::success) {
      if (taken == out.size()) break;
      out[taken++] = completion_of(operation);
    }
    ring.pop();
  }
  return taken;
}

Completion WorkQueues::completion_of(const Operation& operation) noexcept {
  Completion completion;
  completion.id = operation.id;
  completion.status = operation.status;
  completion.is_receive = operation.is_receive;
  completion.byte_count = operation.byte_count;
  if (operation.has_immediate) completion.immediate = operation.immediate;
  completion.vendor_error = operation.vendor_error;
  completion.endpoint = &endpoint_;
  return completion;
}

Operation* WorkQueues::oldest_unanswered_rma() noexcept {
  for (std::uint32_t n = 0; n < sends_.size(); ++n) {
    Operation& operation = sends_.at(n);
    if (operation.is_rma && !operation.is_done) return &operation;
  }
  return nullptr;
}

void WorkQueues::flush() noexcept {
  // The peer executes in order: behind a request without an outcome nothing has one, whatever the fabric
  // said.
  bool is_behind = false;
  for (std::uint32_t n = 0; n < sends_.size(); ++n) {
    Operation& operation = sends_.at(n);
    const bool failed = operation.status != CompletionStatus::success;
    is_behind = is_behind || failed || !is_finished(operation, sends_settled_);
    if (is_behind && !failed) operation.status = CompletionStatus::flushed;
    operation.is_done = true;
  }
  for (std::uint32_t n = 0; n < receives_.size(); ++n) {
    Operation& operation = receives_.at(n);
    if (!operation.is_done) operation.status = CompletionStatus::flushed;
    operation.is_done = true;
  }
}

}  // namespace sluice::transport::ofi
