// Connections come and go, and nothing stays behind.

#include <catch2/catch.hpp>

#include "tests/contract/leaks.h"
#include "tests/contract/stage.h"

namespace sluice::transport::contract {

namespace {

void forget_all(Party& party) {
  party.completions.clear();
  party.events.clear();
}

}  // namespace

TEST_CASE("200 connects and disconnects leave no descriptor, no memory and no device object behind") {
  Stage stage;
  Held before;
  std::optional<std::string> resources_before;
  for (std::uint32_t round = 0; round < 200; ++round) {
    INFO("round " << round);
    Pair pair = stage.connect({.server_receives = 2, .receive_bytes = 64});
    REQUIRE(stage.client.post(*pair.client, {send_of({}, round)}));
    REQUIRE(stage.until([&] { return stage.server.count_receives(CompletionStatus::success) == 1; }));
    stage.close(pair);
    forget_all(stage.client);
    forget_all(stage.server);
    if (round == 99) {
      before = held_now();
      resources_before = stage.fabric->device_resources();
    }
  }
  const Held after = held_now();
  CHECK(after.descriptors == before.descriptors);
  // The records of this test itself, and what an allocator rounds.
  CHECK(after.heap_bytes <= before.heap_bytes + 16UL * 1024);
  CHECK(stage.fabric->device_resources() == resources_before);
}

TEST_CASE("50 refused connections leave no descriptor and no memory behind") {
  Stage stage;
  Held before;
  for (std::uint32_t round = 0; round < 50; ++round) {
    auto client = stage.client.connect(stage.address, stage.client.endpoint_config());
    REQUIRE(stage.until([&] { return stage.server.has_request(); }));
    stage.server.provider().reject(stage.server.take_request(), {});
    REQUIRE(stage.until([&] { return stage.client.saw(ConnectionEvent::Kind::drained, client.get()); }));
    stage.client.forget(*client);
    client.reset();
    forget_all(stage.client);
    forget_all(stage.server);
    if (round == 24) before = held_now();
  }
  const Held after = held_now();
  CHECK(after.descriptors == before.descriptors);
  CHECK(after.heap_bytes <= before.heap_bytes + 16UL * 1024);
}

TEST_CASE("20 providers opened and closed leave no descriptor and no memory behind") {
  Held before;
  for (std::uint32_t round = 0; round < 20; ++round) {
    {
      Stage stage;
      Pair pair = stage.connect();
      stage.close(pair);
    }
    if (round == 9) before = held_now();
  }
  const Held after = held_now();
  CHECK(after.descriptors == before.descriptors);
  CHECK(after.heap_bytes <= before.heap_bytes + 64UL * 1024);
}

}  // namespace sluice::transport::contract
