#include "transport/sim/queue_pair.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "protocol/base/crc32c.h"

namespace sluice::transport::sim {

namespace {

/// What one side asks of the other, and makes no answer.
bool is_work(const Packet& packet) noexcept {
  return packet.kind == PacketKind::send || packet.kind == PacketKind::write;
}

}  // namespace

QueuePair::QueuePair(Wire& wire, QueuePairOwner& owner, const QueuePairConfig& config)
    : wire_(wire),
      owner_(owner),
      config_(config),
      number_(wire.enroll(*this)),
      requester_(*this, config.send_depth),
      responder_(*this, config.receive_depth) {}

void QueuePair::connect(const PeerParameters& peer) {
  if (state_ != State::initialized) return;
  peer_ = peer;
  state_ = State::ready;
}

void QueuePair::post(std::span<const WorkRequest> chain) {
  for (const WorkRequest& request : chain) {
    wire_.core.note(TraceKind::posted, number_, requester_.posted(),
                    static_cast<std::uint64_t>(request.opcode));
    requester_.post(request);
  }
  if (state_ == State::error) {
    requester_.flush(cause_);
    return;
  }
  requester_.ring_doorbell();
  if (wire_.core.strikes(FaultKind::retry_exhaustion, number_)) lose_acknowledgements();
  if (wire_.core.strikes(FaultKind::queue_pair_error, number_)) {
    wire_.core.schedule_after(wire_.core.chances.up_to(wire_.core.faults.error_delay_max),
                              EventKind::queue_pair_fault, number_);
  }
}

void QueuePair::post_receives(std::span<const ReceiveRequest> receives) {
  for (const ReceiveRequest& receive : receives)
    responder_.post(receive);
  if (state_ == State::error) responder_.flush(cause_);
}

void QueuePair::on_packet(Packet& packet) {
  Core& core = wire_.core;
  if (!takes_packets()) {
    if (is_closing() && is_work(packet) && responder_.on_late_packet(packet)) return;
    core.note(TraceKind::packet_unwanted, number_);
    return;
  }
  core.note(TraceKind::packet_arrived, number_, packet.message,
            (static_cast<std::uint64_t>(packet.kind) << 32U) | packet.fragment);
  if (core.config.trace_payloads && !packet.payload.empty())
    core.note(TraceKind::payload, number_, packet.payload.size(), crc32c(packet.payload));
  switch (packet.kind) {
    case PacketKind::send:
    case PacketKind::write:
    case PacketKind::read_request:
      responder_.on_request(packet);
      return;
    default:
      requester_.on_answer(packet);
      return;
  }
}

void QueuePair::send_packet(std::uint64_t packet) {
  wire_.packets.at(packet).to = peer_.queue_pair;
  const auto arrival = wire_.send(*peer_.path, packet, last_arrival_, number_);
  if (arrival) last_arrival_ = *arrival;
}

void QueuePair::fail(const QueuePairCause& cause) {
  if (state_ == State::error) return;
  state_ = State::error;
  cause_ = cause;
  Core& core = wire_.core;
  core.note(TraceKind::queue_pair_failed, number_, static_cast<std::uint64_t>(cause.status));
  const Duration until_flushed = core.latencies.up_to(core.config.flush_delay);
  flushes_at_ = core.now() + until_flushed;
  core.schedule_after(core.latencies.up_to(until_flushed), EventKind::late_arrivals, number_);
  requester_.flush(cause);
  responder_.flush(cause);
  if (cause.kind != QueuePairCause::Kind::asked) owner_.on_queue_pair_error();
}

void QueuePair::on_late_arrivals() {
  if (!is_closing()) return;
  std::vector<Packet*> late;
  wire_.packets.for_each_to(number_, [&](Packet& packet) {
    if (is_work(packet)) late.push_back(&packet);
  });
  std::ranges::sort(late, [](const Packet* a, const Packet* b) {
    return std::pair(a->message, a->fragment) < std::pair(b->message, b->fragment);
  });
  for (Packet* const packet : late) {
    if (responder_.on_late_packet(*packet)) packet->to = 0;
  }
}

void QueuePair::break_down() {
  if (state_ != State::ready) return;
  if (QueuePair* peer = wire_.find(peer_.queue_pair); peer != nullptr) {
    const Duration under_way = std::max(last_arrival_ - wire_.core.now(), Duration::zero());
    peer->deaf_after_ = wire_.core.now() + wire_.core.chances.up_to(under_way);
  }
  fail({QueuePairCause::Kind::device_error, CompletionStatus::flushed, {}});
}

void QueuePair::destroy_and_flush() {
  fail({QueuePairCause::Kind::asked, CompletionStatus::flushed, {}});
  wire_.strike_off(number_);
  holds_flushes_ = false;
  for (PendingQueue* queue : {&pending_sends_, &pending_receives_}) {
    for (Pending& pending : *queue)
      pending.due = wire_.core.now();
  }
  deliver(pending_sends_, EventKind::send_completions);
  deliver(pending_receives_, EventKind::receive_completions);
}

void QueuePair::complete(PendingQueue& queue, EventKind event, std::uint64_t number,
                         const Completion& completion) {
  Core& core = wire_.core;
  Instant due = core.now() + core.latencies.up_to(core.config.completion_delay);
  if (core.strikes(FaultKind::completion_delay, number_))
    due = due + core.chances.up_to(core.faults.completion_delay_max);
  if (completion.status == CompletionStatus::flushed) due = std::max(due, flushes_at_);
  if (!queue.empty()) due = std::max(due, queue.back().due);
  queue.push_back({due, number, completion});
  if (queue.size() == 1) core.schedule(due, event, number_);
}

void QueuePair::deliver(PendingQueue& queue, EventKind event) {
  Core& core = wire_.core;
  while (!queue.empty() && queue.front().due <= core.now()) {
    const bool is_flush = queue.front().completion.status == CompletionStatus::flushed;
    if (holds_flushes_ && is_flush) return;
    const Pending pending = queue.front();
    queue.pop_front();
    core.note(TraceKind::completed, number_, pending.completion.id.bits(),
              static_cast<std::uint64_t>(pending.completion.status));
    owner_.on_completion(pending.number, pending.completion);
  }
  if (!queue.empty()) {
    core.schedule(queue.front().due, event, number_);
  } else if (is_flushed()) {
    owner_.on_flushed();
  }
}

}  // namespace sluice::transport::sim
