// Connections end in every order, and everything that was posted is accounted for.

#include <algorithm>

#include <catch2/catch.hpp>

#include "tests/contract/stage.h"

namespace sluice::transport::contract {

using Kind = ConnectionEvent::Kind;

namespace {

constexpr PairOptions kBusy{.client_receives = 8, .server_receives = 8, .receive_bytes = 64};
constexpr std::uint32_t kBulk = 256 * 1024;

StageOptions bulk_memory() {
  StageOptions options;
  options.party.memory_bytes = 1024UL * 1024;
  return options;
}

/// Large writes and sends both ways, none of them waited for.
void set_in_flight(Stage& stage, Pair& pair) {
  const std::uint64_t out = 64UL * 1024;
  const std::uint64_t in = 512UL * 1024;
  REQUIRE(stage.client.post(
      *pair.client,
      {write_of(stage.client.local(out, kBulk), stage.server.region().remote(in), 0), send_of({}, 1),
       read_of(stage.client.local(out, kBulk), stage.server.region().remote(in), 2), send_of({}, 3, false)}));
  REQUIRE(stage.server.post(*pair.server,
                            {write_of(stage.server.local(out, kBulk), stage.client.region().remote(in), 0),
                             send_of({}, 1), send_of({}, 2, false)}));
}

}  // namespace

TEST_CASE("when the client closes, the server is told and both drain") {
  Stage stage(bulk_memory());
  Pair pair = stage.connect(kBusy);
  const bool in_flight = GENERATE(false, true);
  if (in_flight) set_in_flight(stage, pair);
  pair.client->close();
  CHECK(pair.client->state() != EndpointState::connected);
  stage.expect_both_drain(pair);
  CHECK_FALSE(stage.client.saw(Kind::disconnected, pair.client.get()));
  CHECK(stage.server.saw(Kind::disconnected, pair.server.get()));
  CHECK(pair.client->failure().code == StatusCode::ok);
  CHECK(pair.server->failure().code != StatusCode::ok);
}

TEST_CASE("when the server closes, the client is told and both drain") {
  Stage stage(bulk_memory());
  Pair pair = stage.connect(kBusy);
  const bool in_flight = GENERATE(false, true);
  if (in_flight) set_in_flight(stage, pair);
  pair.server->close();
  stage.expect_both_drain(pair);
  CHECK(stage.client.saw(Kind::disconnected, pair.client.get()));
  CHECK_FALSE(stage.server.saw(Kind::disconnected, pair.server.get()));
  CHECK(pair.server->failure().code == StatusCode::ok);
}

TEST_CASE("when both close at once, neither is told and both drain") {
  Stage stage(bulk_memory());
  Pair pair = stage.connect(kBusy);
  const bool in_flight = GENERATE(false, true);
  if (in_flight) set_in_flight(stage, pair);
  pair.client->close();
  pair.server->close();
  stage.expect_both_drain(pair);
  CHECK_FALSE(stage.client.saw(Kind::disconnected, pair.client.get()));
  CHECK_FALSE(stage.server.saw(Kind::disconnected, pair.server.get()));
}

TEST_CASE("closing twice, or after the end, is harmless") {
  Stage stage;
  Pair pair = stage.connect(kBusy);
  pair.client->close();
  pair.client->close();
  stage.expect_both_drain(pair);
  pair.client->close();
  pair.server->close();
  CHECK(pair.client->state() == EndpointState::drained);
  CHECK(pair.server->state() == EndpointState::drained);
  for (int i = 0; i < 20; ++i) {
    stage.client.turn();
    stage.server.turn();
    stage.fabric->advance();
  }
}

TEST_CASE("after a close nothing can be posted") {
  Stage stage;
  Pair pair = stage.connect(kBusy);
  pair.client->close();
  const Status sent = stage.client.post(*pair.client, {send_of({}, 0)});
  REQUIRE_FALSE(sent);
  CHECK(sent.error().code == StatusCode::unavailable);
  const ReceiveRequest receive = receive_into(stage.client.local(0, 8), 100);
  const Status received = stage.client.post_receives(*pair.client, std::span(&receive, 1));
  REQUIRE_FALSE(received);
  CHECK(received.error().code == StatusCode::unavailable);
  stage.expect_both_drain(pair);
}

TEST_CASE("a close while connecting ends in drained and nothing else") {
  Stage stage;
  const ReceiveRequest receive = receive_into(stage.client.local(0, 64), 0);
  EndpointConfig config = stage.client.endpoint_config();
  config.initial_receives = std::span(&receive, 1);
  const int turns_before = GENERATE(0, 1, 5);
  auto client = stage.client.connect(stage.address, config);
  for (int i = 0; i < turns_before; ++i)
    stage.client.turn();
  client->close();
  REQUIRE(stage.until([&] { return stage.client.saw(Kind::drained, client.get()); }));
  CHECK_FALSE(stage.client.saw(Kind::established, client.get()));
  CHECK_FALSE(stage.client.saw(Kind::disconnected, client.get()));
  CHECK(stage.client.count_receives(CompletionStatus::flushed) == 1);
}

TEST_CASE("a server that accepts a client which has closed meanwhile drains") {
  Stage stage;
  auto client = stage.client.connect(stage.address, stage.client.endpoint_config());
  REQUIRE(stage.until([&] { return stage.server.has_request(); }));
  client->close();
  REQUIRE(stage.until([&] { return stage.client.saw(Kind::drained, client.get()); }));
  const ReceiveRequest receive = receive_into(stage.server.local(0, 64), 0);
  EndpointConfig config = stage.server.endpoint_config();
  config.initial_receives = std::span(&receive, 1);
  auto accepted = stage.server.provider().accept(stage.server.take_request(), config, {});
  if (accepted) {
    stage.server.adopt(**accepted, config);
    REQUIRE(stage.until([&] { return stage.server.saw(Kind::drained, accepted->get()); }));
    CHECK(stage.server.saw(Kind::disconnected, accepted->get()));
  }
}

TEST_CASE("an endpoint destroyed with work in flight is a barrier: nothing of it is seen again") {
  Stage stage(bulk_memory());
  Pair pair = stage.connect(kBusy);
  const bool client_first = GENERATE(true, false);
  set_in_flight(stage, pair);
  Party& first = client_first ? stage.client : stage.server;
  Party& second = client_first ? stage.server : stage.client;
  auto& doomed = client_first ? pair.client : pair.server;
  auto& survivor = client_first ? pair.server : pair.client;
  first.forget(*doomed);
  doomed.reset();
  std::ranges::fill(first.memory(), std::byte{0x77});
  REQUIRE(stage.until([&] { return second.saw(Kind::drained, survivor.get()); }));
  CHECK(second.saw(Kind::disconnected, survivor.get()));
  CHECK(std::ranges::all_of(first.memory(), [](std::byte b) { return b == std::byte{0x77}; }));
}

TEST_CASE("an endpoint destroyed while connecting leaves nothing behind") {
  Stage stage;
  const int turns_before = GENERATE(0, 1, 5);
  auto client = stage.client.connect(stage.address, stage.client.endpoint_config());
  for (int i = 0; i < turns_before; ++i)
    stage.client.turn();
  stage.client.forget(*client);
  client.reset();
  Pair pair;
  pair.client = stage.client.connect(stage.address, stage.client.endpoint_config());
  // The first one's request may be there too; whatever becomes of it, the second one works.
  REQUIRE(stage.until([&] {
    while (stage.server.has_request()) {
      auto accepted =
          stage.server.provider().accept(stage.server.take_request(), stage.server.endpoint_config(), {});
      if (accepted) {
        stage.server.adopt(**accepted);
        stage.extra.push_back(std::move(*accepted));
      }
    }
    return stage.client.saw(Kind::established, pair.client.get());
  }));
  pair.client->close();
  REQUIRE(stage.until([&] { return stage.client.saw(Kind::drained, pair.client.get()); }));
}

TEST_CASE("connections survive their listener") {
  Stage stage;
  Pair pair = stage.connect(kBusy);
  stage.server.stop_listening();
  REQUIRE(stage.client.post(*pair.client, {send_of({}, 0)}));
  REQUIRE(stage.until([&] { return stage.server.find(receive_id(0)) != nullptr; }));
  CHECK(stage.server.find(receive_id(0))->status == CompletionStatus::success);
  stage.close(pair);
}

TEST_CASE("a listener destroyed with a request pending refuses or leaves it to be answered") {
  StageOptions options;
  options.client.connect_timeout = std::chrono::milliseconds(300);
  Stage stage(options);
  auto client = stage.client.connect(stage.address, stage.client.endpoint_config());
  const bool delivered = GENERATE(true, false);
  if (delivered) {
    REQUIRE(stage.until([&] { return stage.server.has_request(); }));
  }
  stage.server.stop_listening();
  if (delivered) {
    // The request outlives its listener.
    Pair pair;
    pair.client = std::move(client);
    pair.server = stage.server.accept(stage.server.endpoint_config());
    REQUIRE(stage.until([&] { return stage.client.saw(Kind::established, pair.client.get()); }));
    stage.close(pair);
  } else {
    REQUIRE(stage.until([&] { return stage.client.saw(Kind::drained, client.get()); }));
    CHECK(stage.client.saw(Kind::disconnected, client.get()));
  }
}

TEST_CASE("a region may go as soon as the endpoints that used it have drained") {
  Stage stage;
  std::vector<std::byte> buffer(4096);
  auto region = stage.client.domain().register_memory(buffer, Access::local_write);
  REQUIRE(region);
  const ReceiveRequest receive{receive_id(0), (*region)->local(0, 4096)};
  EndpointConfig config = stage.client.endpoint_config();
  config.initial_receives = std::span(&receive, 1);
  Pair pair;
  pair.client = stage.client.connect(stage.address, config);
  REQUIRE(stage.until([&] { return stage.server.has_request(); }));
  pair.server = stage.server.accept(stage.server.endpoint_config());
  REQUIRE(stage.until([&] { return stage.client.saw(Kind::established, pair.client.get()); }));
  pair.client->close();
  stage.expect_both_drain(pair);
  region->reset();
  buffer = {};
  stage.client.forget(*pair.client);
  pair.client.reset();
}

TEST_CASE("a provider's objects may go in any order that puts endpoints before what they use") {
  auto fabric = make_fabric();
  Party server(*fabric, 1);
  const Address address = server.listen();
  const int order = GENERATE(0, 1, 2);
  auto provider = fabric->open(0, test_config());
  REQUIRE(provider);
  auto domain = (*provider)->create_protection_domain();
  auto queue = (*provider)->create_completion_queue(512);
  REQUIRE(domain);
  REQUIRE(queue);
  std::vector<std::byte> buffer(4096);
  auto region = (*domain)->register_memory(buffer, Access::local_write);
  REQUIRE(region);
  EndpointConfig config;
  config.domain = domain->get();
  config.queue = queue->get();
  auto endpoint = (*provider)->connect(address, config, {});
  REQUIRE(endpoint);
  auto listener = (*provider)->listen(fabric->address(0));
  REQUIRE(listener);
  switch (order) {
    case 0:
      listener->reset();
      endpoint->reset();
      region->reset();
      queue->reset();
      domain->reset();
      break;
    case 1:
      endpoint->reset();
      queue->reset();
      region->reset();
      domain->reset();
      listener->reset();
      break;
    default:
      endpoint->reset();
      region->reset();
      domain->reset();
      listener->reset();
      queue->reset();
      break;
  }
  provider->reset();
  // The server is none the worse for it.
  Party client(*fabric, 0);
  auto again = client.connect(address, client.endpoint_config());
  std::vector<std::unique_ptr<Endpoint>> accepted;
  REQUIRE(pump(*fabric, {&client, &server}, [&] {
    while (server.has_request()) {
      auto one = server.provider().accept(server.take_request(), server.endpoint_config(), {});
      if (one) {
        server.adopt(**one);
        accepted.push_back(std::move(*one));
      }
    }
    return client.saw(Kind::established, again.get());
  }));
}

}  // namespace sluice::transport::contract
