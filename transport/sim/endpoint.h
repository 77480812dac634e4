#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "transport/provider.h"
#include "transport/sim/completion_queue.h"
#include "transport/sim/queue_pair.h"
#include "transport/sim/sim_provider.h"

namespace sluice::transport::sim {

/// The software side of a connection: its state, the accounts of what is posted, and the way down. Its state
/// changes when its process looks (poll, next_event), never behind its back: until then a queue pair that
/// has failed takes work, and flushes it.
class SimEndpoint final : public Endpoint, public QueuePairOwner {
 public:
  /// Errors: invalid_argument, limit_reached, out_of_memory.
  static Result<std::unique_ptr<SimEndpoint>> create(SimProvider& provider, const EndpointConfig& config,
                                                     std::string peer);
  ~SimEndpoint() override;

  Status post(std::span<const WorkRequest> chain) noexcept override;
  Status post_receives(std::span<const ReceiveRequest> receives) noexcept override;
  void close() noexcept override;
  [[nodiscard]] EndpointState state() const noexcept override { return state_; }
  [[nodiscard]] const Error& failure() const noexcept override { return failure_; }
  [[nodiscard]] std::uint32_t max_inline_bytes() const noexcept override { return max_inline_bytes_; }
  [[nodiscard]] std::uint32_t send_room() const noexcept override;
  [[nodiscard]] std::string peer() const override { return peer_; }

  [[nodiscard]] SimProvider& provider() const noexcept { return provider_; }
  [[nodiscard]] QueuePair& queue_pair() noexcept { return queue_pair_; }
  [[nodiscard]] const QueuePair& queue_pair() const noexcept { return queue_pair_; }
  /// The connection manager's number for it; 0 before there is one.
  [[nodiscard]] std::uint64_t connection() const noexcept { return connection_; }
  void set_connection(std::uint64_t connection) noexcept { connection_ = connection; }
  void start_connect_timer();

  // What its process finds when it looks:
  void on_taken(std::uint64_t number, const Completion& completion) noexcept;
  void on_reply(const Notice& notice);
  void on_established(std::span<const std::byte> private_data, std::uint16_t peer_credits);
  void on_rejected(const Notice& notice);
  void on_deadline_passed();
  void fail_by_cause();
  /// The connection is over, or never came to be. Harmless if that is known already.
  void fail_connection(Error cause, std::span<const std::byte> private_data = {});
  void on_device_removed();
  /// Its process is gone.
  void on_death() noexcept;

  // QueuePairOwner:
  void on_completion(std::uint64_t number, const Completion& completion) override;
  void on_queue_pair_error() override;
  void on_flushed() override { finish_if_drained(); }
  void on_deadline() override;

 private:
  static constexpr std::uint32_t kMarkers = 2;  ///< as the contract's depth of a completion queue says

  SimEndpoint(SimProvider& provider, SimCompletionQueue& queue, const EndpointConfig& config,
              std::string peer);

  [[nodiscard]] bool is_valid(const WorkRequest& request) const noexcept;
  void set_deadline(Duration from_now);
  void begin_drain() noexcept;
  void force_flush() noexcept;
  void flush_from_here(WorkId id, bool is_receive) noexcept;
  void finish_if_drained() noexcept;
  [[nodiscard]] std::uint32_t queue_entries() const noexcept {
    return send_depth_ + receive_depth_ + kMarkers;
  }

  SimProvider& provider_;
  SimCompletionQueue& queue_;
  std::string peer_;
  const std::uint32_t send_depth_;
  const std::uint32_t receive_depth_;
  const std::uint8_t max_segments_;
  const std::uint32_t max_inline_bytes_;
  std::optional<std::uint16_t> index_;
  std::uint64_t connection_ = 0;
  EndpointState state_ = EndpointState::connecting;
  Error failure_{StatusCode::ok, {}};
  Instant deadline_{};

  std::uint64_t sends_posted_ = 0;
  std::uint64_t sends_retired_ = 0;
  std::uint64_t receives_posted_ = 0;
  std::uint64_t receives_retired_ = 0;
  std::uint64_t untaken_ = 0;  ///< completions in the queue
  /// What the device refused: completes as flushed, after all others.
  std::vector<WorkId> refused_sends_;
  std::vector<WorkId> refused_receives_;
  bool refused_are_flushed_ = false;
  QueuePair queue_pair_;
};

}  // namespace sluice::transport::sim
