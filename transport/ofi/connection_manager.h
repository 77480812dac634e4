#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "transport/ofi/completion_queue.h"
#include "transport/ofi/endpoint.h"
#include "transport/ofi/event_queue.h"
#include "transport/ofi/listener.h"
#include "transport/provider.h"

namespace sluice::transport::ofi {

/// Turns the fabric's connection events into the contract's, for the endpoints and listeners of a provider.
class ConnectionManager final : public EndpointHost, public ListenerHost {
 public:
  static Result<std::unique_ptr<ConnectionManager>> create(const Fabric& fabric);

  std::optional<ConnectionEvent> next_event();
  /// A listener's requests are refused through it; made with the first listener.
  Status prepare_to_listen();

  /// The completion queues there are.
  [[nodiscard]] const std::vector<OfiCompletionQueue*>& queues() const noexcept { return queues_; }

  // ConnectionEvents
  Status enter_queue(OfiCompletionQueue& queue) override;
  void leave_queue(OfiCompletionQueue& queue) noexcept override;
  bool pump() override;
  [[nodiscard]] bool has_pending() const noexcept override { return !pending_.empty(); }
  [[nodiscard]] Duration until_deadline(Duration limit) const noexcept override;

  // EndpointHost
  [[nodiscard]] fid_eq* event_queue() noexcept override { return events_->get(); }
  void enter_endpoint(OfiEndpoint& endpoint) override { endpoints_.push_back(&endpoint); }
  void leave_endpoint(OfiEndpoint& endpoint) noexcept override;
  void publish(ConnectionEvent event) override { pending_.push_back(std::move(event)); }
  void retract(const Endpoint& endpoint, ConnectionEvent::Kind kind) noexcept override;

  // ListenerHost
  Status enter_listener(OfiListener& listener) override;
  void leave_listener(OfiListener& listener) noexcept override;

 private:
  ConnectionManager(const Fabric& fabric, std::unique_ptr<EventQueue> events)
      : fabric_(fabric), events_(std::move(events)) {}

  void on_event(const FabricEvent& event);
  void on_request(OfiListener& listener, FabricEvent event);
  void expire_connects();
  [[nodiscard]] OfiEndpoint* find(fid_t id) const noexcept;

  const Fabric& fabric_;
  std::unique_ptr<EventQueue> events_;  // the endpoints'
  std::unique_ptr<Rejecter> rejecter_;
  std::vector<OfiEndpoint*> endpoints_;
  std::vector<OfiListener*> listeners_;
  std::vector<OfiCompletionQueue*> queues_;
  std::deque<ConnectionEvent> pending_;
  bool is_pumping_ = false;
  SteadyClock clock_;
};

}  // namespace sluice::transport::ofi
