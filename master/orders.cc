#include "master/orders.h"

#include <algorithm>
#include <string>

#include "master/node_name.h"
#include "protocol/base/check.h"

namespace sluice::master {
namespace {

using protocol::ControlFrame;
using protocol::NodeId;
using protocol::OrderVerb;
using protocol::QuiesceAnswer;
using protocol::QuiesceRequest;
using protocol::RequestId;
using protocol::VolumeOrder;
using protocol::VolumeOrderAnswer;
using protocol::VolumeRecord;

/// Failures that say something of the moment, not of the order.
bool may_pass(StatusCode code) noexcept {
  switch (code) {
    case StatusCode::busy:
    case StatusCode::unavailable:
    case StatusCode::timed_out:
    case StatusCode::outcome_unknown:
    case StatusCode::connection_refused:
    case StatusCode::shutting_down:
    case StatusCode::not_master:
    case StatusCode::queue_full:
      return true;
    default:
      return false;
  }
}

}  // namespace

Duty duty_of(const std::optional<VolumeRecord>& volume, const UnsettledPlace& place) {
  if (!volume) return Duty::give_back;
  if (volume->node == place.node) {
    if (!volume->has_storage) return Duty::make;
    if (volume->resizing_to != ByteCount(0)) return Duty::resize;
    return volume->moving_to == NodeId(0) ? Duty::none : Duty::wait;
  }
  return volume->moving_to == place.node ? Duty::fill : Duty::give_back;
}

bool Orders::Task::is_same_duty(const Task& other) const {
  const VolumeOrder& a = order;
  const VolumeOrder& b = other.order;
  return duty == other.duty && quiesce_gvn == other.quiesce_gvn && source == other.source && a.size == b.size;
}

Orders::Task Orders::task_for(Duty duty, const std::optional<VolumeRecord>& volume,
                              const UnsettledPlace& place) {
  Task task;
  task.duty = duty;
  task.order.volume = place.volume;
  if (volume && duty != Duty::give_back) {
    task.order.size = volume->size;
    task.order.block_size = volume->block_size;
  }
  switch (duty) {
    case Duty::make:
      task.order.verb = OrderVerb::create;
      break;
    case Duty::resize:
      task.order.verb = OrderVerb::resize;
      task.order.size = volume->resizing_to;
      break;
    case Duty::fill:
      task.source = volume->node;
      task.quiesce_gvn = volume->current_gvn;
      // Never opened: nothing was ever written.
      task.order.verb = volume->current_gvn == Gvn(0) ? OrderVerb::create : OrderVerb::copy;
      if (volume->current_gvn != Gvn(0)) task.quiesce_at = volume->node;
      break;
    case Duty::give_back:
      task.order.verb = OrderVerb::remove;
      task.quiesce_gvn = place.last_gvn;
      if (place.last_gvn != Gvn(0)) task.quiesce_at = place.node;
      break;
    case Duty::none:
    case Duty::wait:
      break;
  }
  return task;
}

void Orders::sync(VolumeId id, const std::optional<VolumeRecord>& volume,
                  std::span<const UnsettledPlace> places) {
  std::map<Key, Task> wanted;
  for (const UnsettledPlace& place : places) {
    const Duty duty = duty_of(volume, place);
    if (duty == Duty::none || duty == Duty::wait) continue;
    wanted.emplace(Key{id, place.node}, task_for(duty, volume, place));
  }
  for (auto at = tasks_.lower_bound({id, NodeId(0)}); at != tasks_.end() && at->first.first == id;) {
    const auto found = wanted.find(at->first);
    if (found != wanted.end() && found->second.is_same_duty(at->second)) {
      wanted.erase(found);
      ++at;
    } else {
      forget_outstanding(at->first, at->second);
      at = tasks_.erase(at);
    }
  }
  tasks_.merge(wanted);
  send_due();
}

void Orders::on_node_up(NodeId node) {
  on_node_lost(node);
  up_[node] = 0;
  send_due();
}

void Orders::on_node_lost(NodeId node) {
  up_.erase(node);
  for (auto& [key, task] : tasks_) {
    if (task.next_node(key.second) != node) continue;
    task.outstanding = RequestId(0);
    task.not_before = now_;
  }
}

void Orders::forget_node(NodeId node) {
  on_node_lost(node);
  std::erase_if(tasks_, [node](const auto& entry) { return entry.first.second == node; });
}

std::vector<DutyOutcome> Orders::tick(Instant now) {
  now_ = now;
  std::vector<DutyOutcome> outcomes = give_up_unanswered();
  send_due();
  return outcomes;
}

/// An order that is answered after all is done all the same: it will be found so when it is given again.
std::vector<DutyOutcome> Orders::give_up_unanswered() {
  std::vector<DutyOutcome> outcomes;
  for (auto& [key, task] : tasks_) {
    if (task.outstanding == RequestId(0) || now_ < task.answer_by) continue;
    forget_outstanding(key, task);
    outcomes.push_back(failed(key, task,
                              {StatusCode::timed_out,
                               name_of(task.next_node(key.second)) + " didn't answer within " +
                                   std::to_string(timeout_ / std::chrono::milliseconds(1)) +
                                   " ms; if its storage takes longer, raise the master's order_timeout_ms"}));
  }
  return outcomes;
}

void Orders::send_due() {
  for (auto& [key, task] : tasks_) {
    if (task.outstanding != RequestId(0) || now_ < task.not_before) continue;
    const auto node = up_.find(task.next_node(key.second));
    if (node != up_.end() && node->second < kMaxOutstanding) send(key, task);
  }
}

void Orders::send(const Key& key, Task& task) {
  const NodeId node = task.next_node(key.second);
  ControlFrame frame;
  frame.request_id = RequestId(++last_request_);
  if (task.quiesce_at != NodeId(0)) {
    frame.message = QuiesceRequest{key.first, task.quiesce_gvn, port_.manager_version()};
  } else {
    VolumeOrder order = task.order;
    order.manager_version = port_.manager_version();
    if (order.verb == OrderVerb::copy) {
      order.gvn = task.fence;
      order.source = port_.addresses_of(task.source, key.first);
      if (order.source.empty()) {  // until the old node has said where it is
        task.not_before = now_ + kRetryInterval;
        return;
      }
    }
    frame.message = order;
  }
  task.outstanding = frame.request_id;
  task.answer_by = now_ + timeout_;
  ++up_[node];
  port_.send_to_node(node, frame);
}

/// By its answer or because nobody waits for that any more.
void Orders::forget_outstanding(const Key& key, Task& task) {
  if (task.outstanding == RequestId(0)) return;
  task.outstanding = RequestId(0);
  const auto node = up_.find(task.next_node(key.second));
  if (node == up_.end()) return;
  check(node->second > 0, "an outstanding order is counted at its node");
  --node->second;
}

std::map<Orders::Key, Orders::Task>::iterator Orders::find_outstanding(NodeId node, RequestId id) {
  if (id == RequestId(0)) return tasks_.end();
  return std::ranges::find_if(tasks_, [&](const auto& entry) {
    return entry.second.outstanding == id && entry.second.next_node(entry.first.second) == node;
  });
}

std::optional<DutyOutcome> Orders::on_answer(NodeId node, RequestId id, const QuiesceAnswer& answer) {
  const auto found = find_outstanding(node, id);
  if (found == tasks_.end()) return std::nullopt;
  auto& [key, task] = *found;
  if (task.quiesce_at == NodeId(0) || answer.volume != key.first) return std::nullopt;
  forget_outstanding(key, task);
  if (answer.status == StatusCode::ok && answer.fence < task.quiesce_gvn) {
    return failed(key, task, {StatusCode::stale_version, "the tombstone is below the volume's version"});
  }
  if (answer.status != StatusCode::ok) {
    // Draining may take its time; that it isn't done yet is no reason to give up.
    DutyOutcome outcome = failed(key, task, {answer.status, "the volume isn't quiesced yet"});
    outcome.will_retry = true;
    return outcome;
  }
  task.quiesce_at = NodeId(0);
  task.fence = answer.fence;
  send_due();
  return std::nullopt;
}

std::optional<DutyOutcome> Orders::on_answer(NodeId node, RequestId id, const VolumeOrderAnswer& answer) {
  const auto found = find_outstanding(node, id);
  if (found == tasks_.end()) return std::nullopt;
  auto& [key, task] = *found;
  if (task.quiesce_at != NodeId(0) || answer.volume != key.first) return std::nullopt;
  if (task.order.verb == OrderVerb::copy) task.moved = answer.moved;
  if (answer.status == StatusCode::moving) {
    task.answer_by = now_ + timeout_;
    return std::nullopt;
  }
  forget_outstanding(key, task);
  if (answer.status != StatusCode::ok) {
    return failed(key, task, {answer.status, std::string(answer.reason.view())});
  }
  DutyOutcome outcome = outcome_of(key, task);
  // Until the store says so: if that fails, the order is given again.
  task.not_before = now_ + kRetryInterval;
  return outcome;
}

DutyOutcome Orders::failed(const Key& key, Task& task, Error error) {
  task.not_before = now_ + kRetryInterval;
  // Storage that isn't given back is no reason to forget that it should be.
  const bool will_retry = task.duty == Duty::give_back || may_pass(error.code);
  DutyOutcome outcome = outcome_of(key, task);
  outcome.error = std::move(error);
  outcome.will_retry = will_retry;
  return outcome;
}

DutyOutcome Orders::outcome_of(const Key& key, const Task& task) {
  DutyOutcome outcome;
  outcome.volume = key.first;
  outcome.node = key.second;
  outcome.duty = task.duty;
  outcome.source = task.source;
  outcome.fence = task.fence;
  return outcome;
}

ByteCount Orders::moved(VolumeId volume) const {
  for (auto at = tasks_.lower_bound({volume, NodeId(0)}); at != tasks_.end() && at->first.first == volume;
       ++at) {
    if (at->second.duty == Duty::fill) return at->second.moved;
  }
  return ByteCount(0);
}

}  // namespace sluice::master
