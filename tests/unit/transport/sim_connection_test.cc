// Connections of the simulated network, made and ended, on good and bad days.

#include "tests/unit/transport/sim_peer.h"

namespace sluice::transport::sim {

using Kind = ConnectionEvent::Kind;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""us;

namespace {

WorkRequest small_send(SimPeer& peer, std::uint32_t number) {
  return request_of(Opcode::send, peer.region->local(0, 8), number);
}
WorkRequest small_write(SimPair& pair, std::uint32_t number) {
  return write_to(pair.client->region->local(0, 8), pair.node->region->remote(0), number);
}

}  // namespace

TEST_CASE("with its third message lost, a connection is established by its first receive", "[sim]") {
  SimPair pair;
  pair.network.faults().strike_next(FaultKind::ready_to_use_lost);
  pair.start_connect();
  pair.accept(2);
  REQUIRE(pair.until([&] { return pair.client->count(Kind::established) == 1; }));
  pair.network.run_for(100ms);
  pair.node->turn();
  CHECK(pair.node->endpoint->state() == EndpointState::connecting);
  REQUIRE(post(*pair.client->endpoint, small_send(*pair.client, 1)));
  REQUIRE(pair.until([&] { return pair.node->count(CompletionStatus::success, true) == 1; }));
  CHECK(pair.node->count(Kind::established) == 1);
  CHECK(pair.node->endpoint->state() == EndpointState::connected);
  REQUIRE(post(*pair.node->endpoint,
               write_to(pair.node->region->local(0, 8), pair.client->region->remote(0), 2)));
  REQUIRE(pair.until([&] { return pair.node->count(CompletionStatus::success, false) == 1; }));
}

TEST_CASE("with its third message lost and nothing sent, the accepting side gives up by its timer", "[sim]") {
  SimPair pair;
  pair.network.faults().strike_next(FaultKind::ready_to_use_lost);
  pair.start_connect();
  pair.accept(2);
  REQUIRE(pair.until([&] { return pair.both_drained(); }));
  CHECK(pair.node->error_of(Kind::disconnected).code == StatusCode::timed_out);
  CHECK(pair.client->error_of(Kind::disconnected).code == StatusCode::unavailable);
}

TEST_CASE("a lost connect request is repeated; lost for good, our own timer ends it", "[sim]") {
  TransportConfig config;
  config.connect_timeout = 2500ms;
  SimPair pair(1, config);
  SECTION("repeated") {
    pair.network.partition_one_way("client", "node");
    pair.start_connect();
    pair.network.run_for(1500ms);
    pair.network.heal("client", "node");
    pair.accept(0);
    REQUIRE(pair.until([&] { return pair.client->count(Kind::established) == 1; }));
  }
  SECTION("for good") {
    pair.network.faults().strike_next(FaultKind::connect_lost);
    const Instant start = pair.network.now();
    pair.start_connect();
    REQUIRE(pair.until([&] { return pair.client->count(Kind::drained) == 1; }));
    CHECK(pair.client->error_of(Kind::disconnected).code == StatusCode::timed_out);
    CHECK(pair.network.now() - start >= 2500ms);
    CHECK(pair.network.now() - start < 2600ms);
    CHECK(pair.node->requests.empty());
  }
}

TEST_CASE("a lost reply is repeated, and the request isn't delivered twice", "[sim]") {
  SimPair pair;
  pair.start_connect();
  REQUIRE(pair.until([&] { return !pair.node->requests.empty(); }));
  pair.network.partition_one_way("node", "client");
  pair.accept(0);
  pair.network.run_for(1500ms);
  pair.network.heal("node", "client");
  REQUIRE(pair.until([&] {
    return pair.client->count(Kind::established) == 1 && pair.node->count(Kind::established) == 1;
  }));
  CHECK(pair.node->requests.empty());
}

TEST_CASE("a connect refused by chance says that nobody listens; the next one comes through", "[sim]") {
  SimPair pair;
  pair.network.faults().strike_next(FaultKind::connect_refused);
  pair.start_connect();
  REQUIRE(pair.until([&] { return pair.client->count(Kind::drained) == 1; }));
  CHECK(pair.client->error_of(Kind::disconnected).code == StatusCode::connection_refused);
  pair.client->events.clear();
  pair.connect();
}

TEST_CASE("a stale connection: the new one is worth another try, the old one ends", "[sim]") {
  SimPair pair;
  pair.connect();
  pair.network.crash_host("client");
  pair.client->endpoint.reset();
  pair.client.reset();
  pair.network.restart_host("client");
  pair.client = std::make_unique<SimPeer>(pair.network, "client");
  pair.network.run_for(10s);
  pair.node->turn();
  CHECK(pair.node->count(Kind::disconnected) == 0);  // nobody told it

  pair.network.faults().strike_next(FaultKind::connect_stale);
  pair.start_connect();
  REQUIRE(pair.until(
      [&] { return pair.client->count(Kind::drained) == 1 && pair.node->count(Kind::drained) == 1; }));
  CHECK(pair.client->error_of(Kind::disconnected).code == StatusCode::unavailable);
  pair.client->events.clear();
  pair.node->events.clear();
  pair.node->endpoint.reset();
  pair.connect();
}

TEST_CASE("a connection that is cut as soon as it is there ends in drained at both ends", "[sim]") {
  SimPair pair;
  pair.network.faults().strike_next(FaultKind::connect_cut);
  pair.start_connect();
  pair.accept(4);
  REQUIRE(pair.until([&] { return pair.both_drained(); }));
  CHECK(pair.client->count(Kind::established) == 1);
  CHECK(pair.client->error_of(Kind::disconnected).code == StatusCode::system_error);
  CHECK(pair.node->count(CompletionStatus::flushed, true) == 4);
}

TEST_CASE("private data travels padded, and is delivered exactly as it was said", "[sim]") {
  SimPair pair;
  const std::vector<std::byte> said(5, std::byte{0x42});
  auto connecting = pair.client->provider->connect({"10.0.0.2", 7000}, pair.client->config(), said);
  REQUIRE(connecting);
  pair.client->endpoint = std::move(*connecting);
  REQUIRE(pair.until([&] { return !pair.node->requests.empty(); }));
  CHECK(std::ranges::equal(pair.node->requests[0]->private_data(), said));
}

TEST_CASE("a host that loses power tells nobody: work in flight ends in retry_exceeded", "[sim]") {
  SimPair pair;
  pair.connect();
  pair.network.crash_host("node");
  const Instant start = pair.network.now();
  REQUIRE(post(*pair.client->endpoint, small_write(pair, 1)));
  REQUIRE(pair.until([&] { return pair.client->count(Kind::drained) == 1; }));
  CHECK(pair.client->completions[0].status == CompletionStatus::retry_exceeded);
  CHECK(pair.network.now() - start >= 500ms);
  CHECK(pair.node->events.size() == 1);  // established; the dead see no more
  CHECK_FALSE(pair.network.open_provider("node", {}));

  // Restarted, it is another process: the old connection stays dead and the port is free.
  pair.node->endpoint.reset();
  pair.node.reset();
  pair.network.restart_host("node");
  pair.node = std::make_unique<SimPeer>(pair.network, "node");
  pair.node->listener = std::move(*pair.node->provider->listen({"10.0.0.2", 7000}));
  pair.client->endpoint.reset();
  pair.client->events.clear();
  pair.connect();
}

TEST_CASE("an idle connection to a host without power learns nothing", "[sim]") {
  SimPair pair;
  pair.connect();
  pair.network.crash_host("node");
  CHECK_FALSE(pair.until([&] { return pair.client->count(Kind::disconnected) > 0; }, 3600s));
}

TEST_CASE("a killed process: its kernel ends the connection, nothing touches its memory", "[sim]") {
  SimPair pair;
  pair.connect(4);
  REQUIRE(post(*pair.client->endpoint,
               write_to(pair.client->region->local(0, 65536), pair.node->region->remote(0), 1)));
  for (int i = 0; i < 6; ++i)
    pair.network.step();
  pair.network.kill(*pair.node->provider);
  fill_with(pair.node->memory, 9);
  REQUIRE(pair.until([&] { return pair.client->count(Kind::drained) == 1; }));
  CHECK(pair.client->error_of(Kind::disconnected).code == StatusCode::unavailable);
  CHECK(pair.network.now() < Instant{1'000'000'000});
  CHECK(count_of(pair.node->memory, 9) == pair.node->memory.size());

  // Its objects are still there, and do nothing.
  CHECK_FALSE(post(*pair.node->endpoint, small_send(*pair.node, 1)));
  CHECK_FALSE(pair.node->provider->listen({"10.0.0.2", 0}));
  CHECK_FALSE(pair.node->domain->register_memory(pair.node->memory, Access::none));
  pair.node->endpoint->close();
  pair.node->turn();
  CHECK(pair.node->completions.empty());
}

TEST_CASE("requests that a killed process left unanswered are refused, and its port is free", "[sim]") {
  SimPair pair;
  pair.start_connect();
  REQUIRE(pair.until([&] { return !pair.node->requests.empty(); }));
  pair.network.kill(*pair.node->provider);
  REQUIRE(pair.until([&] { return pair.client->count(Kind::drained) == 1; }));
  CHECK(pair.client->error_of(Kind::disconnected).code == StatusCode::connection_refused);
  SimPeer successor(pair.network, "node");
  CHECK(successor.provider->listen({"10.0.0.2", 7000}));
}

TEST_CASE("a stopped process: its device executes and acknowledges, itself it sees nothing", "[sim]") {
  SimPair pair;
  pair.connect(1);
  bool told = false;
  pair.network.set_ready_callback(*pair.node->provider, [&] { told = true; });
  pair.network.pause(*pair.node->provider);
  fill_with(std::span(pair.client->memory).first(8), 3);
  REQUIRE(post(*pair.client->endpoint, small_write(pair, 1)));
  REQUIRE(post(*pair.client->endpoint, small_send(*pair.client, 2)));
  REQUIRE(pair.until([&] { return pair.client->completions.size() == 2; }));
  CHECK(pair.client->count(CompletionStatus::success, false) == 2);
  CHECK(count_of(std::span(pair.node->memory).first(8), 3) == 8);
  CHECK(pair.node->completions.empty());
  CHECK_FALSE(told);
  CHECK_FALSE(pair.network.is_ready(*pair.node->provider));

  // The client goes; the stopped process learns of it only when it runs again, and its queue pair lives on.
  pair.client->endpoint->close();
  pair.network.run_for(10s);
  CHECK(pair.node->endpoint->state() == EndpointState::connected);
  pair.network.resume(*pair.node->provider);
  CHECK(told);
  CHECK(pair.network.is_ready(*pair.node->provider));
  REQUIRE(pair.until([&] { return pair.node->count(Kind::drained) == 1; }));
  CHECK(pair.node->count(CompletionStatus::success, true) == 1);
}

TEST_CASE("a stopped process doesn't answer a connect: the other side times out", "[sim]") {
  SimPair pair;
  pair.network.pause(*pair.node->provider);
  pair.start_connect();
  REQUIRE(pair.until([&] { return pair.client->count(Kind::drained) == 1; }));
  CHECK(pair.client->error_of(Kind::disconnected).code == StatusCode::timed_out);
  pair.network.resume(*pair.node->provider);
  pair.network.run_for(1s);
  pair.node->turn();
  CHECK(pair.node->requests.empty());  // the peer gave up meanwhile
}

TEST_CASE("a partition longer than the retries ends a connection, a shorter one costs time", "[sim]") {
  const bool is_short = GENERATE(true, false);
  SimPair pair;
  pair.connect();
  pair.network.partition("client", "node");
  REQUIRE(post(*pair.client->endpoint, small_write(pair, 1)));
  pair.network.run_for(is_short ? 300ms : 2000ms);
  pair.network.heal("client", "node");
  REQUIRE(pair.until([&] { return !pair.client->completions.empty(); }));
  CHECK(pair.client->completions[0].status ==
        (is_short ? CompletionStatus::success : CompletionStatus::retry_exceeded));
}

TEST_CASE("a partition one way: executed, not acknowledged", "[sim]") {
  SimPair pair;
  pair.connect();
  pair.network.partition_one_way("node", "client");
  fill_with(std::span(pair.client->memory).first(8), 3);
  REQUIRE(post(*pair.client->endpoint, small_write(pair, 1)));
  REQUIRE(pair.until([&] { return pair.client->count(Kind::drained) == 1; }));
  CHECK(pair.client->completions[0].status == CompletionStatus::retry_exceeded);
  CHECK(count_of(std::span(pair.node->memory).first(8), 3) == 8);
}

TEST_CASE("paths are independent: what is sent later on another path may arrive first", "[sim]") {
  SimPair pair;
  TransportConfig second;
  second.local_host = "10.0.1.1";
  pair.connect(1);
  SimPeer other_client(pair.network, "client", second);
  second.local_host = "10.0.1.2";
  SimPeer other_node(pair.network, "node", second);
  other_node.listener = std::move(*other_node.provider->listen({"10.0.1.2", 0}));
  other_client.endpoint =
      std::move(*other_client.provider->connect(other_node.listener->address(), other_client.config(), {}));
  REQUIRE(run(pair.network, {&other_client, &other_node}, [&] { return !other_node.requests.empty(); }));
  other_node.endpoint =
      std::move(*other_node.provider->accept(std::move(other_node.requests[0]), other_node.config(), {}));
  REQUIRE(run(pair.network, {&other_client, &other_node},
              [&] { return other_client.count(Kind::established) == 1; }));

  pair.network.stall_path("10.0.0.1", "10.0.0.2", 40s);
  fill_with(std::span(pair.client->memory).first(8), 1);
  REQUIRE(post(*pair.client->endpoint, small_write(pair, 1)));
  const Instant start = pair.network.now();
  REQUIRE(post(*other_client.endpoint,
               write_to(other_client.region->local(0, 8), other_node.region->remote(0), 2)));
  REQUIRE(run(pair.network, {&other_client, &other_node}, [&] { return !other_client.completions.empty(); }));
  CHECK(other_client.completions[0].status == CompletionStatus::success);
  CHECK(pair.network.now() - start < 1ms);

  // The delayed WRITE was given up long ago, and lands after all: its queue pair at the node is still alive.
  REQUIRE(pair.until([&] { return pair.client->count(Kind::drained) == 1; }, 39s));
  CHECK(pair.client->completions[0].status == CompletionStatus::retry_exceeded);
  CHECK(count_of(std::span(pair.node->memory).first(8), 1) == 0);
  REQUIRE(pair.until([&] { return pair.node->count(Kind::drained) == 1; }));
  CHECK(count_of(std::span(pair.node->memory).first(8), 1) == 8);
  other_client.endpoint.reset();
  other_node.endpoint.reset();
}

TEST_CASE("a spike delays a packet and those behind it, in order", "[sim]") {
  SimPair pair;
  pair.connect(8);
  pair.network.faults().latency_spike_max = 50ms;
  pair.network.faults().strike_next(FaultKind::latency_spike);
  const Instant start = pair.network.now();
  for (std::uint32_t i = 0; i < 8; ++i)
    REQUIRE(post(*pair.client->endpoint, small_send(*pair.client, i)));
  REQUIRE(pair.until([&] { return pair.client->completions.size() == 8; }));
  CHECK(pair.network.now() - start > 1ms);
  for (std::uint32_t i = 0; i < 8; ++i)
    CHECK(pair.node->completions[i].id.slot() == 1000 + i);
}

TEST_CASE("a removed device: every endpoint and listener is told, only destruction is left", "[sim]") {
  SimPair pair;
  pair.connect(4);
  REQUIRE(post(*pair.client->endpoint, small_send(*pair.client, 1)));
  pair.network.remove_device("10.0.0.2");
  REQUIRE(pair.until([&] { return pair.node->count(Kind::drained) == 1; }));
  CHECK(pair.node->count(Kind::device_lost) == 1);
  CHECK(pair.node->count(Kind::listener_lost) == 1);
  CHECK(pair.node->error_of(Kind::disconnected).code == StatusCode::no_device);
  CHECK(pair.node->count(CompletionStatus::flushed, true) == 4);
  CHECK(pair.node->provider->listen({"10.0.0.2", 0}).error().code == StatusCode::no_device);
  REQUIRE(pair.until([&] { return pair.client->count(Kind::drained) == 1; }));
  CHECK(pair.client->completions[0].status == CompletionStatus::retry_exceeded);
  CHECK(pair.network.open_provider("node", {}).error().code == StatusCode::no_device);
  pair.network.restore_device("10.0.0.2");
  CHECK(pair.network.open_provider("node", {}));
}

TEST_CASE("a registration that fails says so and leaves nothing", "[sim]") {
  SimPair pair;
  const std::size_t before = pair.network.registered_regions();
  pair.network.faults().strike_next(FaultKind::registration_failure);
  const auto region = pair.client->domain->register_memory(pair.client->memory, Access::local_write);
  REQUIRE_FALSE(region);
  CHECK(region.error().code == StatusCode::out_of_memory);
  CHECK(pair.network.registered_regions() == before);
}

TEST_CASE("waiting passes virtual time: until there is something, or the timeout", "[sim]") {
  SimPair pair;
  pair.connect(1);
  std::array<Completion, 4> taken;
  Instant start = pair.network.now();
  CHECK(pair.node->queue->wait(taken, 30ms) == 0);
  CHECK(pair.network.now() - start == 30ms);
  start = pair.network.now();
  REQUIRE(post(*pair.client->endpoint, small_send(*pair.client, 1)));
  REQUIRE(pair.node->queue->wait(taken, 1s) == 1);
  CHECK(taken[0].is_receive);
  CHECK(pair.network.now() - start < 50us);
  pair.client->endpoint->close();
  CHECK(pair.node->queue->wait(taken, 1s) == 0);  // for the event
  CHECK(pair.node->provider->next_event()->kind == Kind::disconnected);
}

TEST_CASE("the ready callback comes once for news that weren't looked for", "[sim]") {
  SimPair pair;
  pair.connect(8);
  int calls = 0;
  pair.network.set_ready_callback(*pair.node->provider, [&] { ++calls; });
  for (std::uint32_t i = 0; i < 4; ++i)
    REQUIRE(post(*pair.client->endpoint, small_send(*pair.client, i)));
  pair.network.run_for(1ms);
  CHECK(calls == 1);
  pair.node->turn();
  CHECK(pair.node->completions.size() == 4);
  CHECK_FALSE(pair.network.is_ready(*pair.node->provider));
  REQUIRE(post(*pair.client->endpoint, small_send(*pair.client, 5)));
  pair.network.run_for(1ms);
  CHECK(calls == 2);
}

TEST_CASE("timers of the world around run in order, and can be cancelled", "[sim]") {
  Network network(1);
  std::vector<int> order;
  network.at(Instant{20}, [&] { order.push_back(2); });
  network.at(Instant{10}, [&] { order.push_back(1); });
  const std::uint64_t cancelled = network.at(Instant{15}, [&] { order.push_back(9); });
  network.at(Instant{20}, [&] { order.push_back(3); });
  network.cancel(cancelled);
  CHECK(network.run_until_idle(1s));
  CHECK(order == std::vector<int>{1, 2, 3});
  CHECK(network.now() == Instant{20});
}

}  // namespace sluice::transport::sim
