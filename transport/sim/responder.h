#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "transport/provider.h"
#include "transport/sim/packet.h"

namespace sluice::transport::sim {

class QueuePair;
struct QueuePairCause;

/// The receive queue of a queue pair and the peer's one-sided work: executes each request exactly once and
/// in order, and acknowledges it. Needs no software. InfiniBand 1.2.1, volume 1, 9.7.5.
class Responder {
 public:
  Responder(QueuePair& queue_pair, std::uint32_t depth);

  void post(const ReceiveRequest& receive);
  void on_request(Packet& packet);
  /// In the error state, before everything is flushed: what arrives in order is executed, though nobody is
  /// told, and the receives of SENDs are flushed like the others. False: it isn't.
  bool on_late_packet(const Packet& packet);
  void on_read_response();
  /// Completes all receives: flushed, but for one that failed.
  void flush(const QueuePairCause& cause);

 private:
  /// A READ that is being answered, packet by packet. Later requests wait.
  struct ReadUnderWay {
    std::uint64_t message;
    std::uint32_t next_fragment;
    std::uint32_t total_bytes;
    RemoteBuffer remote;
  };

  void execute(const Packet& packet);
  void execute_send(const Packet& packet);
  void execute_write(const Packet& packet);
  void execute_read(const Packet& packet);
  [[nodiscard]] bool write_to_memory(const Packet& packet);
  void advance(const Packet& packet);
  void acknowledge(std::uint64_t message);
  void answer_out_of_order(const Packet& packet);
  void answer_receiver_not_ready();
  /// The peer's request can't be executed; this end fails as well (a Class C fault, 9.9.3).
  void refuse(std::uint64_t message, CompletionStatus to_peer, CompletionStatus here);
  [[nodiscard]] ReceiveRequest& receive_at(std::uint64_t number) {
    return receives_[number % receives_.size()];
  }

  QueuePair& queue_pair_;
  std::vector<ReceiveRequest> receives_;  ///< a ring, by number
  std::uint64_t posted_ = 0;
  std::uint64_t consumed_ = 0;
  std::optional<CompletionStatus> receive_failure_;  ///< of the receive that is being filled

  std::uint64_t expected_message_ = 0;
  std::uint32_t expected_fragment_ = 0;
  bool has_complained_ = false;  ///< one NAK for one gap
  std::optional<ReadUnderWay> read_;
  std::deque<Packet> waiting_;
};

}  // namespace sluice::transport::sim
