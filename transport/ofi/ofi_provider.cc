#include "transport/ofi/ofi_provider.h"

#include <algorithm>

#include "transport/ofi/completion_queue.h"
#include "transport/ofi/connection_manager.h"
#include "transport/ofi/endpoint.h"
#include "transport/ofi/fabric.h"
#include "transport/ofi/listener.h"
#include "transport/ofi/protection_domain.h"

namespace sluice::transport::ofi {

namespace {

Status check_private_data(std::span<const std::byte> private_data, std::size_t limit, std::string_view what) {
  if (private_data.size() <= limit) return {};
  return fail(StatusCode::invalid_argument, std::string(what) + ": " + std::to_string(private_data.size()) +
                                                " bytes of private data, at most " + std::to_string(limit) +
                                                " fit");
}

class OfiProvider final : public Provider {
 public:
  OfiProvider(std::unique_ptr<Fabric> fabric, std::unique_ptr<ConnectionManager> connections)
      : fabric_(std::move(fabric)), connections_(std::move(connections)) {
    info_.name = "ofi";
    info_.detail = fabric_->config().fabric;
    info_.max_message_bytes = fabric_->max_message_bytes();
    info_.max_queue_depth = fabric_->max_queue_depth();
    info_.max_inline_bytes = fabric_->max_inline_bytes();
  }

  [[nodiscard]] const ProviderInfo& info() const noexcept override { return info_; }

  Result<std::unique_ptr<ProtectionDomain>> create_protection_domain() override {
    return OfiProtectionDomain::create(*fabric_, connections_->queues());
  }

  Result<std::unique_ptr<CompletionQueue>> create_completion_queue(std::uint32_t depth) override {
    return OfiCompletionQueue::create(*fabric_, *connections_, depth);
  }

  Result<std::unique_ptr<Listener>> listen(const Address& address) override {
    if (Status status = connections_->prepare_to_listen(); !status) return tl::unexpected(status.error());
    return OfiListener::create(*fabric_, *connections_, address);
  }

  Result<std::unique_ptr<Endpoint>> connect(const Address& address, const EndpointConfig& config,
                                            std::span<const std::byte> private_data) override {
    if (Status status = check_private_data(private_data, kMaxConnectData, "connect"); !status) {
      return tl::unexpected(status.error());
    }
    if (Status status = OfiEndpoint::validate(*fabric_, config); !status) {
      return tl::unexpected(status.error());
    }
    const std::string peer = to_string(address);
    const Result<SocketAddress> destination = SocketAddress::resolve(address);
    if (!destination) return fail_while("connect to " + peer, destination.error());
    Result<InfoHandle> info = fabric_->active_info(*destination);
    if (!info) return tl::unexpected(info.error());
    auto endpoint = OfiEndpoint::create(*fabric_, *connections_, config, **info, peer);
    if (!endpoint) return fail_while("connect to " + peer, endpoint.error());
    if (Status status = (*endpoint)->start_connect(*destination, private_data); !status) {
      return tl::unexpected(status.error());
    }
    return endpoint;
  }

  Result<std::unique_ptr<Endpoint>> accept(std::unique_ptr<ConnectionRequest> request,
                                           const EndpointConfig& config,
                                           std::span<const std::byte> private_data) override {
    auto* incoming = dynamic_cast<OfiConnectionRequest*>(request.get());
    if (incoming == nullptr) {
      return fail(StatusCode::invalid_argument, "accept: not a request of this provider");
    }
    if (Status status = check_private_data(private_data, kMaxAcceptData, "accept"); !status) {
      return tl::unexpected(status.error());
    }
    if (Status status = OfiEndpoint::validate(*fabric_, config); !status) {
      return tl::unexpected(status.error());
    }
    const std::string peer = incoming->peer();
    auto endpoint = OfiEndpoint::create(*fabric_, *connections_, config, incoming->info(), peer);
    if (!endpoint) return fail_while("accept " + peer, endpoint.error());
    if (Status status = (*endpoint)->start_accept(private_data, incoming->peer_mailbox()); !status) {
      return fail_while("accept " + peer, status.error());
    }
    incoming->set_accepted();
    return endpoint;
  }

  void reject(std::unique_ptr<ConnectionRequest> request, std::span<const std::byte> private_data) override {
    auto* incoming = dynamic_cast<OfiConnectionRequest*>(request.get());
    if (incoming == nullptr) return;
    incoming->reject(private_data.first(std::min(private_data.size(), kMaxRejectData)));
  }

  std::optional<ConnectionEvent> next_event() override { return connections_->next_event(); }

 private:
  std::unique_ptr<Fabric> fabric_;  // outlives all that is opened on it
  std::unique_ptr<ConnectionManager> connections_;
  ProviderInfo info_;
};

}  // namespace

Result<std::unique_ptr<Provider>> open_ofi_provider(const TransportConfig& config) {
  Result<std::unique_ptr<Fabric>> fabric = Fabric::open(config);
  if (!fabric) return tl::unexpected(fabric.error());
  Result<std::unique_ptr<ConnectionManager>> connections = ConnectionManager::create(**fabric);
  if (!connections) return tl::unexpected(connections.error());
  return std::make_unique<OfiProvider>(std::move(*fabric), std::move(*connections));
}

}  // namespace sluice::transport::ofi
