#include "transport/transport_config.h"

#include <catch2/catch.hpp>

using sluice::StatusCode;
using sluice::transport::Address;
using sluice::transport::parse_address;
using sluice::transport::parse_provider_choice;
using sluice::transport::ProviderChoice;

TEST_CASE("addresses are parsed and printed alike", "[transport]") {
  for (const char* text : {"10.0.0.7:7400", "node-3:0", "[fe80::1]:65535"}) {
    const auto address = parse_address(text);
    REQUIRE(address);
    CHECK(to_string(*address) == text);
  }
  CHECK(*parse_address("[::1]:7") == Address{"::1", 7});
}

TEST_CASE("a bad address is refused with what was expected", "[transport]") {
  for (const char* text :
       {"", "host", ":1", "host:", "host:65536", "host:-1", "host:7x", "fe80::1:7", "[]:7"}) {
    const auto address = parse_address(text);
    REQUIRE(!address);
    CHECK(address.error().code == StatusCode::invalid_argument);
    CHECK(address.error().message.find("expected HOST:PORT") != std::string::npos);
  }
}

TEST_CASE("an unknown provider is refused with the list of those that exist", "[transport]") {
  CHECK(*parse_provider_choice("auto") == ProviderChoice::automatic);
  CHECK(*parse_provider_choice("verbs") == ProviderChoice::verbs);
  const auto unknown = parse_provider_choice("tcp");
  REQUIRE(!unknown);
  CHECK(unknown.error().message.find("auto, verbs or ofi") != std::string::npos);
}
