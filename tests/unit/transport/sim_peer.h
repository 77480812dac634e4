#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "transport/sim/network.h"

namespace sluice::transport::sim {

/// One simulated process: a provider, a domain, a queue and a registered buffer, and what it saw.
struct SimPeer {
  struct Seen {
    ConnectionEvent::Kind kind;
    Endpoint* endpoint;
    Error error;
  };

  SimPeer(Network& network, const std::string& host, const TransportConfig& config = {},
          std::size_t bytes = 256UL * 1024)
      : host_name(host), memory(bytes) {
    auto opened = network.open_provider(host, config);
    REQUIRE(opened);
    provider = std::move(*opened);
    domain = std::move(*provider->create_protection_domain());
    queue = std::move(*provider->create_completion_queue(4096));
    region = std::move(
        *domain->register_memory(memory, Access::local_write | Access::remote_write | Access::remote_read));
  }

  void turn() {
    std::array<Completion, 16> taken;
    for (std::size_t count = queue->poll(taken); count > 0; count = queue->poll(taken))
      completions.insert(completions.end(), taken.begin(),
                         taken.begin() + static_cast<std::ptrdiff_t>(count));
    while (auto event = provider->next_event()) {
      if (event->kind == ConnectionEvent::Kind::connect_request) {
        requests.push_back(std::move(event->request));
      } else {
        events.push_back({event->kind, event->endpoint, event->error});
      }
    }
  }

  [[nodiscard]] EndpointConfig config(std::span<const ReceiveRequest> receives = {}) const {
    EndpointConfig made;
    made.domain = domain.get();
    made.queue = queue.get();
    made.initial_receives = receives;
    made.max_segments = kMaxSegments;
    made.max_inline_bytes = 64;
    return made;
  }

  [[nodiscard]] std::size_t count(ConnectionEvent::Kind kind) const {
    return static_cast<std::size_t>(std::ranges::count(events, kind, &Seen::kind));
  }
  [[nodiscard]] std::size_t count(CompletionStatus status, bool is_receive) const {
    return static_cast<std::size_t>(std::ranges::count_if(completions, [&](const Completion& completion) {
      return completion.status == status && completion.is_receive == is_receive;
    }));
  }
  [[nodiscard]] const Error& error_of(ConnectionEvent::Kind kind) const {
    const auto found = std::ranges::find(events, kind, &Seen::kind);
    REQUIRE(found != events.end());
    return found->error;
  }

  std::string host_name;
  std::vector<std::byte> memory;
  std::unique_ptr<Provider> provider;
  std::unique_ptr<ProtectionDomain> domain;
  std::unique_ptr<CompletionQueue> queue;
  std::unique_ptr<Region> region;
  std::unique_ptr<Listener> listener;
  std::vector<std::unique_ptr<ConnectionRequest>> requests;
  std::unique_ptr<Endpoint> endpoint;
  std::vector<Completion> completions;
  std::vector<Seen> events;
};

/// Runs the network until `done()`, with a turn of each peer after each event. False if that takes longer
/// than `patience` of virtual time.
template <typename Done>
bool run(Network& network, std::initializer_list<SimPeer*> peers, Done done,
         Duration patience = std::chrono::seconds(120)) {
  const Instant deadline = network.now() + patience;
  for (;;) {
    for (SimPeer* peer : peers)
      peer->turn();
    if (done()) return true;
    const auto next = network.next_event_time();
    if (!next || *next > deadline) return false;
    network.step();
  }
}

inline WorkId id_of(std::uint32_t number) {
  return {WorkKind::first_user, number};
}

inline WorkRequest request_of(Opcode opcode, LocalBuffer buffer, std::uint32_t number, bool signaled = true) {
  WorkRequest request;
  request.id = id_of(number);
  request.opcode = opcode;
  request.signaled = signaled;
  if (buffer.length > 0) {
    request.segment_count = 1;
    request.segments[0] = buffer;
  }
  return request;
}

inline WorkRequest write_to(LocalBuffer buffer, RemoteBuffer remote, std::uint32_t number,
                            bool signaled = true) {
  WorkRequest request = request_of(Opcode::write, buffer, number, signaled);
  request.remote = remote;
  return request;
}

inline Status post(Endpoint& endpoint, const WorkRequest& request) {
  return endpoint.post(std::span(&request, 1));
}

/// A client and a node, listening at 10.0.0.2.
struct SimPair {
  explicit SimPair(std::uint64_t seed = 1, const TransportConfig& config = {},
                   const NetworkConfig& network_config = {})
      : network(seed, network_config) {
    network.add_host("client", {"10.0.0.1", "10.0.1.1"});
    network.add_host("node", {"10.0.0.2", "10.0.1.2"});
    client = std::make_unique<SimPeer>(network, "client", config);
    node = std::make_unique<SimPeer>(network, "node", config);
    node->listener = std::move(*node->provider->listen({"10.0.0.2", 7000}));
  }
  ~SimPair() {
    for (SimPeer* peer : {client.get(), node.get()}) {
      if (peer == nullptr) continue;
      peer->endpoint.reset();
      peer->requests.clear();
    }
  }

  template <typename Done>
  bool until(Done done, Duration patience = std::chrono::seconds(120)) {
    return run(network, {client.get(), node.get()}, done, patience);
  }

  void start_connect() {
    auto connecting = client->provider->connect({"10.0.0.2", 7000}, client->config(), {});
    REQUIRE(connecting);
    client->endpoint = std::move(*connecting);
  }
  void accept(std::uint32_t receives) {
    std::vector<ReceiveRequest> posted;
    for (std::uint32_t i = 0; i < receives; ++i)
      posted.push_back({id_of(1000 + i), node->region->local(std::uint64_t{i} * 256, 256)});
    REQUIRE(until([&] { return !node->requests.empty(); }));
    auto accepted = node->provider->accept(std::move(node->requests.front()), node->config(posted), {});
    node->requests.clear();
    REQUIRE(accepted);
    node->endpoint = std::move(*accepted);
  }
  void connect(std::uint32_t receives = 0) {
    start_connect();
    accept(receives);
    REQUIRE(until([&] {
      return client->count(ConnectionEvent::Kind::established) == 1 &&
             node->count(ConnectionEvent::Kind::established) == 1;
    }));
  }
  [[nodiscard]] bool both_drained() const {
    return client->count(ConnectionEvent::Kind::drained) == 1 &&
           node->count(ConnectionEvent::Kind::drained) == 1;
  }

  Network network;
  std::unique_ptr<SimPeer> client;
  std::unique_ptr<SimPeer> node;
};

inline void fill_with(std::span<std::byte> bytes, unsigned value) {
  std::ranges::fill(bytes, static_cast<std::byte>(value));
}
[[nodiscard]] inline std::size_t count_of(std::span<const std::byte> bytes, unsigned value) {
  return static_cast<std::size_t>(std::ranges::count(bytes, static_cast<std::byte>(value)));
}

}  // namespace sluice::transport::sim
