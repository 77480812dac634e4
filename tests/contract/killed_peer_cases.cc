// The peer's process is killed at each step of a connection: this side is told, everything completes.

#include <algorithm>
#include <cstring>

#include <catch2/catch.hpp>

#include "tests/contract/peer_process.h"
#include "tests/contract/stage.h"

namespace sluice::transport::contract {

using Kind = ConnectionEvent::Kind;

namespace {

/// A listening server alone with its fabric, with room for the peer's large writes.
struct Alone {
  std::unique_ptr<TestFabric> fabric = make_fabric();
  Party party{*fabric, 0, test_config(), {.memory_bytes = std::size_t{kPeerBytes} + 64UL * 1024}};
  std::vector<ReceiveRequest> receives;
  std::unique_ptr<Endpoint> endpoint;
  RemoteBuffer peer_memory;

  static constexpr std::uint64_t kTarget = 64UL * 1024;

  Alone() {
    for (std::uint32_t i = 0; i < kPeerReceives; ++i)
      receives.push_back(receive_into(party.local(std::uint64_t{i} * 64, 64), i));
  }

  bool until(const std::function<bool()>& done) { return pump(*fabric, {&party}, done); }

  [[nodiscard]] EndpointConfig config() {
    EndpointConfig made = party.endpoint_config();
    made.initial_receives = receives;
    return made;
  }

  /// Accepts the peer, and tells it where it may write.
  void accept() {
    REQUIRE(until([&] { return party.has_request(); }));
    auto request = party.take_request();
    REQUIRE(request->private_data().size() == sizeof(peer_memory));
    std::memcpy(&peer_memory, request->private_data().data(), sizeof(peer_memory));
    party.give_back_request(std::move(request));
    const RemoteBuffer target = party.region().remote(kTarget);
    std::array<std::byte, sizeof(target)> where{};
    std::memcpy(where.data(), &target, sizeof(target));
    endpoint = party.accept(config(), where);
    REQUIRE(until([&] { return party.saw(Kind::established, endpoint.get()); }));
  }

  void expect_told_and_drained() {
    REQUIRE(until([&] { return party.saw(Kind::drained, endpoint.get()); }));
    const SeenEvent* const told = party.find_event(Kind::disconnected, endpoint.get());
    REQUIRE(told != nullptr);
    CHECK_FALSE(told->error.message.empty());
    CHECK(endpoint->failure().code != StatusCode::ok);
  }

  /// The listener and the provider are as good as before.
  void expect_still_usable() {
    Party other(*fabric, 1);
    auto client = other.connect(party.listener().address(), other.endpoint_config());
    REQUIRE(pump(*fabric, {&party, &other}, [&] { return party.has_request(); }));
    auto server = party.accept(party.endpoint_config());
    REQUIRE(pump(*fabric, {&party, &other}, [&] { return other.saw(Kind::established, client.get()); }));
  }
};

}  // namespace

TEST_CASE("a peer killed while its request waits for an answer leaves nothing behind") {
  Alone server;
  PeerProcess peer(peer_role::kConnect, server.party.listen());
  REQUIRE(server.until([&] { return server.party.has_request(); }));
  peer.kill();
  auto accepted = server.party.provider().accept(server.party.take_request(), server.config(), {});
  if (accepted) {
    server.endpoint = std::move(*accepted);
    server.party.adopt(*server.endpoint, server.config());
    server.expect_told_and_drained();
  }
  server.expect_still_usable();
}

TEST_CASE("a peer killed while idle is noticed") {
  Alone server;
  PeerProcess peer(peer_role::kConnect, server.party.listen());
  server.accept();
  peer.kill();
  server.expect_told_and_drained();
  server.expect_still_usable();
}

TEST_CASE("a peer killed with work in flight both ways: everything completes") {
  Alone server;
  PeerProcess peer(peer_role::kTalk, server.party.listen());
  server.accept();
  std::uint32_t number = 0;
  // Until killed, the server writes into the peer and the peer into the server.
  REQUIRE(server.until([&] {
    while (server.endpoint->send_room() > 0 &&
           server.party.post(*server.endpoint,
                             {write_of(server.party.local(0, 32768), server.peer_memory, number)}))
      ++number;
    return server.party.count_receives(CompletionStatus::success) >= kPeerReceives / 2 &&
           server.party.count_sends(CompletionStatus::success) > 4;
  }));
  peer.kill();
  server.expect_told_and_drained();
  CHECK(server.party.count_sends(CompletionStatus::success) < server.party.completions.size());
  server.expect_still_usable();
}

TEST_CASE(
    "a peer killed in the middle of a large WRITE: the target stays in its bounds and the connection ends") {
  Alone server;
  PeerProcess peer(peer_role::kWriteLarge, server.party.listen());
  server.accept();
  const std::span<std::byte> target = server.party.memory().subspan(Alone::kTarget);
  // The last page changes after the first one has: by then the next WRITE is on its way.
  REQUIRE(server.until([&] { return target[kPeerBytes / 2] != std::byte{}; }));
  peer.kill();
  server.expect_told_and_drained();
  CHECK(std::ranges::all_of(server.party.memory().first(Alone::kTarget),
                            [](std::byte b) { return b == std::byte{}; }));
  server.expect_still_usable();
}

TEST_CASE("field bug: after a peer's sudden death its successor is taken for a stale connection") {
  Alone server;
  const Address address = server.party.listen();
  for (int life = 0; life < 3; ++life) {
    PeerProcess peer(peer_role::kConnect, address);
    server.accept();
    peer.kill();
    // The next life connects before this side was told of the end of this one.
    PeerProcess successor(peer_role::kConnect, address);
    auto dead = std::move(server.endpoint);
    server.accept();
    REQUIRE(server.until([&] { return server.party.saw(Kind::drained, dead.get()); }));
    server.party.forget(*dead);
    CHECK(server.endpoint->state() == EndpointState::connected);
    successor.kill();
    server.expect_told_and_drained();
    server.party.forget(*server.endpoint);
    server.endpoint.reset();
  }
}

TEST_CASE("a listener killed before it answers: the connecting side is told") {
  Alone client;
  PeerProcess peer(peer_role::kListenSilent, {"127.0.0.1", 1});
  client.endpoint = client.party.connect(peer.address(), client.config());
  for (int i = 0; i < 100; ++i)
    client.party.turn();
  peer.kill();
  client.expect_told_and_drained();
}

TEST_CASE("a server killed while idle is noticed by its client") {
  Alone client;
  PeerProcess peer(peer_role::kAccept, {"127.0.0.1", 1});
  client.endpoint = client.party.connect(peer.address(), client.config());
  REQUIRE(client.until([&] { return client.party.saw(Kind::established, client.endpoint.get()); }));
  peer.kill();
  client.expect_told_and_drained();
  CHECK(client.party.count_receives(CompletionStatus::flushed) == kPeerReceives);
}

}  // namespace sluice::transport::contract
