#pragma once

#include <memory>
#include <string>
#include <vector>

#include "transport/handshake.h"
#include "transport/provider.h"
#include "transport/verbs/completion_queue.h"
#include "transport/verbs/handles.h"
#include "transport/verbs/provider_state.h"
#include "transport/work_ring.h"

namespace sluice::transport::verbs {

/// One rdma_cm id with its queue pair: posting, accounting for completions, and the way down.
///
/// The way down, always the same (transport errors, close from either side, a failed connect): queue pair to
/// ERR -> a marker SEND -> the marker and every receive flushed, which proves that nothing is outstanding ->
/// `drained`. If the device hasn't flushed by the drain timeout, the queue pair is destroyed instead, and
/// what was outstanding completes as flushed from here.
class VerbsEndpoint final : public Endpoint, public CompletionSink, private DeadlineClient {
 public:
  /// Takes over an id that is bound to the device, makes its queue pair and posts the initial receives.
  /// Errors: invalid_argument, limit_reached, out_of_memory.
  static Result<std::unique_ptr<VerbsEndpoint>> create(ProviderState& state, IdHandle id,
                                                       const EndpointConfig& config, std::string peer);
  ~VerbsEndpoint() override;

  Status post(std::span<const WorkRequest> chain) noexcept override;
  Status post_receives(std::span<const ReceiveRequest> receives) noexcept override;
  void close() noexcept override;
  [[nodiscard]] EndpointState state() const noexcept override { return endpoint_state_; }
  [[nodiscard]] const Error& failure() const noexcept override { return failure_; }
  [[nodiscard]] std::uint32_t max_inline_bytes() const noexcept override { return max_inline_bytes_; }
  [[nodiscard]] std::uint32_t send_room() const noexcept override {
    return endpoint_state_ == EndpointState::connected ? sends_.room() - kMarkers : 0;
  }
  [[nodiscard]] std::string peer() const override { return peer_; }

  // For the connection events:
  [[nodiscard]] rdma_cm_id* id() const noexcept { return id_.get(); }
  /// What the active side says when its route is resolved; null on the passive side.
  void keep_connect_message(const HandshakeMessage& message) {
    connect_message_ = std::make_unique<HandshakeMessage>(message);
  }
  [[nodiscard]] const HandshakeMessage* connect_message() const noexcept { return connect_message_.get(); }
  /// From now on `on_deadline` fails the connect.
  void start_connect_timer();
  void on_established(std::span<const std::byte> private_data, std::uint16_t peer_credits);
  /// The connection is over, or never came to be. Harmless if that is known already.
  void fail_connection(Error cause, std::span<const std::byte> private_data = {});
  /// After this only destroy calls reach the device (rdma_cm(7), RDMA_CM_EVENT_DEVICE_REMOVAL).
  void on_device_removed();

  // CompletionSink:
  bool on_work_completion(const ibv_wc& completion, Completion& out) noexcept override;
  void on_last_completion_taken() noexcept override;

 private:
  static constexpr std::uint32_t kMarkers = 1;  ///< one more entry in the send queue than the user sees

  VerbsEndpoint(ProviderState& state, VerbsCompletionQueue& queue, IdHandle id, const EndpointConfig& config,
                std::string peer);

  Status create_queue_pair(const EndpointConfig& config);
  [[nodiscard]] Status check_request(const WorkRequest& request) const noexcept;
  bool post_sends(std::span<const WorkRequest> chain) noexcept;
  bool post_receive_chain(std::span<const ReceiveRequest> receives) noexcept;
  void begin_drain() noexcept;
  void on_success(const ibv_wc& completion, Completion& out) noexcept;
  void on_error(const ibv_wc& completion, Completion& out) noexcept;
  bool post_marker() noexcept;
  [[nodiscard]] bool is_flushed() const noexcept {
    return !marker_outstanding_ && sends_.empty() && receives_.empty();
  }
  void finish_drain() noexcept;
  void destroy_queue_pair() noexcept;
  void flush_from_here(WorkId id, bool is_receive) noexcept;
  void on_deadline() override;
  [[nodiscard]] std::uint32_t queue_entries() const noexcept;

  ProviderState& state_;
  VerbsCompletionQueue& queue_;
  IdOwner owner_{.endpoint = this};
  IdHandle id_;
  std::string peer_;
  std::unique_ptr<HandshakeMessage> connect_message_;
  EndpointState endpoint_state_ = EndpointState::connecting;
  Error failure_{StatusCode::ok, {}};
  bool is_attached_ = false;
  bool device_removed_ = false;
  std::uint16_t index_ = 0;
  std::uint32_t max_inline_bytes_ = 0;
  std::uint8_t max_segments_ = 1;

  WorkRing sends_;
  WorkRing receives_;
  /// Requests that the device refused in the middle of a chain: they complete as flushed, after all others.
  std::vector<WorkId> refused_sends_;
  std::vector<WorkId> refused_receives_;
  bool marker_outstanding_ = false;
  bool drain_finished_ = false;
};

}  // namespace sluice::transport::verbs
