#include "transport/sim/responder.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <utility>

#include "transport/sim/queue_pair.h"

namespace sluice::transport::sim {

namespace {

/// RNR NAK timer codes, in units of 10 us (InfiniBand 1.2.1, table 45).
constexpr std::array<std::uint32_t, 32> kReceiverNotReadyTimer = {
    65536, 1,   2,   3,   4,    6,    8,    12,   16,   24,   32,   48,    64,    96,    128,   192,
    256,   384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384, 24576, 32768, 49152};

Duration receiver_not_ready_wait(std::uint8_t code) {
  return std::chrono::microseconds(10) * kReceiverNotReadyTimer[code % kReceiverNotReadyTimer.size()];
}

}  // namespace

Responder::Responder(QueuePair& queue_pair, std::uint32_t depth)
    : queue_pair_(queue_pair), receives_(depth) {}

void Responder::post(const ReceiveRequest& receive) {
  check(posted_ - consumed_ < receives_.size(), "a receive queue isn't overrun");
  receive_at(posted_++) = receive;
}

void Responder::on_request(Packet& packet) {
  if (read_) {
    waiting_.push_back(std::exchange(packet, {}));
    return;
  }
  execute(packet);
}

void Responder::execute(const Packet& packet) {
  const std::uint32_t fragment = packet.kind == PacketKind::read_request ? 0 : packet.fragment;
  if (packet.message != expected_message_ || fragment != expected_fragment_) {
    answer_out_of_order(packet);
    return;
  }
  switch (packet.kind) {
    case PacketKind::send:
      execute_send(packet);
      return;
    case PacketKind::write:
      execute_write(packet);
      return;
    default:
      execute_read(packet);
      return;
  }
}

void Responder::answer_out_of_order(const Packet& packet) {
  const bool is_duplicate = packet.message < expected_message_ ||
                            (packet.message == expected_message_ && packet.fragment < expected_fragment_);
  if (is_duplicate && packet.kind == PacketKind::read_request) {
    execute_read(packet);  // a repeated READ is executed again (9.7.5.1.5)
  } else if (is_duplicate) {
    if (packet.is_last) acknowledge(expected_message_ - 1);
  } else if (!has_complained_) {
    has_complained_ = true;
    Wire& wire = queue_pair_.wire();
    const std::uint64_t slot = wire.packets.take();
    Packet& answer = wire.packets.at(slot);
    answer.kind = PacketKind::out_of_sequence;
    answer.message = expected_message_;
    answer.fragment = expected_fragment_;
    queue_pair_.send_packet(slot);
  }
}

// ---- Execution

void Responder::execute_send(const Packet& packet) {
  Wire& wire = queue_pair_.wire();
  if (packet.fragment == 0 &&
      (consumed_ == posted_ || wire.core.strikes(FaultKind::receiver_not_ready, queue_pair_.number()))) {
    answer_receiver_not_ready();
    return;
  }
  const ReceiveRequest& receive = receive_at(consumed_);
  const std::uint32_t offset = packet.fragment * wire.core.config.mtu_bytes;
  const std::size_t length = packet.payload.size();
  if (offset + length > receive.buffer.length) {
    refuse(packet.message, CompletionStatus::remote_operation, CompletionStatus::local_length);
    return;
  }
  if (receive.buffer.length > 0 &&
      !wire.memory.allows(receive.buffer, Access::local_write, queue_pair_.config().domain)) {
    refuse(packet.message, CompletionStatus::remote_operation, CompletionStatus::local_protection);
    return;
  }
  if (length > 0) std::memcpy(receive.buffer.data + offset, packet.payload.data(), length);
  if (packet.is_last) {
    Completion completion;
    completion.id = receive.id;
    completion.is_receive = true;
    completion.byte_count = packet.total_bytes;
    completion.immediate = packet.immediate;
    queue_pair_.complete_receive(consumed_++, completion);
  }
  advance(packet);
}

void Responder::execute_write(const Packet& packet) {
  if (!write_to_memory(packet)) {
    refuse(packet.message, CompletionStatus::remote_access, CompletionStatus::flushed);
    return;
  }
  advance(packet);
}

/// False: the peer may not write there.
bool Responder::write_to_memory(const Packet& packet) {
  if (packet.total_bytes == 0) return true;
  // The whole range at its first packet, as a device does; and again at each, since regions go.
  Wire& wire = queue_pair_.wire();
  std::byte* const start = wire.memory.reach(packet.remote, 0, packet.total_bytes, Access::remote_write,
                                             queue_pair_.config().domain);
  if (start == nullptr) return false;
  std::byte* const target = start + packet.fragment * wire.core.config.mtu_bytes;
  std::memcpy(target, packet.payload.data(), packet.payload.size());
  if (wire.on_write) wire.on_write({target, packet.payload.size()});
  return true;
}

bool Responder::on_late_packet(const Packet& packet) {
  const bool is_next = packet.message == expected_message_ && packet.fragment == expected_fragment_;
  if (!is_next || (packet.kind == PacketKind::write && !write_to_memory(packet))) return false;
  queue_pair_.wire().core.count_fault(FaultKind::late_write, queue_pair_.number());
  expected_fragment_ = packet.is_last ? 0 : expected_fragment_ + 1;
  if (packet.is_last) ++expected_message_;
  return true;
}

void Responder::advance(const Packet& packet) {
  has_complained_ = false;
  if (!packet.is_last) {
    ++expected_fragment_;
    return;
  }
  ++expected_message_;
  expected_fragment_ = 0;
  acknowledge(packet.message);
}

void Responder::execute_read(const Packet& packet) {
  if (packet.message == expected_message_) {
    ++expected_message_;
    has_complained_ = false;
  }
  read_ = ReadUnderWay{packet.message, packet.fragment, packet.total_bytes, packet.remote};
  on_read_response();
}

/// Memory is read when the packet leaves, so a long READ sees what is written meanwhile.
void Responder::on_read_response() {
  if (!read_ || queue_pair_.state() != QueuePair::State::ready) return;
  Wire& wire = queue_pair_.wire();
  const std::uint32_t mtu = wire.core.config.mtu_bytes;
  const std::uint32_t offset = read_->next_fragment * mtu;
  const std::uint32_t length = std::min(mtu, read_->total_bytes - offset);
  const std::byte* source = nullptr;
  if (read_->total_bytes > 0) {
    source = wire.memory.reach(read_->remote, 0, read_->total_bytes, Access::remote_read,
                               queue_pair_.config().domain);
    if (source == nullptr) {
      refuse(read_->message, CompletionStatus::remote_access, CompletionStatus::flushed);
      return;
    }
  }
  const std::uint64_t slot = wire.packets.take();
  Packet& response = wire.packets.at(slot);
  response.kind = PacketKind::read_response;
  response.message = read_->message;
  response.fragment = read_->next_fragment++;
  response.total_bytes = read_->total_bytes;
  response.is_last = offset + length == read_->total_bytes;
  if (length > 0) response.payload.assign(source + offset, source + offset + length);
  const bool is_last = response.is_last;
  queue_pair_.send_packet(slot);
  if (!is_last) {
    wire.core.schedule_after(Duration(std::int64_t{length} * 1000 / wire.core.config.bytes_per_us),
                             EventKind::read_response, queue_pair_.number());
    return;
  }
  read_.reset();
  while (!read_ && !waiting_.empty() && queue_pair_.state() == QueuePair::State::ready) {
    const Packet next = std::move(waiting_.front());
    waiting_.pop_front();
    execute(next);
  }
}

// ---- Answers

void Responder::acknowledge(std::uint64_t message) {
  Wire& wire = queue_pair_.wire();
  const std::uint64_t slot = wire.packets.take();
  Packet& answer = wire.packets.at(slot);
  answer.kind = PacketKind::acknowledge;
  answer.message = message;
  queue_pair_.send_packet(slot);
}

void Responder::answer_receiver_not_ready() {
  has_complained_ = true;  // what follows it on the wire is dropped without a word
  Wire& wire = queue_pair_.wire();
  const std::uint64_t slot = wire.packets.take();
  Packet& answer = wire.packets.at(slot);
  answer.kind = PacketKind::receiver_not_ready;
  answer.message = expected_message_;
  answer.wait = receiver_not_ready_wait(queue_pair_.config().min_rnr_timer);
  queue_pair_.send_packet(slot);
}

void Responder::refuse(std::uint64_t message, CompletionStatus to_peer, CompletionStatus here) {
  Wire& wire = queue_pair_.wire();
  const std::uint64_t slot = wire.packets.take();
  Packet& answer = wire.packets.at(slot);
  answer.kind = PacketKind::refused;
  answer.message = message;
  answer.status = to_peer;
  queue_pair_.send_packet(slot);
  read_.reset();
  WorkId failed_receive;
  if (here != CompletionStatus::flushed) {
    receive_failure_ = here;
    failed_receive = receive_at(consumed_).id;
  }
  queue_pair_.fail({QueuePairCause::Kind::refused_peer, here == CompletionStatus::flushed ? to_peer : here,
                    failed_receive});
}

void Responder::flush(const QueuePairCause& cause) {
  waiting_.clear();
  read_.reset();
  while (consumed_ < posted_) {
    Completion completion;
    completion.id = receive_at(consumed_).id;
    completion.is_receive = true;
    completion.status = CompletionStatus::flushed;
    if (cause.kind == QueuePairCause::Kind::refused_peer && receive_failure_)
      completion.status = *std::exchange(receive_failure_, std::nullopt);
    queue_pair_.complete_receive(consumed_++, completion);
  }
}

}  // namespace sluice::transport::sim
