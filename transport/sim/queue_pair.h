#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "transport/provider.h"
#include "transport/sim/requester.h"
#include "transport/sim/responder.h"
#include "transport/sim/wire.h"

namespace sluice::transport::sim {

/// Who uses a queue pair: the software side of an endpoint.
class QueuePairOwner {
 public:
  QueuePairOwner() = default;
  QueuePairOwner(const QueuePairOwner&) = delete;
  QueuePairOwner& operator=(const QueuePairOwner&) = delete;
  virtual ~QueuePairOwner() = default;

  /// A completion queue entry. `number` counts the requests of its queue, from 0.
  virtual void on_completion(std::uint64_t number, const Completion& completion) = 0;
  /// It went to the error state by itself; flushed work follows.
  virtual void on_queue_pair_error() = 0;
  /// In the error state: the last completion was delivered.
  virtual void on_flushed() = 0;
  virtual void on_deadline() = 0;
};

struct QueuePairConfig {
  std::uint32_t send_depth = 1;
  std::uint32_t receive_depth = 1;
  std::uint64_t domain = 0;
  std::uint8_t min_rnr_timer = 12;
  std::uint8_t ack_timeout_exponent = 14;
};

/// What the connection manager agreed on with the peer.
struct PeerParameters {
  std::uint64_t queue_pair = 0;
  Path* path = nullptr;              ///< to the peer
  std::uint8_t retry_count = 7;      ///< the connecting side's word, for both
  std::uint8_t rnr_retry_count = 7;  ///< the peer's word
};

/// Why a queue pair is in the error state.
struct QueuePairCause {
  enum class Kind : std::uint8_t { none, asked, request_failed, refused_peer, device_error };
  Kind kind = Kind::none;
  CompletionStatus status = CompletionStatus::flushed;
  WorkId id;
};

/// One reliable connected queue pair, as a device runs it: it needs no software to execute the peer's
/// one-sided work, to acknowledge, to retransmit and to fail.
class QueuePair {
 public:
  enum class State : std::uint8_t { initialized, ready, error };

  QueuePair(Wire& wire, QueuePairOwner& owner, const QueuePairConfig& config);
  QueuePair(const QueuePair&) = delete;
  QueuePair& operator=(const QueuePair&) = delete;
  ~QueuePair() { wire_.strike_off(number_); }

  [[nodiscard]] std::uint64_t number() const noexcept { return number_; }
  [[nodiscard]] State state() const noexcept { return state_; }
  [[nodiscard]] const QueuePairCause& cause() const noexcept { return cause_; }
  [[nodiscard]] bool is_flushed() const noexcept {
    return state_ == State::error && pending_sends_.empty() && pending_receives_.empty();
  }

  /// Connected, and its peer hasn't broken down.
  [[nodiscard]] bool takes_packets() const noexcept { return state_ == State::ready && !is_deaf(); }

  void connect(const PeerParameters& peer);
  /// One doorbell. In the error state everything is flushed.
  void post(std::span<const WorkRequest> chain);
  void post_receives(std::span<const ReceiveRequest> receives);
  /// The user's ibv_modify_qp(IBV_QPS_ERR). Nothing more leaves it; what is on the wire arrives.
  void enter_error() { fail({QueuePairCause::Kind::asked, CompletionStatus::flushed, {}}); }
  /// The device no longer exists for it: all completions are delivered at once, nothing is touched any more.
  void destroy_and_flush();
  /// A device that doesn't do its duty: what is to be flushed never shows.
  void hold_flushes() noexcept { holds_flushes_ = true; }
  /// A fatal error of the device's: of what is on the wire to the peer, a random prefix still arrives.
  void break_down();
  /// No acknowledgement arrives any more.
  void lose_acknowledgements() noexcept { requester_.lose_acknowledgements(); }

  // Events:
  void on_packet(Packet& packet);
  void on_transmit() { requester_.on_transmit(); }
  void on_read_response() { responder_.on_read_response(); }
  void on_acknowledge_timer() { requester_.on_acknowledge_timer(); }
  void on_receiver_not_ready_timer() { requester_.on_receiver_not_ready_timer(); }
  void on_send_completions() { deliver(pending_sends_, EventKind::send_completions); }
  void on_receive_completions() { deliver(pending_receives_, EventKind::receive_completions); }
  /// What is on the wire arrives while the device may still execute it: delays are as long as hurts most.
  void on_late_arrivals();
  void on_deadline() { owner_.on_deadline(); }

  // For the requester and the responder:
  [[nodiscard]] Wire& wire() noexcept { return wire_; }
  [[nodiscard]] const QueuePairConfig& config() const noexcept { return config_; }
  [[nodiscard]] const PeerParameters& peer() const noexcept { return peer_; }
  /// Packets of one queue pair arrive in the order in which they were sent. To the peer, with `to` filled in.
  void send_packet(std::uint64_t packet);
  void complete_send(std::uint64_t number, const Completion& completion) {
    complete(pending_sends_, EventKind::send_completions, number, completion);
  }
  void complete_receive(std::uint64_t number, const Completion& completion) {
    complete(pending_receives_, EventKind::receive_completions, number, completion);
  }
  /// To the error state: everything outstanding is flushed. Harmless if it is there already.
  void fail(const QueuePairCause& cause);

 private:
  struct Pending {
    Instant due;
    std::uint64_t number;
    Completion completion;
  };
  using PendingQueue = std::deque<Pending>;

  /// In the error state, and the device may not be done yet.
  [[nodiscard]] bool is_closing() const noexcept {
    return state_ == State::error && !is_flushed() && !is_deaf();
  }
  [[nodiscard]] bool is_deaf() const noexcept { return deaf_after_ && wire_.core.now() > *deaf_after_; }
  void complete(PendingQueue& queue, EventKind event, std::uint64_t number, const Completion& completion);
  void deliver(PendingQueue& queue, EventKind event);

  Wire& wire_;
  QueuePairOwner& owner_;
  const QueuePairConfig config_;
  std::uint64_t number_;
  State state_ = State::initialized;
  PeerParameters peer_;
  QueuePairCause cause_;
  bool holds_flushes_ = false;
  Instant flushes_at_{};  ///< in the error state: not before
  Instant last_arrival_{};
  std::optional<Instant> deaf_after_;  ///< the peer broke down: later packets of its are lost
  PendingQueue pending_sends_;
  PendingQueue pending_receives_;
  Requester requester_;
  Responder responder_;
};

}  // namespace sluice::transport::sim
