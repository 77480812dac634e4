// Connections are made, refused and given up with a reason.

#include <algorithm>

#include <catch2/catch.hpp>

#include "tests/contract/stage.h"

namespace sluice::transport::contract {

using Kind = ConnectionEvent::Kind;

namespace {

std::vector<std::byte> data_of(std::size_t bytes, std::uint32_t seed) {
  std::vector<std::byte> data(bytes);
  fill(data, seed);
  return data;
}

}  // namespace

TEST_CASE("private data of every length up to the maxima arrives exactly, both ways") {
  Stage stage;
  for (const std::size_t bytes :
       {std::size_t{0}, std::size_t{1}, std::size_t{47}, kMaxConnectData, std::size_t{100}, kMaxAcceptData}) {
    INFO("bytes " << bytes);
    const auto to_server = data_of(std::min(bytes, kMaxConnectData), 1);
    const auto to_client = data_of(bytes, 2);
    EndpointConfig client_config = stage.client.endpoint_config();
    client_config.advertised_credits = 0xfffe;
    EndpointConfig server_config = stage.server.endpoint_config();
    server_config.advertised_credits = static_cast<std::uint16_t>(bytes);
    Pair pair;
    pair.client = stage.client.connect(stage.address, client_config, to_server);
    REQUIRE(stage.until([&] { return stage.server.has_request(); }));
    {
      // Looked at before it is answered.
      auto request = stage.server.take_request();
      CHECK(std::ranges::equal(request->private_data(), to_server));
      CHECK(request->peer_credits() == 0xfffe);
      CHECK_FALSE(request->peer().empty());
      stage.server.give_back_request(std::move(request));
    }
    pair.server = stage.server.accept(server_config, to_client);
    REQUIRE(stage.until([&] {
      return stage.client.saw(Kind::established, pair.client.get()) &&
             stage.server.saw(Kind::established, pair.server.get());
    }));
    const SeenEvent& established = *stage.client.find_event(Kind::established, pair.client.get());
    CHECK(std::ranges::equal(established.private_data, to_client));
    CHECK(established.peer_credits == bytes);
    CHECK(pair.client->peer() != "unknown");
    CHECK(pair.server->peer() != "unknown");
    stage.close(pair);
    stage.client.events.clear();
    stage.server.events.clear();
  }
}

TEST_CASE("private data beyond the maxima is an invalid argument, at once") {
  Stage stage;
  const auto too_long = stage.client.try_connect(stage.address, stage.client.endpoint_config(),
                                                 data_of(kMaxConnectData + 1, 1));
  REQUIRE_FALSE(too_long);
  CHECK(too_long.error().code == StatusCode::invalid_argument);

  auto client = stage.client.connect(stage.address, stage.client.endpoint_config());
  REQUIRE(stage.until([&] { return stage.server.has_request(); }));
  const auto accepted = stage.server.provider().accept(
      stage.server.take_request(), stage.server.endpoint_config(), data_of(kMaxAcceptData + 1, 1));
  REQUIRE_FALSE(accepted);
  CHECK(accepted.error().code == StatusCode::invalid_argument);
  REQUIRE(stage.until([&] { return stage.client.saw(Kind::drained, client.get()); }));
  CHECK(stage.client.saw(Kind::disconnected, client.get()));
}

TEST_CASE("a rejection brings its words to the connecting side, at every length") {
  Stage stage;
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, std::size_t{80}, kMaxRejectData}) {
    INFO("bytes " << bytes);
    const auto words = data_of(bytes, 3);
    const ReceiveRequest receive = receive_into(stage.client.local(0, 64), 0);
    EndpointConfig config = stage.client.endpoint_config();
    config.initial_receives = std::span(&receive, 1);
    auto client = stage.client.connect(stage.address, config);
    REQUIRE(stage.until([&] { return stage.server.has_request(); }));
    stage.server.provider().reject(stage.server.take_request(), words);
    REQUIRE(stage.until([&] { return stage.client.saw(Kind::drained, client.get()); }));
    const SeenEvent* const refused = stage.client.find_event(Kind::disconnected, client.get());
    REQUIRE(refused != nullptr);
    CHECK(refused->error.code == StatusCode::connection_refused);
    CHECK(std::ranges::equal(refused->private_data, words));
    CHECK(client->failure().code == StatusCode::connection_refused);
    CHECK_FALSE(stage.client.saw(Kind::established, client.get()));
    CHECK(stage.client.find(receive_id(0), client.get()) != nullptr);
    stage.client.forget(*client);
    stage.client.events.clear();
    stage.client.completions.clear();
  }
}

