#pragma once

#include <memory>

#include "transport/handshake.h"
#include "transport/ofi/endpoint.h"
#include "transport/ofi/event_queue.h"
#include "transport/provider.h"

namespace sluice::transport::ofi {

class OfiListener;

/// Where requests are answered with a refusal. A passive endpoint that listens nowhere: it outlives every
/// listener, so that a request does not depend on the listener that it came to.
class Rejecter {
 public:
  static Result<std::unique_ptr<Rejecter>> create(const Fabric& fabric, EventQueue& events);

  void reject(fid_t request, std::span<const std::byte> private_data) noexcept;

 private:
  Rejecter(const Fabric& fabric, PassiveEndpointHandle handle)
      : fabric_(fabric), handle_(std::move(handle)) {}

  const Fabric& fabric_;
  PassiveEndpointHandle handle_;
};

class OfiConnectionRequest final : public ConnectionRequest {
 public:
  OfiConnectionRequest(Rejecter& rejecter, InfoHandle info, std::vector<std::byte> data,
                       const ParsedHandshake& handshake);
  ~OfiConnectionRequest() override;

  [[nodiscard]] std::span<const std::byte> private_data() const noexcept override {
    return std::span(data_).subspan(private_data_at_, private_data_bytes_);
  }
  [[nodiscard]] std::uint16_t peer_credits() const noexcept override { return peer_credits_; }
  [[nodiscard]] std::string peer() const override;

  [[nodiscard]] const GoodbyeMailbox& peer_mailbox() const noexcept { return peer_mailbox_; }
  /// The description of the endpoint that takes the connection.
  [[nodiscard]] const fi_info& info() const noexcept { return *info_; }
  void set_accepted() noexcept { info_.reset(); }
  void reject(std::span<const std::byte> private_data) noexcept;

 private:
  Rejecter& rejecter_;
  InfoHandle info_;  // null: answered
  std::vector<std::byte> data_;
  std::size_t private_data_at_;
  std::size_t private_data_bytes_;
  std::uint16_t peer_credits_;
  GoodbyeMailbox peer_mailbox_;
};

/// What a listener needs of its provider.
class ListenerHost {
 public:
  ListenerHost() = default;
  ListenerHost(const ListenerHost&) = delete;
  ListenerHost& operator=(const ListenerHost&) = delete;
  virtual ~ListenerHost() = default;

  virtual Status enter_listener(OfiListener& listener) = 0;
  virtual void leave_listener(OfiListener& listener) noexcept = 0;
};

/// Listens with an event queue of its own: a peer that has connected its socket but not yet sent its request
/// is known to the fabric's event queue alone, which may not outlive the passive endpoint that it names.
class OfiListener final : public Listener {
 public:
  static Result<std::unique_ptr<OfiListener>> create(const Fabric& fabric, ListenerHost& host,
                                                     const Address& address);
  ~OfiListener() override;

  [[nodiscard]] const Address& address() const noexcept override { return address_; }
  [[nodiscard]] EventQueue& events() noexcept { return *events_; }

 private:
  OfiListener(const Fabric& fabric, ListenerHost& host) : fabric_(fabric), host_(host) {}

  Status open(const SocketAddress& address);
  void shut_down_sockets() noexcept;

  const Fabric& fabric_;
  ListenerHost& host_;
  bool is_entered_ = false;
  Address address_;
  std::unique_ptr<EventQueue> events_;
  PassiveEndpointHandle handle_;
};

}  // namespace sluice::transport::ofi
