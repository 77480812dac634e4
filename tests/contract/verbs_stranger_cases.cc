// Peers that aren't sluice's, or not of this version, on the verbs provider: users of rdma_cm all the same.

#include <algorithm>

#include <catch2/catch.hpp>

#include "tests/contract/raw_rdma_peer.h"
#include "tests/contract/stage.h"
#include "transport/handshake.h"

namespace sluice::transport::contract {

using Kind = ConnectionEvent::Kind;
using Answer = RawRdmaPeer::Answer;

namespace {

std::vector<std::byte> handshake_with(std::size_t at, char value) {
  const HandshakeMessage message({.credits = 4}, {});
  std::vector<std::byte> bytes(message.bytes().begin(), message.bytes().end());
  bytes.at(at) = static_cast<std::byte>(value);
  return bytes;
}

std::vector<std::byte> other_version() {
  return handshake_with(4, 9);
}
std::vector<std::byte> stranger() {
  return handshake_with(0, 'N');
}

}  // namespace

TEST_CASE("a client of another version, or a stranger, is refused, never shown, and told what this side is") {
  Stage stage;
  for (const auto& says : {other_version(), stranger(), std::vector<std::byte>{}, bytes_of("hello")}) {
    INFO(says.size() << " bytes");
    const auto raw = RawRdmaPeer::connecting(stage.address, says);
    REQUIRE(stage.until([&] {
      raw->turn();
      return raw->answer() != Answer::none;
    }));
    CHECK(raw->answer() == Answer::refused);
    CHECK_FALSE(stage.server.has_request());
  }
  CHECK(std::ranges::any_of(stage.server.log(), [](const std::string& line) {
    return line.find("version 9") != std::string::npos;
  }));
  Pair pair = stage.connect();
  stage.close(pair);
}

TEST_CASE("a server of another version, or a stranger, isn't connected to, and the error says which") {
  const bool is_stranger = GENERATE(false, true);
  Stage stage;
  const auto raw =
      RawRdmaPeer::listening(stage.fabric->address(1).host, is_stranger ? stranger() : other_version());
  auto client =
      stage.client.connect({stage.fabric->address(1).host, raw->port()}, stage.client.endpoint_config());
  REQUIRE(stage.until([&] {
    raw->turn();
    return stage.client.saw(Kind::drained, client.get());
  }));
  const SeenEvent* const failed = stage.client.find_event(Kind::disconnected, client.get());
  REQUIRE(failed != nullptr);
  CHECK(failed->error.code == (is_stranger ? StatusCode::malformed : StatusCode::version_mismatch));
  CHECK_FALSE(stage.client.saw(Kind::established, client.get()));
}

}  // namespace sluice::transport::contract
