#include "storage_node/io_task.h"

#include <algorithm>
#include <span>

#include "protocol/base/check.h"
#include "protocol/base/crc32c.h"

namespace sluice::storage_node {

using protocol::DataPlacement;
using protocol::IoOp;

void IoTask::prepare(IoTaskHost& host, Path& path, protocol::AttemptId attempt,
                     const protocol::IoRequest& request, bool durable) noexcept {
  check(state_ == State::idle, "a task does one request at a time");
  host_ = &host;
  path_ = &path;
  attempt_ = attempt;
  request_ = request;
  durable_ = durable || request.fua;
  state_ = State::placing;
}

void IoTask::advance() {
  if (state_ == State::placing && !place()) return;
  if (state_ == State::checking && !check_payload()) return;
  static_cast<void>(submit());
}

/// Finds out where the data is, or where it goes.
bool IoTask::place() {
  switch (request_.placement) {
    case DataPlacement::none:
      state_ = State::admitted;
      return true;
    case DataPlacement::slot:
      data_ = path_->slot(request_.slot, request_.length);
      state_ = data_ == nullptr ? State::admitted : State::checking;
      return true;
    case DataPlacement::in_capsule:
      return place_capsule();
    case DataPlacement::remote:
      buffer_ = host_->take_buffer(*this, request_.length);
      data_ = buffer_.data();
      state_ = buffer_ ? State::admitted : State::placing;
      return static_cast<bool>(buffer_);
  }
  return false;
}

/// Copies it where the backend can take it from, so that its receive is free for the next request.
bool IoTask::place_capsule() {
  const std::span<const std::byte> payload = path_->capsule(request_.seq);
  if (payload.size() != request_.length) {  // it waited, and its connection is gone
    host_->on_bad_payload(*this);
    return false;
  }
  buffer_ = host_->take_buffer(*this, request_.length);
  if (!buffer_) {
    path_->keep_capsule(request_.seq);
    return false;
  }
  data_ = buffer_.data();
  std::ranges::copy(payload, data_);
  path_->release_capsule(request_.seq);
  state_ = State::checking;
  return true;
}

bool IoTask::check_payload() {
  if (crc32c({data_, request_.length}) != request_.data_crc) {
    host_->on_bad_payload(*this);
    return false;
  }
  state_ = State::admitted;
  return true;
}

bool IoTask::submit() {
  const bool has_slot = request_.placement != DataPlacement::slot || data_ != nullptr;
  if (!host_->may_submit(*this)) return false;
  state_ = State::submitted;
  if (!has_slot) {
    host_->on_io_done(*this, {StatusCode::io_error, 0});
    return false;
  }
  host_->start({.op = request_.op,
                .durable = durable_,
                .offset = request_.offset,
                .length = request_.length,
                .data = data_,
                .tag = tag()});
  return true;
}

void IoTask::on_backend_done(StatusCode status) {
  check(state_ == State::submitted, "the backend completes what was submitted");
  const bool has_data = request_.op == IoOp::read && status == StatusCode::ok;
  host_->on_io_done(*this, {status, has_data ? crc32c({data_, request_.length}) : 0});
}

void IoTask::finish() noexcept {
  state_ = State::idle;
  data_ = nullptr;
  buffer_.reset();
}

// ---- Lists

void IoTaskList::push(IoTask& task) noexcept {
  task.next_ = nullptr;
  (first_ == nullptr ? first_ : last_->next_) = &task;
  last_ = &task;
}

IoTask* IoTaskList::pop() noexcept {
  IoTask* const task = first_;
  if (task != nullptr) first_ = task->next_;
  return task;
}

IoTaskPool::IoTaskPool(std::uint16_t depth) : tasks_(depth) {
  free_.reserve(depth);
  for (IoTask& task : tasks_)
    free_.push_back(&task);
  std::ranges::reverse(free_);  // the first one is taken first
}

IoTask& IoTaskPool::take() noexcept {
  check(!free_.empty(), "a path has a task for each request that it may have");
  IoTask* const task = free_.back();
  free_.pop_back();
  return *task;
}

void IoTaskPool::give_back(IoTask& task) noexcept {
  task.finish();
  free_.push_back(&task);
}

IoBuffer BufferQueue::take(IoTask& task, std::uint32_t bytes) noexcept {
  const bool is_its_turn = waiting_.empty() || served_ == &task;
  IoBuffer buffer = is_its_turn ? memory_.take(bytes) : IoBuffer();
  if (!buffer && served_ != &task) waiting_.push(task);
  return buffer;
}

void BufferQueue::serve() {
  while ((served_ = waiting_.front()) != nullptr) {
    if (!memory_.has(served_->length())) break;
    static_cast<void>(waiting_.pop());
    served_->host().resume(*served_);
  }
  served_ = nullptr;
}

}  // namespace sluice::storage_node
