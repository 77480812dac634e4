#pragma once

#include <memory>
#include <string>
#include <vector>

#include "transport/ofi/completion_queue.h"
#include "transport/ofi/event_queue.h"
#include "transport/ofi/protection_domain.h"
#include "transport/ofi/work_queues.h"
#include "transport/provider.h"

namespace sluice::transport::ofi {

class OfiEndpoint;

/// What an endpoint needs of its provider: a place for its events, and a look at the fabric's.
class EndpointHost : public ConnectionEvents {
 public:
  [[nodiscard]] virtual fid_eq* event_queue() noexcept = 0;
  virtual void enter_endpoint(OfiEndpoint& endpoint) = 0;
  virtual void leave_endpoint(OfiEndpoint& endpoint) noexcept = 0;
  virtual void publish(ConnectionEvent event) = 0;
  /// Takes back events about the endpoint that weren't taken yet, of that kind.
  virtual void retract(const Endpoint& endpoint, ConnectionEvent::Kind kind) noexcept = 0;
};

/// Where a peer is told that the connection is being closed on purpose: eight bytes of its memory, see
/// OfiEndpoint::say_goodbye(). Travels behind the handshake message; key 0: the peer has none.
struct GoodbyeMailbox {
  static constexpr std::size_t kBytes = 16;
  RemoteBuffer at;
};

/// Handshake message and mailbox in one piece, for the fabric's connection data.
std::vector<std::byte> join(std::span<const std::byte> handshake, const GoodbyeMailbox& mailbox);
/// The mailbox behind a handshake message with that much private data.
GoodbyeMailbox mailbox_behind(std::span<const std::byte> bytes, std::size_t private_data_bytes);

class OfiEndpoint final : public Endpoint, private WorkObserver {
 public:
  /// Opens an endpoint that `info` describes, with its receives posted. `config` is valid.
  /// Errors: invalid_argument, limit_reached, out_of_memory, system_error.
  static Result<std::unique_ptr<OfiEndpoint>> create(const Fabric& fabric, EndpointHost& host,
                                                     const EndpointConfig& config, const fi_info& info,
                                                     std::string peer);
  /// What would be wrong with such an endpoint, before anything is opened.
  static Status validate(const Fabric& fabric, const EndpointConfig& config);
  ~OfiEndpoint() override;

  Status start_connect(const SocketAddress& destination, std::span<const std::byte> private_data);
  Status start_accept(std::span<const std::byte> private_data, const GoodbyeMailbox& peer_mailbox);

  Status post(std::span<const WorkRequest> chain) noexcept override;
  Status post_receives(std::span<const ReceiveRequest> receives) noexcept override;
  void close() noexcept override;
  [[nodiscard]] EndpointState state() const noexcept override { return endpoint_state_; }
  [[nodiscard]] const Error& failure() const noexcept override { return failure_; }
  [[nodiscard]] std::uint32_t max_inline_bytes() const noexcept override { return max_inline_bytes_; }
  [[nodiscard]] std::uint32_t send_room() const noexcept override { return work_.sends().room(); }
  [[nodiscard]] std::string peer() const override { return peer_; }

  // The fabric's events and the connect timer.
  [[nodiscard]] bool has_id(fid_t id) const noexcept { return handle_ && &handle_->fid == id; }
  [[nodiscard]] Instant connect_deadline() const noexcept { return connect_deadline_; }
  void on_connected(std::span<const std::byte> data);
  void on_shutdown();
  void on_connect_error(int error, std::span<const std::byte> data);
  void on_connect_timeout();

 private:
  OfiEndpoint(const Fabric& fabric, EndpointHost& host, const EndpointConfig& config, std::string peer);

  Status open(const EndpointConfig& config, const fi_info& info);
  Status open_mailbox();
  [[nodiscard]] GoodbyeMailbox own_mailbox() const noexcept;
  [[nodiscard]] std::vector<std::byte> connection_data(std::span<const std::byte> private_data) const;

  [[nodiscard]] bool is_executable(const WorkRequest& request) const noexcept;
  /// The fabric's answer: 0, or negative with nothing posted.
  long submit(const WorkRequest& request, Operation& operation, bool is_last) noexcept;
  long submit_receive(const ReceiveRequest& request, Operation& operation) noexcept;
  Operation& push_send(const WorkRequest& request) noexcept;
  Operation& push_receive(const ReceiveRequest& request) noexcept;
  bool describe_segments(const WorkRequest& request) noexcept;

  void establish(std::vector<std::byte> private_data, std::uint16_t peer_credits);
  void fail_connection(Error cause, std::vector<std::byte> private_data = {}) noexcept;
  void begin_drain() noexcept;
  void explain_loss() noexcept;
  void sever() noexcept;
  void say_goodbye() noexcept;
  void finish_if_empty() noexcept;

  void on_first_receive() noexcept override;
  void on_work_failed() noexcept override { on_shutdown(); }
  void on_work_empty() noexcept override { finish_if_empty(); }

  const Fabric& fabric_;
  EndpointHost& host_;
  OfiProtectionDomain& domain_;
  OfiCompletionQueue& queue_;
  OfiCompletionQueue::Attachment attachment_;
  bool is_attached_ = false;
  std::string peer_;
  std::uint16_t advertised_credits_;
  std::uint8_t max_segments_;
  std::uint32_t max_inline_bytes_;

  EndpointState endpoint_state_ = EndpointState::connecting;
  bool is_active_ = false;  // it connected, rather than accepted
  bool is_announced_ = false;
  Error failure_{StatusCode::ok, {}};
  Instant connect_deadline_{};

  WorkQueues work_;
  std::array<iovec, kMaxSegments> segments_{};
  std::array<void*, kMaxSegments> descriptors_{};

  std::uint64_t goodbye_ = 0;  // written by the peer
  GoodbyeMailbox peer_mailbox_;
  Operation goodbye_operation_;
  std::uint64_t mailbox_base_ = 0;
  RegionHandle mailbox_;
  EndpointHandle handle_;
};

}  // namespace sluice::transport::ofi
