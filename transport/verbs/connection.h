#pragma once

#include <memory>
#include <string>
#include <vector>

#include "transport/handshake.h"
#include "transport/provider.h"
#include "transport/verbs/endpoint.h"
#include "transport/verbs/handles.h"
#include "transport/verbs/provider_state.h"

namespace sluice::transport::verbs {

/// An incoming connection that nobody has answered yet.
class VerbsConnectionRequest final : public ConnectionRequest {
 public:
  VerbsConnectionRequest(IdHandle id, const ParsedHandshake& handshake, const rdma_conn_param& offered);
  ~VerbsConnectionRequest() override;

  [[nodiscard]] std::span<const std::byte> private_data() const noexcept override { return private_data_; }
  [[nodiscard]] std::uint16_t peer_credits() const noexcept override { return credits_; }
  [[nodiscard]] std::string peer() const override;

  /// READs that the peer can take and issue at a time.
  [[nodiscard]] std::uint8_t responder_resources() const noexcept { return responder_resources_; }
  [[nodiscard]] std::uint8_t initiator_depth() const noexcept { return initiator_depth_; }
  [[nodiscard]] ibv_context* device() const noexcept { return id_->verbs; }

  /// Takes the id out: whoever has it answers.
  IdHandle release() noexcept { return std::move(id_); }
  void reject(std::span<const std::byte> private_data) noexcept;

 private:
  IdHandle id_;
  std::vector<std::byte> private_data_;
  std::uint16_t credits_;
  std::uint8_t responder_resources_;
  std::uint8_t initiator_depth_;
};

class VerbsListener final : public Listener {
 public:
  static Result<std::unique_ptr<VerbsListener>> create(ProviderState& state, const Address& address);
  VerbsListener(ProviderState& state, IdHandle id, Address address) noexcept
      : state_(state), id_(std::move(id)), address_(std::move(address)) {
    id_->context = &owner_;
  }
  ~VerbsListener() override;

  [[nodiscard]] const Address& address() const noexcept override { return address_; }

 private:
  ProviderState& state_;
  IdOwner owner_{.listener = this};
  IdHandle id_;
  Address address_;
};

/// Active side: binds to the provider's device, makes the endpoint, starts address resolution.
Result<std::unique_ptr<Endpoint>> start_connect(ProviderState& state, const Address& address,
                                                const EndpointConfig& config,
                                                std::span<const std::byte> private_data);

/// Passive side.
Result<std::unique_ptr<Endpoint>> accept_request(ProviderState& state,
                                                 std::unique_ptr<ConnectionRequest> request,
                                                 const EndpointConfig& config,
                                                 std::span<const std::byte> private_data);

/// Takes whatever the connection manager has to say, and hands it to the ids' owners.
void pump_connection_events(ProviderState& state);

}  // namespace sluice::transport::verbs
