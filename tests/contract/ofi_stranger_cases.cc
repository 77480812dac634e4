// Peers that aren't sluice's, or not of this version, on the ofi provider.

#include <algorithm>

#include <catch2/catch.hpp>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/contract/leaks.h"
#include "tests/contract/stage.h"
#include "tests/contract/tampering_proxy.h"

namespace sluice::transport::contract {

using Kind = ConnectionEvent::Kind;
using Direction = TamperingProxy::Direction;

namespace {

constexpr std::string_view kThisVersion("SLUX\1", 5);
constexpr std::string_view kOtherVersion("SLUX\11", 5);
constexpr std::string_view kStranger("NOPE\1", 5);

StageOptions impatient() {
  StageOptions options;
  options.client.connect_timeout = std::chrono::milliseconds(500);
  return options;
}

bool log_mentions(const Party& party, std::string_view words) {
  return std::ranges::any_of(party.log(),
                             [&](const std::string& line) { return line.find(words) != std::string::npos; });
}

/// Whatever came, the listener is as good as before.
void expect_still_usable(Stage& stage) {
  Pair pair = stage.connect();
  stage.close(pair);
}

}  // namespace

TEST_CASE("a client of another version is refused, told why, and logged") {
  Stage stage(impatient());
  TamperingProxy proxy(stage.address, Direction::to_server, kThisVersion, kOtherVersion);
  auto client = stage.client.connect(proxy.address(), stage.client.endpoint_config());
  REQUIRE(stage.until([&] {
    proxy.turn();
    return stage.client.saw(Kind::drained, client.get());
  }));
  REQUIRE(proxy.has_tampered());
  CHECK(stage.client.find_event(Kind::disconnected, client.get())->error.code ==
        StatusCode::connection_refused);
  CHECK_FALSE(stage.server.has_request());
  CHECK(log_mentions(stage.server, "version 9"));
  expect_still_usable(stage);
}

TEST_CASE("a client that is no sluice peer is refused and logged") {
  Stage stage(impatient());
  TamperingProxy proxy(stage.address, Direction::to_server, kThisVersion, kStranger);
  auto client = stage.client.connect(proxy.address(), stage.client.endpoint_config());
  REQUIRE(stage.until([&] {
    proxy.turn();
    return stage.client.saw(Kind::drained, client.get());
  }));
  REQUIRE(proxy.has_tampered());
  CHECK_FALSE(stage.server.has_request());
  CHECK(log_mentions(stage.server, "doesn't speak sluice"));
  expect_still_usable(stage);
}

TEST_CASE("a server of another version, or none at all, isn't connected to, and the error says which") {
  const bool stranger = GENERATE(false, true);
  Stage stage(impatient());
  TamperingProxy proxy(stage.address, Direction::to_client, kThisVersion,
                       stranger ? kStranger : kOtherVersion);
  auto client = stage.client.connect(proxy.address(), stage.client.endpoint_config());
  REQUIRE(stage.until([&] {
    proxy.turn();
    return stage.server.has_request();
  }));
  auto server = stage.server.accept(stage.server.endpoint_config());
  REQUIRE(stage.until([&] {
    proxy.turn();
    return stage.client.saw(Kind::drained, client.get()) && stage.server.saw(Kind::drained, server.get());
  }));
  REQUIRE(proxy.has_tampered());
  const SeenEvent* const failed = stage.client.find_event(Kind::disconnected, client.get());
  REQUIRE(failed != nullptr);
  CHECK(failed->error.code == (stranger ? StatusCode::malformed : StatusCode::version_mismatch));
  CHECK_FALSE(stage.client.saw(Kind::established, client.get()));
  CHECK(stage.server.saw(Kind::disconnected, server.get()));
}

TEST_CASE("a rejection by a server of another version says that it is one") {
  Stage stage(impatient());
  TamperingProxy proxy(stage.address, Direction::to_client, kThisVersion, kOtherVersion);
  auto client = stage.client.connect(proxy.address(), stage.client.endpoint_config());
  REQUIRE(stage.until([&] {
    proxy.turn();
    return stage.server.has_request();
  }));
  stage.server.provider().reject(stage.server.take_request(), bytes_of("no"));
  REQUIRE(stage.until([&] {
    proxy.turn();
    return stage.client.saw(Kind::drained, client.get());
  }));
  CHECK(stage.client.find_event(Kind::disconnected, client.get())->error.code ==
        StatusCode::version_mismatch);
}

TEST_CASE("garbage, silence and half a handshake on a listener's port harm nobody") {
  Stage stage;
  expect_still_usable(stage);  // some descriptors come with the first connection and stay
  const Held before = held_now();
  std::vector<int> sockets;
  for (std::uint32_t round = 0; round < 24; ++round) {
    const int fd = connect_loopback(stage.address.port);
    REQUIRE(fd >= 0);
    std::vector<std::byte> garbage(std::size_t{1} << (round % 12));
    fill(garbage, round);
    if (round % 3 != 0) ::send(fd, garbage.data(), garbage.size(), MSG_NOSIGNAL);
    if (round % 2 == 0) {
      ::close(fd);
    } else {
      sockets.push_back(fd);
    }
    for (int i = 0; i < 20; ++i)
      stage.server.turn();
  }
  CHECK_FALSE(stage.server.has_request());
  expect_still_usable(stage);
  for (const int fd : sockets)
    ::close(fd);
  CHECK(stage.until([&] { return held_now().descriptors <= before.descriptors; }, std::chrono::seconds(5)));
  expect_still_usable(stage);
}

}  // namespace sluice::transport::contract
