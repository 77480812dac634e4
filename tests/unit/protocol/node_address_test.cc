#include "protocol/node_address.h"

#include <catch2/catch.hpp>

namespace sluice::protocol {
namespace {

std::string at(const char* first, std::uint64_t volume, std::uint16_t reactors) {
  return std::string(address_for(*NodeAddress::from(first), VolumeId(volume), reactors).view());
}

TEST_CASE("a volume is served at the port of its own reactor", "[node_address]") {
  CHECK(at("10.0.0.1:7471", 8, 1) == "10.0.0.1:7471");
  CHECK(at("10.0.0.1:7471", 8, 4) == "10.0.0.1:7471");
  CHECK(at("10.0.0.1:7471", 11, 4) == "10.0.0.1:7474");
  CHECK(at("[fe80::1]:7471", 5, 2) == "[fe80::1]:7472");
}

TEST_CASE("an address without a port that could be counted from stays as it is", "[node_address]") {
  CHECK(at("nowhere", 1, 2) == "nowhere");
  CHECK(at("host:", 1, 2) == "host:");
  CHECK(at("host:port", 1, 2) == "host:port");
  CHECK(at("host:65535", 1, 2) == "host:65535");
}

}  // namespace
}  // namespace sluice::protocol
