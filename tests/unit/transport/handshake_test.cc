#include "transport/handshake.h"

#include <algorithm>
#include <vector>

#include <catch2/catch.hpp>

using sluice::StatusCode;
using sluice::transport::HandshakeMessage;
using sluice::transport::parse_handshake;

namespace {

std::vector<std::byte> sample_data(std::size_t size) {
  std::vector<std::byte> data(size);
  for (std::size_t i = 0; i < size; ++i)
    data[i] = static_cast<std::byte>(i + 1);
  return data;
}

std::vector<std::byte> message_bytes(std::size_t data_size) {
  const HandshakeMessage message({.credits = 0x1234}, sample_data(data_size));
  return {message.bytes().begin(), message.bytes().end()};
}

}  // namespace

TEST_CASE("a handshake survives being padded by the connection manager", "[transport]") {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{48}, std::size_t{188}}) {
    std::vector<std::byte> wire = message_bytes(size);
    wire.resize(wire.size() + 60);
    const auto parsed = parse_handshake(wire);
    REQUIRE(parsed);
    CHECK(parsed->header.credits == 0x1234);
    CHECK(std::ranges::equal(parsed->private_data, sample_data(size)));
  }
}

TEST_CASE("a truncated handshake is malformed at every length", "[transport]") {
  const std::vector<std::byte> wire = message_bytes(48);
  for (std::size_t size = 0; size < wire.size(); ++size) {
    const auto parsed = parse_handshake(std::span(wire).first(size));
    REQUIRE(!parsed);
    CHECK(parsed.error().code == StatusCode::malformed);
  }
}

TEST_CASE("a peer of another transport version is told apart from a stranger", "[transport]") {
  std::vector<std::byte> wire = message_bytes(4);
  wire[4] = std::byte{9};
  const auto other_version = parse_handshake(wire);
  REQUIRE(!other_version);
  CHECK(other_version.error().code == StatusCode::version_mismatch);
  CHECK(other_version.error().message.find("version 9") != std::string::npos);
  wire[0] = std::byte{'X'};
  CHECK(parse_handshake(wire).error().code == StatusCode::malformed);
}