TEST_CASE("a request that is dropped unanswered is rejected") {
  Stage stage;
  auto client = stage.client.connect(stage.address, stage.client.endpoint_config());
  REQUIRE(stage.until([&] { return stage.server.has_request(); }));
  stage.server.take_request().reset();
  REQUIRE(stage.until([&] { return stage.client.saw(Kind::drained, client.get()); }));
  const SeenEvent* const refused = stage.client.find_event(Kind::disconnected, client.get());
  REQUIRE(refused != nullptr);
  CHECK(refused->error.code == StatusCode::connection_refused);
  CHECK(refused->private_data.empty());
}

TEST_CASE("an address where nobody listens refuses") {
  Stage stage;
  stage.server.stop_listening();
  auto client = stage.client.try_connect(stage.address, stage.client.endpoint_config());
  REQUIRE(client);
  REQUIRE(stage.until([&] { return stage.client.saw(Kind::drained, client->get()); }));
  const SeenEvent* const refused = stage.client.find_event(Kind::disconnected, client->get());
  REQUIRE(refused != nullptr);
  CHECK(refused->error.code == StatusCode::connection_refused);
  CHECK_FALSE(refused->error.message.empty());
}

TEST_CASE("an address that doesn't answer times out by our own timer") {
  StageOptions options;
  options.client.connect_timeout = std::chrono::milliseconds(150);
  Stage stage(options);
  const auto silent = stage.fabric->silent_address();
  if (!silent) {
    WARN("SKIP: this machine has no address that swallows connection requests");
    return;
  }
  const Instant start = stage.fabric->now();
  auto client = stage.client.connect(*silent, stage.client.endpoint_config());
  REQUIRE(stage.until([&] { return stage.client.saw(Kind::drained, client.get()); }));
  const SeenEvent* const gave_up = stage.client.find_event(Kind::disconnected, client.get());
  REQUIRE(gave_up != nullptr);
  CHECK(gave_up->error.code == StatusCode::timed_out);
  CHECK(gave_up->error.message.find(silent->host) != std::string::npos);
  CHECK(stage.fabric->now() - start >= std::chrono::milliseconds(150));
  CHECK(stage.fabric->now() - start < std::chrono::seconds(3));
}

TEST_CASE("a request that nobody answers times out by our own timer") {
  StageOptions options;
  options.client.connect_timeout = std::chrono::milliseconds(150);
  Stage stage(options);
  auto client = stage.client.connect(stage.address, stage.client.endpoint_config());
  REQUIRE(stage.until([&] { return stage.server.has_request(); }));
  REQUIRE(stage.until([&] { return stage.client.saw(Kind::drained, client.get()); }));
  const SeenEvent* const gave_up = stage.client.find_event(Kind::disconnected, client.get());
  REQUIRE(gave_up != nullptr);
  CHECK(gave_up->error.code == StatusCode::timed_out);
  // The server may answer it after all: the connection comes to nothing, without harm.
  auto late = stage.server.provider().accept(stage.server.take_request(), stage.server.endpoint_config(), {});
  if (late) {
    stage.server.adopt(**late);
    REQUIRE(stage.until([&] { return stage.server.saw(Kind::drained, late->get()); }));
    CHECK(stage.server.saw(Kind::disconnected, late->get()));
  }
}

TEST_CASE("unusable addresses are refused with what they are") {
  Stage stage;
  auto nowhere = stage.fabric->address(0);
  nowhere.host = "host.invalid";
  nowhere.port = 7000;
  const auto connecting = stage.client.try_connect(nowhere, stage.client.endpoint_config());
  REQUIRE_FALSE(connecting);
  CHECK(connecting.error().code == StatusCode::address_unusable);
  CHECK(connecting.error().message.find("host.invalid") != std::string::npos);
  const auto listening = stage.client.provider().listen(nowhere);
  REQUIRE_FALSE(listening);
  CHECK(listening.error().code == StatusCode::address_unusable);
  CHECK(listening.error().message.find("host.invalid") != std::string::npos);
}

