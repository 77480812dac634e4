#include "transport/sim/sim_provider.h"

#include <algorithm>
#include <utility>

#include "transport/handshake.h"
#include "transport/sim/endpoint.h"
#include "transport/sim/listener.h"
#include "transport/sim/memory.h"

namespace sluice::transport::sim {

SimProvider::SimProvider(Fabric& fabric, Nic& nic, TransportConfig config)
    : fabric_(fabric), nic_(nic), config_(std::move(config)), number_(fabric.next_provider++) {
  info_.name = "sim";
  info_.detail = "simulated device of host " + fabric_.topology.host_of(nic_).name + " at " + nic_.address;
  info_.max_message_bytes = fabric_.core.config.max_message_bytes;
  info_.max_queue_depth = fabric_.core.config.max_queue_depth;
  info_.max_inline_bytes = fabric_.core.config.max_inline_bytes;
  fabric_.providers.emplace(number_, this);
}

SimProvider::~SimProvider() {
  check(endpoints_.empty() && listeners_.empty() && queues_.empty() && regions_.empty(),
        "endpoints, listeners, completion queues and regions go before their provider");
  if (!is_dead_) fabric_.connections.end_process(*this);
  fabric_.providers.erase(number_);
}

// ---- Making things

Status SimProvider::check_usable(const std::string& what) const {
  if (is_dead_) return fail(StatusCode::unavailable, what + ": the simulated process is gone");
  if (device_removed_)
    return fail(StatusCode::no_device, what + ": the device at " + nic_.address + " was removed");
  return {};
}

Result<std::unique_ptr<ProtectionDomain>> SimProvider::create_protection_domain() {
  if (Status usable = check_usable("create a protection domain"); !usable)
    return tl::unexpected(usable.error());
  if (injected_failure(config_.faults, "sim_create_protection_domain"))
    return fail(StatusCode::out_of_memory, "create a protection domain: the simulated device has none left");
  return std::make_unique<SimProtectionDomain>(*this, fabric_.next_domain++);
}

Result<std::unique_ptr<CompletionQueue>> SimProvider::create_completion_queue(std::uint32_t depth) {
  if (Status usable = check_usable("create a completion queue"); !usable)
    return tl::unexpected(usable.error());
  if (depth == 0)
    return fail(StatusCode::invalid_argument, "create a completion queue: its depth is at least 1");
  if (injected_failure(config_.faults, "sim_create_completion_queue"))
    return fail(StatusCode::out_of_memory, "create a completion queue: the simulated device has none left");
  return std::make_unique<SimCompletionQueue>(*this, depth);
}

Result<std::unique_ptr<Listener>> SimProvider::listen(const Address& address) {
  const std::string what = "listen at " + to_string(address);
  if (Status usable = check_usable(what); !usable) return tl::unexpected(usable.error());
  if (injected_failure(config_.faults, "sim_listen"))
    return fail(StatusCode::out_of_memory, what + ": the simulated connection manager has no room");
  if (fabric_.topology.find_nic(address.host) != &nic_) {
    return fail(StatusCode::address_unusable,
                what + ": this provider's device has the address " + nic_.address);
  }
  Address bound = address;
  const std::uint64_t number = next_listener_++;
  if (!fabric_.connections.listen(nic_.number, bound.port, *this, number))
    return fail(StatusCode::address_unusable, what + ": the port is in use");
  auto listener = std::make_unique<SimListener>(*this, number, bound);
  listeners_.emplace(number, listener.get());
  return listener;
}

ConnectionParameters SimProvider::parameters_for(const SimEndpoint& endpoint) const {
  return {endpoint.queue_pair().number(), config_.retry_count, config_.rnr_retry_count};
}

Result<std::unique_ptr<Endpoint>> SimProvider::connect(const Address& address, const EndpointConfig& config,
                                                       std::span<const std::byte> private_data) {
  const std::string what = "connect to " + to_string(address);
  if (Status usable = check_usable(what); !usable) return tl::unexpected(usable.error());
  if (private_data.size() > kMaxConnectData) {
    return fail(StatusCode::invalid_argument, what + ": " + std::to_string(private_data.size()) +
                                                  " bytes of private data, at most " +
                                                  std::to_string(kMaxConnectData));
  }
  const Nic* peer = fabric_.topology.find_nic(address.host);
  if (peer == nullptr) return fail(StatusCode::address_unusable, what + ": no host of the network has it");
  auto endpoint = SimEndpoint::create(*this, config, to_string(address));
  if (!endpoint) return tl::unexpected(endpoint.error());
  if (injected_failure(config_.faults, "sim_connect"))
    return fail(StatusCode::out_of_memory, what + ": the simulated connection manager has no room");
  const std::uint64_t connection =
      fabric_.connections.connect(nic_.number, peer->number, address.port, *this, parameters_for(**endpoint),
                                  handshake_bytes(config.advertised_credits, private_data));
  (*endpoint)->set_connection(connection);
  by_connection_[connection] = endpoint->get();
  (*endpoint)->start_connect_timer();
  return std::unique_ptr<Endpoint>(std::move(*endpoint));
}

Result<std::unique_ptr<Endpoint>> SimProvider::accept(std::unique_ptr<ConnectionRequest> request,
                                                      const EndpointConfig& config,
                                                      std::span<const std::byte> private_data) {
  auto* incoming = dynamic_cast<SimConnectionRequest*>(request.get());
  if (incoming == nullptr)
    return fail(StatusCode::invalid_argument, "accept: not a request of this provider");
  const std::string what = "accept " + incoming->peer();
  if (Status usable = check_usable(what); !usable) return tl::unexpected(usable.error());
  if (private_data.size() > kMaxAcceptData) {
    return fail(StatusCode::invalid_argument, what + ": " + std::to_string(private_data.size()) +
                                                  " bytes of private data, at most " +
                                                  std::to_string(kMaxAcceptData));
  }
  auto endpoint = SimEndpoint::create(*this, config, incoming->peer());
  if (!endpoint) return tl::unexpected(endpoint.error());
  if (injected_failure(config_.faults, "sim_accept"))
    return fail(StatusCode::out_of_memory, what + ": the simulated connection manager has no room");
  const std::uint64_t connection = incoming->connection();
  if (!fabric_.connections.accept(connection, *this, parameters_for(**endpoint),
                                  handshake_bytes(config.advertised_credits, private_data))) {
    return fail(StatusCode::unavailable, what + ": the peer has given up");
  }
  incoming->release();
  const ConnectionParameters& theirs = fabric_.connections.peer_parameters(connection);
  PeerParameters peer;
  peer.queue_pair = theirs.queue_pair;
  peer.path = &fabric_.topology.path(nic_.number, fabric_.connections.peer_nic(connection));
  peer.retry_count = theirs.retry_count;
  peer.rnr_retry_count = theirs.rnr_retry_count;
  (*endpoint)->set_connection(connection);
  by_connection_[connection] = endpoint->get();
  (*endpoint)->queue_pair().connect(peer);
  (*endpoint)->start_connect_timer();
  return std::unique_ptr<Endpoint>(std::move(*endpoint));
}

void SimProvider::reject(std::unique_ptr<ConnectionRequest> request,
                         std::span<const std::byte> private_data) {
  auto* incoming = dynamic_cast<SimConnectionRequest*>(request.get());
  check(incoming != nullptr, "a provider rejects its own requests");
  const auto words = private_data.first(std::min(private_data.size(), kMaxRejectData));
  fabric_.connections.reject(incoming->connection(), handshake_bytes(0, words));
  incoming->release();
}

// ---- Events

bool SimProvider::is_ready() const noexcept {
  return runs() && (has_news() || std::ranges::any_of(queues_, [](const SimCompletionQueue* queue) {
                      return queue->has_entries();
                    }));
}

void SimProvider::signal() {
  if (!runs() || std::exchange(is_signaled_, true)) return;
  if (ready_callback_) ready_callback_();
}

void SimProvider::push_event(ConnectionEvent event) {
  events_.push_back(std::move(event));
  signal();
}

void SimProvider::on_notice(Notice notice) {
  notices_.push_back(std::move(notice));
  signal();
}

std::optional<ConnectionEvent> SimProvider::next_event() {
  if (!runs()) return std::nullopt;
  looked();
  while (events_.empty() && !notices_.empty()) {
    Notice notice = std::move(notices_.front());
    notices_.pop_front();
    handle(notice);
  }
  looked();
  if (events_.empty()) return std::nullopt;
  ConnectionEvent event = std::move(events_.front());
  events_.pop_front();
  return event;
}

SimEndpoint* SimProvider::endpoint_of(const Notice& notice) noexcept {
  const auto& table = notice.connection != 0 ? by_connection_ : endpoints_;
  const auto found = table.find(notice.connection != 0 ? notice.connection : notice.endpoint);
  return found == table.end() ? nullptr : found->second;
}

void SimProvider::handle(Notice& notice) {
  if (notice.kind == Notice::Kind::request) {
    on_request(notice);
    return;
  }
  if (notice.kind == Notice::Kind::device_removed) {
    on_device_removed();
    return;
  }
  SimEndpoint* endpoint = endpoint_of(notice);
  if (endpoint == nullptr) return;  // destroyed meanwhile
  const std::string& peer = endpoint->peer();
  switch (notice.kind) {
    case Notice::Kind::reply:
      endpoint->on_reply(notice);
      return;
    case Notice::Kind::ready_to_use:
      endpoint->on_established({}, 0);
      return;
    case Notice::Kind::rejected:
      endpoint->on_rejected(notice);
      return;
    case Notice::Kind::unreachable:
      endpoint->fail_connection(
          {StatusCode::unavailable, "connection to " + peer + ": no answer: is it up?"});
      return;
    case Notice::Kind::disconnected:
      endpoint->fail_connection(
          {StatusCode::unavailable, "connection to " + peer + " was closed by the peer"});
      return;
    case Notice::Kind::queue_pair_failed:
      endpoint->fail_by_cause();
      return;
    case Notice::Kind::deadline:
      endpoint->on_deadline_passed();
      return;
    case Notice::Kind::request:
    case Notice::Kind::device_removed:
      return;
  }
}

void SimProvider::on_request(Notice& notice) {
  const auto listener = listeners_.find(notice.listener);
  const Result<ParsedHandshake> handshake = parse_handshake(notice.data);
  if (listener == listeners_.end() || !handshake) {
    if (!handshake)
      log_line(config_, LogLevel::warning, "connection request refused: " + handshake.error().message);
    fabric_.connections.reject(notice.connection, handshake_bytes(0, {}));
    return;
  }
  if (!fabric_.connections.is_waiting_for_answer(notice.connection)) return;  // the peer gave up
  const Address peer{fabric_.topology.nic(fabric_.connections.peer_nic(notice.connection)).address,
                     fabric_.connections.peer_port(notice.connection)};
  ConnectionEvent event;
  event.kind = ConnectionEvent::Kind::connect_request;
  event.listener = listener->second;
  event.request = std::make_unique<SimConnectionRequest>(
      fabric_, notice.connection, handshake->header.credits, handshake->private_data, to_string(peer));
  push_event(std::move(event));
}

// ---- Faults of the whole process or device

void SimProvider::pause() {
  is_paused_ = true;
}

void SimProvider::resume() {
  is_paused_ = false;
  is_signaled_ = false;
  if (is_ready()) signal();
}

void SimProvider::forget_resources() {
  for (auto& [number, endpoint] : endpoints_)
    endpoint->on_death();
  for (SimCompletionQueue* queue : queues_)
    queue->clear();
  for (const std::uint64_t key : regions_)
    fabric_.wire.memory.remove(key);
  notices_.clear();
  events_.clear();
}

void SimProvider::die(bool tell_peers) {
  if (is_dead_) return;
  is_dead_ = true;
  forget_resources();
  if (tell_peers) fabric_.connections.end_process(*this);
}

void SimProvider::remove_device() {
  if (!has_device()) return;
  device_removed_ = true;
  for (const std::uint64_t key : regions_)
    fabric_.wire.memory.remove(key);
  for (auto& [number, endpoint] : endpoints_)
    fabric_.wire.strike_off(number);
  Notice notice;
  notice.kind = Notice::Kind::device_removed;
  on_notice(std::move(notice));
}

void SimProvider::on_device_removed() {
  const Error error{StatusCode::no_device, "the simulated device at " + nic_.address + " was removed"};
  ConnectionEvent lost;
  lost.kind = ConnectionEvent::Kind::device_lost;
  lost.error = error;
  push_event(std::move(lost));
  for (const auto& [number, listener] : listeners_) {
    ConnectionEvent event;
    event.kind = ConnectionEvent::Kind::listener_lost;
    event.listener = listener;
    event.error = {StatusCode::no_device, "listener at " + to_string(listener->address()) +
                                              ": its device was removed: listen again"};
    push_event(std::move(event));
  }
  for (const auto& [number, endpoint] : endpoints_)
    endpoint->on_device_removed();
}

// ---- Accounts

void SimProvider::remove_region(std::uint64_t key) noexcept {
  regions_.erase(key);
  fabric_.wire.memory.remove(key);
}

void SimProvider::remove_queue(const SimCompletionQueue& queue) noexcept {
  std::erase(queues_, &queue);
}

void SimProvider::add_endpoint(SimEndpoint& endpoint) {
  endpoints_.emplace(endpoint.queue_pair().number(), &endpoint);
}

void SimProvider::remove_endpoint(const SimEndpoint& endpoint) noexcept {
  endpoints_.erase(endpoint.queue_pair().number());
  by_connection_.erase(endpoint.connection());
  std::erase_if(events_, [&](const ConnectionEvent& event) { return event.endpoint == &endpoint; });
}

void SimProvider::remove_listener(const SimListener& listener) noexcept {
  if (has_device()) fabric_.connections.stop_listening(nic_.number, listener.address().port);
  listeners_.erase(listener.number());
  // Requests among them are rejected.
  std::erase_if(events_, [&](const ConnectionEvent& event) { return event.listener == &listener; });
}

}  // namespace sluice::transport::sim
