#include "transport/sim/requester.h"

#include <algorithm>
#include <cstring>

#include "transport/sim/queue_pair.h"

namespace sluice::transport::sim {

namespace {

constexpr std::uint8_t kRetryForever = 7;  // rnr_retry only

std::uint32_t total_bytes(const WorkRequest& request) {
  std::uint32_t total = 0;
  for (std::size_t i = 0; i < request.segment_count; ++i)
    total += request.segments[i].length;
  return total;
}

/// Calls `part(local, length)` for the pieces of the segments that make up [offset, offset + length).
template <typename Part>
void for_each_part(const WorkRequest& request, std::uint32_t offset, std::uint32_t length, Part part) {
  for (std::size_t i = 0; i < request.segment_count && length > 0; ++i) {
    const LocalBuffer& segment = request.segments[i];
    if (offset >= segment.length) {
      offset -= segment.length;
      continue;
    }
    const std::uint32_t piece = std::min(length, segment.length - offset);
    part(segment.data + offset, piece);
    length -= piece;
    offset = 0;
  }
}

}  // namespace

Requester::Requester(QueuePair& queue_pair, std::uint32_t depth) : queue_pair_(queue_pair), works_(depth) {}

std::uint32_t Requester::fragments_of(std::uint32_t bytes) const noexcept {
  const std::uint32_t mtu = queue_pair_.wire().core.config.mtu_bytes;
  return bytes == 0 ? 1 : (bytes - 1) / mtu + 1;
}

// ---- Transmission

void Requester::post(const WorkRequest& request) {
  check(posted_ - acknowledged_ < works_.size(), "a send queue isn't overrun");
  Work& work = work_at(posted_);
  work.request = request;
  work.total_bytes = total_bytes(request);
  work.fragments_read = 0;
  work.inline_bytes.clear();
  if (request.inline_data) {
    for_each_part(request, 0, work.total_bytes, [&](const std::byte* bytes, std::uint32_t length) {
      work.inline_bytes.insert(work.inline_bytes.end(), bytes, bytes + length);
    });
  }
  ++posted_;
}

void Requester::ring_doorbell() {
  Core& core = queue_pair_.wire().core;
  schedule_transmit(core.latencies.up_to(core.config.post_delay));
}

bool Requester::may_transmit() const noexcept {
  return queue_pair_.state() == QueuePair::State::ready && !waits_for_receiver_ && next_message_ < posted_ &&
         (!failure_ || next_message_ < failure_->message);
}

void Requester::schedule_transmit(Duration delay) {
  if (transmit_scheduled_ || !may_transmit()) return;
  transmit_scheduled_ = true;
  queue_pair_.wire().core.schedule_after(delay, EventKind::transmit, queue_pair_.number());
}

void Requester::on_transmit() {
  transmit_scheduled_ = false;
  if (!may_transmit()) return;
  Wire& wire = queue_pair_.wire();
  Work& work = work_at(next_message_);
  const std::uint64_t slot = wire.packets.take();
  Packet& packet = wire.packets.at(slot);
  if (!fill_packet(work, packet)) {
    wire.packets.give_back(slot);
    fail_when_reached(next_message_, CompletionStatus::local_protection);
    return;
  }
  const auto bytes = static_cast<std::int64_t>(packet.payload.size());
  if (packet.is_last) {
    ++next_message_;
    next_fragment_ = 0;
  } else {
    ++next_fragment_;
  }
  queue_pair_.send_packet(slot);
  start_acknowledge_timer();
  schedule_transmit(Duration(bytes * 1000 / wire.core.config.bytes_per_us));
}

/// False: a local buffer isn't what it should be.
bool Requester::fill_packet(Work& work, Packet& packet) {
  Wire& wire = queue_pair_.wire();
  const WorkRequest& request = work.request;
  packet.message = next_message_;
  packet.fragment = next_fragment_;
  packet.total_bytes = work.total_bytes;
  packet.remote = request.remote;
  packet.immediate = request.immediate;
  if (!request.inline_data) {
    const Access needed = request.opcode == Opcode::read ? Access::local_write : Access::none;
    for (std::size_t i = 0; i < request.segment_count; ++i) {
      const LocalBuffer& segment = request.segments[i];
      if (segment.length > 0 && !wire.memory.allows(segment, needed, queue_pair_.config().domain))
        return false;
    }
  }
  if (request.opcode == Opcode::read) {
    packet.kind = PacketKind::read_request;
    packet.fragment = work.fragments_read;
    packet.is_last = true;
    return true;
  }
  packet.kind = request.opcode == Opcode::send ? PacketKind::send : PacketKind::write;
  packet.is_last = next_fragment_ + 1 == fragments_of(work.total_bytes);
  const std::uint32_t mtu = wire.core.config.mtu_bytes;
  const std::uint32_t offset = next_fragment_ * mtu;
  const std::uint32_t length = std::min(mtu, work.total_bytes - offset);
  if (request.inline_data) {
    const auto start = work.inline_bytes.begin() + offset;
    packet.payload.assign(start, start + length);
  } else {
    for_each_part(request, offset, length, [&](const std::byte* bytes, std::uint32_t piece) {
      packet.payload.insert(packet.payload.end(), bytes, bytes + piece);
    });
  }
  return true;
}

void Requester::rewind(std::uint64_t message, std::uint32_t fragment) {
  next_message_ = message;
  next_fragment_ = fragment;
  schedule_transmit(Duration::zero());
}

// ---- Answers

void Requester::on_answer(const Packet& packet) {
  if (loses_acknowledgements_) return;
  switch (packet.kind) {
    case PacketKind::acknowledge:
      acknowledge_until(packet.message + 1);
      return;
    case PacketKind::read_response:
      acknowledge_until(packet.message);
      on_read_response(packet);
      return;
    case PacketKind::out_of_sequence:
      acknowledge_until(packet.message);
      if (acknowledged_ == packet.message && packet.message < posted_)
        rewind(packet.message, packet.fragment);
      return;
    case PacketKind::receiver_not_ready:
      acknowledge_until(packet.message);
      if (acknowledged_ == packet.message) on_receiver_not_ready(packet);
      return;
    case PacketKind::refused:
      acknowledge_until(packet.message);
      if (queue_pair_.state() == QueuePair::State::ready) fail_now(packet.message, packet.status);
      return;
    case PacketKind::send:
    case PacketKind::write:
    case PacketKind::read_request:
      check(false, "a request goes to the responder");
  }
}

void Requester::acknowledge_until(std::uint64_t end) {
  if (end <= acknowledged_) return;
  check(end <= posted_, "only what was sent is acknowledged");
  timeouts_ = 0;
  receiver_not_ready_tries_ = 0;
  // The answer overtook a retransmission.
  if (next_message_ < end) {
    next_message_ = end;
    next_fragment_ = 0;
  }
  while (acknowledged_ < end) {
    Work& work = work_at(acknowledged_);
    if (work.request.opcode == Opcode::read && work.fragments_read < fragments_of(work.total_bytes)) {
      rewind(acknowledged_, 0);  // its response was lost
      return;
    }
    const std::uint64_t number = acknowledged_++;
    if (work.request.signaled) {
      Completion completion;
      completion.id = work.request.id;
      queue_pair_.complete_send(number, completion);
    }
  }
  start_acknowledge_timer();
  fail_if_reached();
}

void Requester::on_read_response(const Packet& packet) {
  if (packet.message != acknowledged_ || queue_pair_.state() != QueuePair::State::ready) return;
  Work& work = work_at(packet.message);
  if (packet.fragment != work.fragments_read) return;  // one before it was lost
  const std::uint32_t offset = packet.fragment * queue_pair_.wire().core.config.mtu_bytes;
  if (!scatter(work, offset, packet.payload)) {
    fail_now(packet.message, CompletionStatus::local_protection);
    return;
  }
  ++work.fragments_read;
  timeouts_ = 0;
  start_acknowledge_timer();
  if (packet.is_last) acknowledge_until(packet.message + 1);
}

bool Requester::scatter(const Work& work, std::uint32_t offset, const std::vector<std::byte>& bytes) const {
  Wire& wire = queue_pair_.wire();
  const WorkRequest& request = work.request;
  for (std::size_t i = 0; i < request.segment_count; ++i) {
    if (request.segments[i].length > 0 &&
        !wire.memory.allows(request.segments[i], Access::local_write, queue_pair_.config().domain)) {
      return false;
    }
  }
  const std::byte* source = bytes.data();
  for_each_part(request, offset, static_cast<std::uint32_t>(bytes.size()),
                [&](std::byte* target, std::uint32_t length) {
                  std::memcpy(target, source, length);
                  source += length;
                });
  return true;
}

void Requester::on_receiver_not_ready(const Packet& packet) {
  const std::uint8_t limit = queue_pair_.peer().rnr_retry_count;
  if (limit < kRetryForever && receiver_not_ready_tries_ >= limit) {
    fail_now(packet.message, CompletionStatus::receiver_not_ready);
    return;
  }
  ++receiver_not_ready_tries_;
  timeouts_ = 0;
  next_message_ = packet.message;
  next_fragment_ = 0;
  if (waits_for_receiver_) return;
  waits_for_receiver_ = true;
  queue_pair_.wire().core.schedule_after(packet.wait, EventKind::receiver_not_ready_timer,
                                         queue_pair_.number());
}

void Requester::on_receiver_not_ready_timer() {
  waits_for_receiver_ = false;
  schedule_transmit(Duration::zero());
}

// ---- Failure

void Requester::start_acknowledge_timer() {
  const std::uint8_t exponent = queue_pair_.config().ack_timeout_exponent;
  if (exponent == 0) return;  // means never (InfiniBand 1.2.1, 9.7.6.1.3)
  Core& core = queue_pair_.wire().core;
  acknowledge_deadline_ = core.now() + Duration(std::int64_t{4096} << exponent);
  if (timer_scheduled_) return;  // it looks at the deadline when it goes off
  timer_scheduled_ = true;
  core.schedule(acknowledge_deadline_, EventKind::acknowledge_timer, queue_pair_.number());
}

void Requester::on_acknowledge_timer() {
  timer_scheduled_ = false;
  if (queue_pair_.state() != QueuePair::State::ready || waits_for_receiver_ || !is_waiting_for_answer())
    return;
  Core& core = queue_pair_.wire().core;
  if (core.now() < acknowledge_deadline_) {
    timer_scheduled_ = true;
    core.schedule(acknowledge_deadline_, EventKind::acknowledge_timer, queue_pair_.number());
    return;
  }
  if (timeouts_ >= queue_pair_.peer().retry_count) {
    fail_now(acknowledged_, CompletionStatus::retry_exceeded);
    return;
  }
  ++timeouts_;
  start_acknowledge_timer();
  rewind(acknowledged_, 0);
}

void Requester::fail_when_reached(std::uint64_t message, CompletionStatus status) {
  failure_ = Failure{message, status};
  fail_if_reached();
}

void Requester::fail_if_reached() {
  if (failure_ && failure_->message == acknowledged_ && queue_pair_.state() == QueuePair::State::ready)
    fail_now(failure_->message, failure_->status);
}

void Requester::fail_now(std::uint64_t message, CompletionStatus status) {
  failure_ = Failure{message, status};
  queue_pair_.fail({QueuePairCause::Kind::request_failed, status, work_at(message).request.id});
}

void Requester::flush(const QueuePairCause& cause) {
  while (acknowledged_ < posted_) {
    const std::uint64_t number = acknowledged_++;
    Completion completion;
    completion.id = work_at(number).request.id;
    completion.status = CompletionStatus::flushed;
    if (cause.kind == QueuePairCause::Kind::request_failed && failure_ && failure_->message == number)
      completion.status = failure_->status;
    queue_pair_.complete_send(number, completion);
  }
  next_message_ = posted_;
  next_fragment_ = 0;
}

}  // namespace sluice::transport::sim
