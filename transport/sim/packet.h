#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "transport/provider.h"

namespace sluice::transport::sim {

enum class PacketKind : std::uint8_t {
  send,
  write,
  read_request,
  read_response,
  acknowledge,         ///< of `message` and all before it
  out_of_sequence,     ///< NAK: expected `message`, `fragment`; all before it is acknowledged
  receiver_not_ready,  ///< NAK of `message`: try again after `wait`
  refused,             ///< NAK of `message` for good, with `status`
};

/// One packet. A message's number counts the requests of its sender's send queue; a fragment's the pieces of
/// at most an MTU. Together they take the place of a packet sequence number, and never wrap.
struct Packet {
  PacketKind kind = PacketKind::send;
  std::uint64_t to = 0;  ///< queue pair
  std::uint64_t message = 0;
  std::uint32_t fragment = 0;  ///< of read_request: the first that is asked for
  std::uint32_t total_bytes = 0;
  bool is_last = false;
  CompletionStatus status = CompletionStatus::success;
  RemoteBuffer remote;
  std::optional<std::uint32_t> immediate;
  Duration wait{};
  std::vector<std::byte> payload;
};

/// Packets under way, by slot; payload buffers are used again.
class PacketPool {
 public:
  /// An empty packet.
  std::uint64_t take() {
    if (free_.empty()) {
      packets_.emplace_back();
      return packets_.size() - 1;
    }
    const std::uint64_t slot = free_.back();
    free_.pop_back();
    return slot;
  }
  [[nodiscard]] Packet& at(std::uint64_t slot) { return packets_[slot]; }
  void give_back(std::uint64_t slot) {
    Packet& packet = packets_[slot];
    std::vector<std::byte> payload = std::move(packet.payload);
    payload.clear();
    packet = {};
    packet.payload = std::move(payload);
    free_.push_back(slot);
  }
  /// Those to this queue pair, in the order of slots.
  template <typename Call>
  void for_each_to(std::uint64_t queue_pair, Call&& call) {
    for (std::uint64_t slot = 0; slot < packets_.size(); ++slot) {
      if (packets_[slot].to == queue_pair) call(packets_[slot]);
    }
  }
  [[nodiscard]] std::size_t in_use() const noexcept { return packets_.size() - free_.size(); }

 private:
  std::deque<Packet> packets_;  // a deque, so that taking one doesn't move the others
  std::vector<std::uint64_t> free_;
};

}  // namespace sluice::transport::sim
