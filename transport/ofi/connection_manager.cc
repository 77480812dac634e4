#include "transport/ofi/connection_manager.h"

#include <algorithm>

#include "transport/handshake.h"

namespace sluice::transport::ofi {

Result<std::unique_ptr<ConnectionManager>> ConnectionManager::create(const Fabric& fabric) {
  Result<std::unique_ptr<EventQueue>> events = EventQueue::create(fabric);
  if (!events) return tl::unexpected(events.error());
  return std::unique_ptr<ConnectionManager>(new ConnectionManager(fabric, std::move(*events)));
}

Status ConnectionManager::prepare_to_listen() {
  if (rejecter_) return {};
  Result<std::unique_ptr<Rejecter>> rejecter = Rejecter::create(fabric_, *events_);
  if (!rejecter) return tl::unexpected(rejecter.error());
  rejecter_ = std::move(*rejecter);
  return {};
}

// ---- Events
// ------------------------------------------------------------------------------------------------------

std::optional<ConnectionEvent> ConnectionManager::next_event() {
  for (OfiCompletionQueue* queue : queues_)
    queue->progress_if_unpolled();
  expire_connects();
  if (pending_.empty() && !pump()) return std::nullopt;
  ConnectionEvent event = std::move(pending_.front());
  pending_.pop_front();
  return event;
}

bool ConnectionManager::pump() {
  if (is_pumping_) return !pending_.empty();
  is_pumping_ = true;
  while (const std::optional<FabricEvent> event = events_->read())
    on_event(*event);
  for (OfiListener* listener : listeners_) {
    while (std::optional<FabricEvent> event = listener->events().read()) {
      if (event->kind == FabricEvent::Kind::request) on_request(*listener, std::move(*event));
    }
  }
  is_pumping_ = false;
  return !pending_.empty();
}

void ConnectionManager::on_event(const FabricEvent& event) {
  OfiEndpoint* endpoint = find(event.endpoint);
  if (endpoint == nullptr) return;  // closed meanwhile
  switch (event.kind) {
    case FabricEvent::Kind::connected:
      endpoint->on_connected(event.data);
      return;
    case FabricEvent::Kind::shutdown:
      endpoint->on_shutdown();
      return;
    case FabricEvent::Kind::error:
      endpoint->on_connect_error(event.error, event.data);
      return;
    case FabricEvent::Kind::request:
      return;
  }
}

void ConnectionManager::on_request(OfiListener& listener, FabricEvent event) {
  const Result<ParsedHandshake> handshake = parse_handshake(event.data);
  if (!handshake) {
    // Our own header in the refusal tells a sluice peer of another version what this side speaks.
    log_line(fabric_.config(), LogLevel::warning,
             "refused a connection at " + to_string(listener.address()) + ": " + handshake.error().message);
    rejecter_->reject(event.info->handle, {});
    return;
  }
  ConnectionEvent request;
  request.kind = ConnectionEvent::Kind::connect_request;
  request.listener = &listener;
  const ParsedHandshake parsed = *handshake;
  request.request = std::make_unique<OfiConnectionRequest>(*rejecter_, std::move(event.info),
                                                           std::move(event.data), parsed);
  publish(std::move(request));
}

void ConnectionManager::expire_connects() {
  const auto is_connecting = [](const OfiEndpoint* endpoint) {
    return endpoint->state() == EndpointState::connecting;
  };
  if (std::ranges::none_of(endpoints_, is_connecting)) return;
  const Instant now = clock_.now();
  for (OfiEndpoint* endpoint : endpoints_) {
    if (is_connecting(endpoint) && endpoint->connect_deadline() <= now) endpoint->on_connect_timeout();
  }
}

Duration ConnectionManager::until_deadline(Duration limit) const noexcept {
  Duration shortest = limit;
  for (const OfiEndpoint* endpoint : endpoints_) {
    if (endpoint->state() == EndpointState::connecting) {
      shortest = std::min(shortest, endpoint->connect_deadline() - clock_.now());
    }
  }
  return std::max(shortest, Duration::zero());
}

void ConnectionManager::retract(const Endpoint& endpoint, ConnectionEvent::Kind kind) noexcept {
  std::erase_if(pending_, [&](const ConnectionEvent& event) {
    return event.endpoint == &endpoint && event.kind == kind;
  });
}

// ---- Who there is
// ------------------------------------------------------------------------------------------------

OfiEndpoint* ConnectionManager::find(fid_t id) const noexcept {
  const auto found =
      std::ranges::find_if(endpoints_, [&](const OfiEndpoint* endpoint) { return endpoint->has_id(id); });
  return found == endpoints_.end() ? nullptr : *found;
}

void ConnectionManager::leave_endpoint(OfiEndpoint& endpoint) noexcept {
  std::erase(endpoints_, &endpoint);
  std::erase_if(pending_, [&](const ConnectionEvent& event) { return event.endpoint == &endpoint; });
}

Status ConnectionManager::enter_queue(OfiCompletionQueue& queue) {
  if (Status status = queue.wait_set().add_fabric(&events_->get()->fid, events_->fd()); !status)
    return status;
  for (OfiListener* listener : listeners_) {
    if (Status status = queue.wait_set().add_fabric(&listener->events().get()->fid, listener->events().fd());
        !status) {
      return status;
    }
  }
  queues_.push_back(&queue);
  return {};
}

void ConnectionManager::leave_queue(OfiCompletionQueue& queue) noexcept {
  std::erase(queues_, &queue);
}

Status ConnectionManager::enter_listener(OfiListener& listener) {
  for (OfiCompletionQueue* queue : queues_) {
    Status status = queue->wait_set().add_fabric(&listener.events().get()->fid, listener.events().fd());
    if (!status) {
      leave_listener(listener);
      return status;
    }
  }
  listeners_.push_back(&listener);
  return {};
}

void ConnectionManager::leave_listener(OfiListener& listener) noexcept {
  for (OfiCompletionQueue* queue : queues_)
    queue->wait_set().remove_fabric(&listener.events().get()->fid, listener.events().fd());
  std::erase(listeners_, &listener);
  // Requests that nobody has seen are refused by their destructors, those still with the fabric here.
  std::erase_if(pending_, [&](const ConnectionEvent& event) { return event.listener == &listener; });
  if (!rejecter_) return;
  while (std::optional<FabricEvent> event = listener.events().read()) {
    if (event->kind == FabricEvent::Kind::request) rejecter_->reject(event->info->handle, {});
  }
}

}  // namespace sluice::transport::ofi
