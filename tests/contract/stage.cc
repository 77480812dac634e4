#include "tests/contract/stage.h"

#include <catch2/catch.hpp>

namespace sluice::transport::contract {

using Kind = ConnectionEvent::Kind;

bool pump(TestFabric& fabric, std::initializer_list<Party*> parties, const std::function<bool()>& done,
          Duration patience) {
  const Instant deadline = fabric.now() + patience;
  for (;;) {
    bool progress = false;
    for (Party* party : parties)
      progress = party->turn() || progress;
    if (done()) return true;
    if (fabric.now() > deadline) return false;
    if (!progress) fabric.advance();
  }
}

Stage::Stage(const StageOptions& options)
    : client(*fabric, 0, options.client, options.party), server(*fabric, 1, options.server, options.party) {}

Stage::~Stage() = default;

namespace {

std::vector<ReceiveRequest> numbered_receives(Party& party, std::uint32_t count, std::uint32_t bytes) {
  std::vector<ReceiveRequest> receives;
  for (std::uint32_t i = 0; i < count; ++i)
    receives.push_back(receive_into(party.local(std::uint64_t{i} * bytes, bytes), i));
  return receives;
}

}  // namespace

Pair Stage::connect(const PairOptions& options) {
  const auto client_receives = numbered_receives(client, options.client_receives, options.receive_bytes);
  const auto server_receives = numbered_receives(server, options.server_receives, options.receive_bytes);
  EndpointConfig client_config = client.endpoint_config();
  client_config.send_depth = options.send_depth;
  client_config.max_inline_bytes = options.max_inline_bytes;
  client_config.initial_receives = client_receives;
  EndpointConfig server_config = server.endpoint_config();
  server_config.send_depth = options.send_depth;
  server_config.max_inline_bytes = options.max_inline_bytes;
  server_config.initial_receives = server_receives;

  Pair pair;
  pair.client = client.connect(address, client_config);
  REQUIRE(until([&] { return server.has_request(); }));
  pair.server = server.accept(server_config);
  REQUIRE(until([&] {
    return client.saw(Kind::established, pair.client.get()) &&
           server.saw(Kind::established, pair.server.get());
  }));
  REQUIRE(pair.client->state() == EndpointState::connected);
  REQUIRE(pair.server->state() == EndpointState::connected);
  return pair;
}

void Stage::expect_both_drain(Pair& pair) {
  REQUIRE(until([&] {
    return client.saw(Kind::drained, pair.client.get()) && server.saw(Kind::drained, pair.server.get());
  }));
}

void Stage::close(Pair& pair) {
  pair.client->close();
  pair.server->close();
  expect_both_drain(pair);
  client.forget(*pair.client);
  server.forget(*pair.server);
  pair = {};
}

}  // namespace sluice::transport::contract
