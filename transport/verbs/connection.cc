#include "transport/verbs/connection.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "transport/verbs/words.h"

namespace sluice::transport::verbs {

namespace {

constexpr int kListenBacklog = 256;
constexpr int kResolveTimeoutMs = 2000;
/// READs in flight a queue pair, each way, if both devices can.
constexpr int kMaxReads = 16;

std::uint8_t at_most(int limit, int wanted) {
  return static_cast<std::uint8_t>(std::clamp(wanted, 0, limit));
}

Status set_options(const ProviderState& state, rdma_cm_id& id) {
  std::uint8_t exponent = state.config.ack_timeout_exponent;
  if (injected_failure(state.config.faults, "rdma_set_option") ||
      rdma_set_option(&id, RDMA_OPTION_ID, RDMA_OPTION_ID_ACK_TIMEOUT, &exponent, sizeof(exponent)) != 0) {
    return fail_errno(errno, "set the ACK timeout of a connection");
  }
  if (state.config.dscp != 0) {
    auto type_of_service = static_cast<std::uint8_t>(state.config.dscp << 2U);
    if (rdma_set_option(&id, RDMA_OPTION_ID, RDMA_OPTION_ID_TOS, &type_of_service, sizeof(type_of_service)) !=
        0) {
      return fail_errno(errno, "set DSCP " + std::to_string(state.config.dscp));
    }
  }
  return {};
}

rdma_conn_param connection_parameters(const ProviderState& state, const HandshakeMessage& message) {
  rdma_conn_param parameters{};
  parameters.private_data = message.bytes().data();
  parameters.private_data_len = static_cast<std::uint8_t>(message.bytes().size());
  parameters.responder_resources = at_most(state.device.limits.max_qp_rd_atom, kMaxReads);
  parameters.initiator_depth = at_most(state.device.limits.max_qp_init_rd_atom, kMaxReads);
  parameters.flow_control = 1;
  parameters.retry_count = state.config.retry_count;
  parameters.rnr_retry_count = state.config.rnr_retry_count;  // governs the peer's sends (rdma_connect(3))
  return parameters;
}

}  // namespace

// ---- Passive side
// ---------------------------------------------------------------------------------------------

VerbsConnectionRequest::VerbsConnectionRequest(IdHandle id, const ParsedHandshake& handshake,
                                               const rdma_conn_param& offered)
    : id_(std::move(id)),
      private_data_(handshake.private_data.begin(), handshake.private_data.end()),
      credits_(handshake.header.credits),
      responder_resources_(offered.responder_resources),
      initiator_depth_(offered.initiator_depth) {}

VerbsConnectionRequest::~VerbsConnectionRequest() {
  if (id_) reject({});
}

std::string VerbsConnectionRequest::peer() const {
  return to_string(SocketAddress::copy_of(*rdma_get_peer_addr(id_.get())).to_address());
}

void VerbsConnectionRequest::reject(std::span<const std::byte> private_data) noexcept {
  const HandshakeMessage message({}, private_data);
  // If it fails, the peer has gone already, or its own timer will tell it.
  rdma_reject(id_.get(), message.bytes().data(), static_cast<std::uint8_t>(message.bytes().size()));
  id_.reset();
}

Result<std::unique_ptr<VerbsListener>> VerbsListener::create(ProviderState& state, const Address& address) {
  Result<SocketAddress> local = SocketAddress::resolve(address);
  if (!local) return tl::unexpected(local.error());
  rdma_cm_id* raw = nullptr;
  if (injected_failure(state.config.faults, "rdma_create_id") ||
      rdma_create_id(state.channel.get(), &raw, nullptr, RDMA_PS_TCP) != 0) {
    return fail_errno(errno, "rdma_create_id");
  }
  IdHandle id(raw);
  if (injected_failure(state.config.faults, "rdma_bind_addr") || rdma_bind_addr(raw, local->get()) != 0) {
    const int error = errno;
    if (error == ENODEV || error == EADDRNOTAVAIL) {
      return fail(StatusCode::address_unusable,
                  "listen at " + to_string(address) + ": no RDMA device of this host has that address");
    }
    return fail_errno(error, "listen at " + to_string(address));
  }
  if (injected_failure(state.config.faults, "rdma_listen") || rdma_listen(raw, kListenBacklog) != 0) {
    return fail_errno(errno, "listen at " + to_string(address));
  }
  const Address bound{address.host, ntohs(rdma_get_src_port(raw))};
  return std::make_unique<VerbsListener>(state, std::move(id), bound);
}

VerbsListener::~VerbsListener() {
  id_.reset();
  state_.events.forget(*this);  // requests among them are rejected
}

Result<std::unique_ptr<Endpoint>> accept_request(ProviderState& state,
                                                 std::unique_ptr<ConnectionRequest> request,
                                                 const EndpointConfig& config,
                                                 std::span<const std::byte> private_data) {
  auto* incoming = dynamic_cast<VerbsConnectionRequest*>(request.get());
  if (incoming == nullptr)
    return fail(StatusCode::invalid_argument, "accept: not a request of this provider");
  if (private_data.size() > kMaxAcceptData) {
    return fail(StatusCode::invalid_argument, "accept: " + std::to_string(private_data.size()) +
                                                  " bytes of private data, at most " +
                                                  std::to_string(kMaxAcceptData));
  }
  if (incoming->device() != state.device.context) {
    return fail(StatusCode::no_device, "accept: " + incoming->peer() +
                                           " came in through another RDMA device than " + state.device.name +
                                           ": listen at that device's address");
  }
  const HandshakeMessage message({.credits = config.advertised_credits}, private_data);
  rdma_conn_param parameters = connection_parameters(state, message);
  parameters.responder_resources = std::min(parameters.responder_resources, incoming->initiator_depth());
  parameters.initiator_depth = std::min(parameters.initiator_depth, incoming->responder_resources());

  std::string peer = incoming->peer();
  IdHandle id =
      incoming->release();  // from here on, destroying it unanswered makes the kernel reject the peer
  if (Status status = set_options(state, *id); !status) return tl::unexpected(status.error());
  auto endpoint = VerbsEndpoint::create(state, std::move(id), config, std::move(peer));
  if (!endpoint) return tl::unexpected(endpoint.error());
  if (injected_failure(state.config.faults, "rdma_accept") ||
      rdma_accept((*endpoint)->id(), &parameters) != 0) {
    return fail_errno(errno, "accept the connection of " + (*endpoint)->peer());
  }
  (*endpoint)->start_connect_timer();
  return std::unique_ptr<Endpoint>(std::move(*endpoint));
}

// ---- Active side
// ----------------------------------------------------------------------------------------------

Result<std::unique_ptr<Endpoint>> start_connect(ProviderState& state, const Address& address,
                                                const EndpointConfig& config,
                                                std::span<const std::byte> private_data) {
  if (private_data.size() > kMaxConnectData) {
    return fail(StatusCode::invalid_argument, "connect: " + std::to_string(private_data.size()) +
                                                  " bytes of private data, at most " +
                                                  std::to_string(kMaxConnectData));
  }
  Result<SocketAddress> remote = SocketAddress::resolve(address);
  if (!remote) return tl::unexpected(remote.error());
  rdma_cm_id* raw = nullptr;
  if (injected_failure(state.config.faults, "rdma_create_id") ||
      rdma_create_id(state.channel.get(), &raw, nullptr, RDMA_PS_TCP) != 0) {
    return fail_errno(errno, "rdma_create_id");
  }
  IdHandle id(raw);
  if (Status status = set_options(state, *id); !status) return tl::unexpected(status.error());
  // Bound to our device's address, the id knows its device at once: the queue pair and its receives exist
  // before anything is sent to the peer.
  SocketAddress local = state.device.local;
  if (injected_failure(state.config.faults, "rdma_bind_addr") || rdma_bind_addr(raw, local.get()) != 0) {
    return fail_errno(errno, "bind a connection to " + local.to_address().host);
  }
  auto endpoint = VerbsEndpoint::create(state, std::move(id), config, to_string(address));
  if (!endpoint) return tl::unexpected(endpoint.error());
  (*endpoint)->keep_connect_message(HandshakeMessage({.credits = config.advertised_credits}, private_data));
  if (injected_failure(state.config.faults, "rdma_resolve_addr") ||
      rdma_resolve_addr(raw, nullptr, remote->get(), kResolveTimeoutMs) != 0) {
    return fail_errno(errno, "connect to " + to_string(address) + ": resolve the address from " +
                                 local.to_address().host + " (RDMA device " + state.device.name + ")");
  }
  (*endpoint)->start_connect_timer();
  return std::unique_ptr<Endpoint>(std::move(*endpoint));
}

// ---- Events
// ---------------------------------------------------------------------------------------------------

namespace {

/// A connection manager event, copied so that it can be acknowledged before anything is done about it:
/// destroying an id whose event is not acknowledged hangs.
struct CopiedEvent {
  rdma_cm_event_type type = RDMA_CM_EVENT_TIMEWAIT_EXIT;
  int status = 0;
  rdma_cm_id* id = nullptr;
  rdma_cm_id* listen_id = nullptr;
  rdma_conn_param parameters{};
  std::vector<std::byte> private_data;
};

CopiedEvent copy_and_acknowledge(rdma_cm_event* event) {
  CopiedEvent copy;
  copy.type = event->event;
  copy.status = event->status;
  copy.id = event->id;
  copy.listen_id = event->listen_id;
  copy.parameters = event->param.conn;
  if (event->param.conn.private_data != nullptr) {
    const auto* bytes = static_cast<const std::byte*>(event->param.conn.private_data);
    copy.private_data.assign(bytes, bytes + event->param.conn.private_data_len);
  }
  rdma_ack_cm_event(event);
  return copy;
}

void reject_bare(rdma_cm_id& id) {
  const HandshakeMessage message({}, {});
  rdma_reject(&id, message.bytes().data(), static_cast<std::uint8_t>(message.bytes().size()));
}

void on_connect_request(ProviderState& state, const CopiedEvent& event) {
  IdHandle id(event.id);
  VerbsListener* listener = static_cast<const IdOwner*>(event.listen_id->context)->listener;
  id->context = nullptr;  // inherited from the listener; nobody owns this id yet
  const Result<ParsedHandshake> handshake = parse_handshake(event.private_data);
  if (!handshake) {
    log_line(state.config, LogLevel::warning, "connection request refused: " + handshake.error().message);
    reject_bare(*id);
    return;
  }
  ConnectionEvent out;
  out.kind = ConnectionEvent::Kind::connect_request;
  out.listener = listener;
  out.request = std::make_unique<VerbsConnectionRequest>(std::move(id), *handshake, event.parameters);
  state.events.push(std::move(out));
}

void on_route_resolved(ProviderState& state, VerbsEndpoint& endpoint) {
  rdma_conn_param parameters = connection_parameters(state, *endpoint.connect_message());
  if (injected_failure(state.config.faults, "rdma_connect") ||
      rdma_connect(endpoint.id(), &parameters) != 0) {
    endpoint.fail_connection(fail_errno(errno, "connect to " + endpoint.peer()).value());
  }
}

void on_address_resolved(ProviderState& state, VerbsEndpoint& endpoint) {
  if (endpoint.id()->verbs != state.device.context) {
    endpoint.fail_connection(
        {StatusCode::address_unusable, "connect to " + endpoint.peer() +
                                           ": it is reached through another RDMA device than " +
                                           state.device.name + ": configure that device's local address"});
    return;
  }
  if (injected_failure(state.config.faults, "rdma_resolve_route") ||
      rdma_resolve_route(endpoint.id(), kResolveTimeoutMs) != 0) {
    endpoint.fail_connection(
        fail_errno(errno, "connect to " + endpoint.peer() + ": resolve the route").value());
  }
}

void on_established(VerbsEndpoint& endpoint, const CopiedEvent& event) {
  if (endpoint.connect_message() == nullptr) {
    endpoint.on_established({}, 0);
    return;
  }
  const Result<ParsedHandshake> handshake = parse_handshake(event.private_data);
  if (!handshake) {
    endpoint.fail_connection(
        {handshake.error().code, "connect to " + endpoint.peer() + ": " + handshake.error().message});
    return;
  }
  endpoint.on_established(handshake->private_data, handshake->header.credits);
}

void on_connect_failed(VerbsEndpoint& endpoint, const CopiedEvent& event) {
  Error error = describe_connect_failure(event.type, event.status, endpoint.peer());
  std::span<const std::byte> private_data;
  if (event.type == RDMA_CM_EVENT_REJECTED && event.status == kRejectConsumer) {
    // A rejection of the kernel's own making carries no handshake: then there is nothing more to tell.
    const Result<ParsedHandshake> handshake = parse_handshake(event.private_data);
    if (handshake) {
      private_data = handshake->private_data;
    } else if (handshake.error().code == StatusCode::version_mismatch) {
      error = {handshake.error().code, "connect to " + endpoint.peer() + ": " + handshake.error().message};
    }
  }
  endpoint.fail_connection(std::move(error), private_data);
}

void on_listener_event(ProviderState& state, VerbsListener& listener, const CopiedEvent& event) {
  ConnectionEvent out;
  out.kind = ConnectionEvent::Kind::listener_lost;
  out.listener = &listener;
  out.error = {StatusCode::no_device, "listener at " + to_string(listener.address()) + ": " +
                                          rdma_event_str(event.type) + ": listen again"};
  state.events.push(std::move(out));
}

void on_device_removed(ProviderState& state) {
  ConnectionEvent out;
  out.kind = ConnectionEvent::Kind::device_lost;
  out.error = {StatusCode::no_device, "RDMA device " + state.device.name + " was removed"};
  state.events.push(std::move(out));
}

void on_endpoint_event(ProviderState& state, VerbsEndpoint& endpoint, const CopiedEvent& event) {
  const bool is_connecting = endpoint.state() == EndpointState::connecting;
  switch (event.type) {
    case RDMA_CM_EVENT_ADDR_RESOLVED:
      if (is_connecting) on_address_resolved(state, endpoint);
      return;
    case RDMA_CM_EVENT_ROUTE_RESOLVED:
      if (is_connecting) on_route_resolved(state, endpoint);
      return;
    case RDMA_CM_EVENT_ESTABLISHED:
      on_established(endpoint, event);
      return;
    case RDMA_CM_EVENT_ADDR_ERROR:
    case RDMA_CM_EVENT_ROUTE_ERROR:
    case RDMA_CM_EVENT_CONNECT_ERROR:
    case RDMA_CM_EVENT_UNREACHABLE:  // can come on an established id too
    case RDMA_CM_EVENT_REJECTED:
      on_connect_failed(endpoint, event);
      return;
    case RDMA_CM_EVENT_DISCONNECTED:
      endpoint.fail_connection(
          {StatusCode::unavailable, "connection to " + endpoint.peer() + " was closed by the peer"});
      return;
    case RDMA_CM_EVENT_ADDR_CHANGE:
      endpoint.fail_connection(
          {StatusCode::unavailable,
           "connection to " + endpoint.peer() + ": the local device's address moved; connect again"});
      return;
    case RDMA_CM_EVENT_DEVICE_REMOVAL:
      endpoint.on_device_removed();
      return;
    default:
      return;  // TIMEWAIT_EXIT: a queue pair is never used again, so there is nothing to wait for
  }
}

void on_event(ProviderState& state, const CopiedEvent& event) {
  if (event.type == RDMA_CM_EVENT_CONNECT_REQUEST) {
    on_connect_request(state, event);
    return;
  }
  const bool is_anchor = event.id == state.device.anchor.get();
  if (is_anchor && event.type == RDMA_CM_EVENT_DEVICE_REMOVAL) on_device_removed(state);
  const auto* owner = static_cast<const IdOwner*>(event.id->context);
  if (is_anchor || owner == nullptr) return;
  if (owner->listener != nullptr) {
    on_listener_event(state, *owner->listener, event);
  } else {
    on_endpoint_event(state, *owner->endpoint, event);
  }
}

}  // namespace

void pump_connection_events(ProviderState& state) {
  rdma_cm_event* event = nullptr;
  while (rdma_get_cm_event(state.channel.get(), &event) == 0)
    on_event(state, copy_and_acknowledge(event));
}

}  // namespace sluice::transport::verbs