TEST_CASE("an address in use can't be listened at again") {
  Stage stage;
  const auto again = stage.server.provider().listen(stage.address);
  REQUIRE_FALSE(again);
  CHECK(again.error().code == StatusCode::address_unusable);
  CHECK(again.error().message.find(std::to_string(stage.address.port)) != std::string::npos);
}

TEST_CASE("an endpoint that the completion queue has no room for is refused") {
  StageOptions options;
  options.party.queue_depth = 128;
  Stage stage(options);
  EndpointConfig config = stage.client.endpoint_config();
  config.send_depth = 100;
  config.receive_depth = 100;
  const auto refused = stage.client.try_connect(stage.address, config);
  REQUIRE_FALSE(refused);
  const StatusCode code = refused.error().code;
  CHECK((code == StatusCode::invalid_argument || code == StatusCode::limit_reached));
}

TEST_CASE("what makes no sense is an invalid argument when connecting") {
  Stage stage;
  EndpointConfig no_domain = stage.client.endpoint_config();
  no_domain.domain = nullptr;
  EndpointConfig no_queue = stage.client.endpoint_config();
  no_queue.queue = nullptr;
  EndpointConfig too_deep = stage.client.endpoint_config();
  too_deep.send_depth = stage.client.provider().info().max_queue_depth + 1;
  EndpointConfig too_many_segments = stage.client.endpoint_config();
  too_many_segments.max_segments = kMaxSegments + 1;
  const std::vector<ReceiveRequest> three(3, receive_into(stage.client.local(0, 8), 0));
  EndpointConfig too_many_receives = stage.client.endpoint_config();
  too_many_receives.receive_depth = 2;
  too_many_receives.initial_receives = three;
  int number = 0;
  for (const EndpointConfig& config : {no_domain, no_queue, too_deep, too_many_segments, too_many_receives}) {
    INFO("configuration " << number++);
    const auto refused = stage.client.try_connect(stage.address, config);
    REQUIRE_FALSE(refused);
    CHECK((refused.error().code == StatusCode::invalid_argument ||
           refused.error().code == StatusCode::limit_reached));
    CHECK_FALSE(refused.error().message.empty());
  }
}

TEST_CASE("memory of no length can't be registered") {
  Stage stage;
  const auto region = stage.client.domain().register_memory({}, Access::local_write);
  REQUIRE_FALSE(region);
  CHECK(region.error().code == StatusCode::invalid_argument);
}

TEST_CASE("nothing can be sent before the connection is there") {
  Stage stage;
  auto client = stage.client.connect(stage.address, stage.client.endpoint_config());
  CHECK(client->state() == EndpointState::connecting);
  const Status early = stage.client.post(*client, {send_of({}, 0)});
  REQUIRE_FALSE(early);
  CHECK(early.error().code == StatusCode::unavailable);
  const ReceiveRequest receive = receive_into(stage.client.local(0, 64), 0);
  CHECK(stage.client.post_receives(*client, std::span(&receive, 1)));
  client->close();
  REQUIRE(stage.until([&] { return stage.client.saw(Kind::drained, client.get()); }));
  CHECK(stage.client.count_receives(CompletionStatus::flushed) == 1);
}

TEST_CASE("several clients of one listener connect side by side") {
  Stage stage;
  constexpr std::size_t kCount = 8;
  std::vector<Pair> pairs(kCount);
  for (Pair& pair : pairs)
    pair.client = stage.client.connect(stage.address, stage.client.endpoint_config());
  std::size_t accepted = 0;
  REQUIRE(stage.until([&] {
    while (stage.server.has_request())
      pairs[accepted++].server = stage.server.accept(stage.server.endpoint_config());
    return std::ranges::all_of(pairs, [&](const Pair& pair) {
      return stage.client.saw(Kind::established, pair.client.get()) && pair.server != nullptr &&
             stage.server.saw(Kind::established, pair.server.get());
    });
  }));
  for (Pair& pair : pairs) {
    pair.client->close();
    pair.server->close();
  }
  for (Pair& pair : pairs)
    stage.expect_both_drain(pair);
}

}  // namespace sluice::transport::contract
