// Nobody reaches memory that wasn't granted: the connection fails at both ends and the memory is untouched.

#include <algorithm>

#include <catch2/catch.hpp>

#include "tests/contract/stage.h"

namespace sluice::transport::contract {

namespace {

constexpr std::uint32_t kTargetBytes = 8192;

/// A region of the server's in the middle of a larger buffer, so that what lies around it can be watched.
struct Target {
  std::vector<std::byte> surroundings = std::vector<std::byte>(3 * kTargetBytes, std::byte{0x5a});
  std::unique_ptr<Region> region;

  Target(ProtectionDomain& domain, Access access) {
    auto registered =
        domain.register_memory(std::span(surroundings).subspan(kTargetBytes, kTargetBytes), access);
    REQUIRE(registered);
    region = std::move(*registered);
  }

  [[nodiscard]] bool untouched() const {
    return std::ranges::all_of(surroundings, [](std::byte b) { return b == std::byte{0x5a}; });
  }
};

/// Posts `bad`, and expects remote_access at the poster, both ends drained and the rest flushed.
void expect_refused_by_peer(Stage& stage, Pair& pair, WorkRequest bad) {
  bad.id = send_id(0);
  REQUIRE(stage.client.post(*pair.client, {bad, send_of({}, 1), send_of({}, 2, false)}));
  stage.expect_both_drain(pair);
  const Completion* const failed = stage.client.find(send_id(0));
  REQUIRE(failed != nullptr);
  CHECK(failed->status == CompletionStatus::remote_access);
  REQUIRE(stage.client.find(send_id(1)) != nullptr);
  CHECK(stage.client.find(send_id(1))->status == CompletionStatus::flushed);
  REQUIRE(stage.client.find(send_id(2)) != nullptr);
  CHECK(stage.client.find(send_id(2))->status == CompletionStatus::flushed);
  CHECK(pair.client->failure().code != StatusCode::ok);
  CHECK_FALSE(pair.client->failure().message.empty());
  CHECK(stage.client.saw(ConnectionEvent::Kind::disconnected, pair.client.get()));
  CHECK(stage.server.saw(ConnectionEvent::Kind::disconnected, pair.server.get()));
  CHECK(stage.server.count_receives(CompletionStatus::success) == 0);
  CHECK(stage.server.count_receives(CompletionStatus::flushed) +
            stage.server.count_receives(CompletionStatus::remote_access) +
            stage.server.count_receives(CompletionStatus::other) ==
        4);
}

WorkRequest client_write(Stage& stage, std::uint32_t bytes, RemoteBuffer to) {
  return write_of(stage.client.local(4096, bytes), to, 0);
}
WorkRequest client_read(Stage& stage, std::uint32_t bytes, RemoteBuffer from) {
  return read_of(stage.client.local(4096, bytes), from, 0);
}

constexpr PairOptions kFourReceives{.server_receives = 4, .receive_bytes = 64};

}  // namespace

TEST_CASE("the bounds of a region are exact: its first and last byte may be written and read") {
  Stage stage;
  Target target(stage.server.domain(), Access::remote_write | Access::remote_read);
  Pair pair = stage.connect(kFourReceives);
  stage.client.memory()[4096] = std::byte{1};
  REQUIRE(stage.client.post(
      *pair.client, {write_of(stage.client.local(4096, 1), target.region->remote(0), 0),
                     write_of(stage.client.local(4096, 1), target.region->remote(kTargetBytes - 1), 1),
                     read_of(stage.client.local(5000, kTargetBytes), target.region->remote(0), 2)}));
  REQUIRE(stage.until([&] { return stage.client.completions.size() == 3; }));
  CHECK(stage.client.count_sends(CompletionStatus::success) == 3);
  CHECK(target.surroundings[kTargetBytes] == std::byte{1});
  CHECK(target.surroundings[2 * kTargetBytes - 1] == std::byte{1});
  CHECK(target.surroundings[kTargetBytes - 1] == std::byte{0x5a});
  CHECK(target.surroundings[2 * kTargetBytes] == std::byte{0x5a});
  stage.close(pair);
}

TEST_CASE("a write one byte beyond the end of a region is refused") {
  Stage stage;
  Target target(stage.server.domain(), Access::remote_write);
  Pair pair = stage.connect(kFourReceives);
  expect_refused_by_peer(stage, pair, client_write(stage, 65, target.region->remote(kTargetBytes - 64)));
  CHECK(target.untouched());
}

TEST_CASE("a write one byte before the start of a region is refused") {
  Stage stage;
  Target target(stage.server.domain(), Access::remote_write);
  Pair pair = stage.connect(kFourReceives);
  RemoteBuffer before = target.region->remote(0);
  before.address -= 1;
  expect_refused_by_peer(stage, pair, client_write(stage, 64, before));
  CHECK(target.untouched());
}

TEST_CASE("a large write that starts inside a region and runs beyond it is refused") {
  StageOptions options;
  options.party.memory_bytes = 1024UL * 1024;
  Stage stage(options);
  Target target(stage.server.domain(), Access::remote_write);
  Pair pair = stage.connect(kFourReceives);
  expect_refused_by_peer(stage, pair, client_write(stage, 512 * 1024, target.region->remote(0)));
  CHECK(std::ranges::all_of(std::span(target.surroundings).first(kTargetBytes),
                            [](std::byte b) { return b == std::byte{0x5a}; }));
  CHECK(std::ranges::all_of(std::span(target.surroundings).last(kTargetBytes),
                            [](std::byte b) { return b == std::byte{0x5a}; }));
}

TEST_CASE("a read one byte beyond the end of a region is refused") {
  Stage stage;
  Target target(stage.server.domain(), Access::remote_read);
  Pair pair = stage.connect(kFourReceives);
  expect_refused_by_peer(stage, pair, client_read(stage, 65, target.region->remote(kTargetBytes - 64)));
  CHECK(std::ranges::all_of(stage.client.memory(), [](std::byte b) { return b == std::byte{}; }));
}

TEST_CASE("a read one byte before the start of a region is refused") {
  Stage stage;
  Target target(stage.server.domain(), Access::remote_read);
  Pair pair = stage.connect(kFourReceives);
  RemoteBuffer before = target.region->remote(0);
  before.address -= 1;
  expect_refused_by_peer(stage, pair, client_read(stage, 64, before));
  CHECK(std::ranges::all_of(stage.client.memory(), [](std::byte b) { return b == std::byte{}; }));
}

TEST_CASE("an address that wraps around is refused") {
  Stage stage;
  Target target(stage.server.domain(), Access::remote_write);
  Pair pair = stage.connect(kFourReceives);
  RemoteBuffer wrapping = target.region->remote(0);
  wrapping.address = ~std::uint64_t{0} - 16;
  expect_refused_by_peer(stage, pair, client_write(stage, 64, wrapping));
  CHECK(target.untouched());
}

TEST_CASE("a key that nobody gave out is refused") {
  Stage stage;
  Target target(stage.server.domain(), Access::remote_write);
  Pair pair = stage.connect(kFourReceives);
  RemoteBuffer guessed = target.region->remote(0);
  guessed.key ^= 0x0070'0000U;
  expect_refused_by_peer(stage, pair, client_write(stage, 64, guessed));
  CHECK(target.untouched());
}

TEST_CASE("a region without the right to be written refuses writes") {
  Stage stage;
  for (const Access access : {Access::remote_read, Access::local_write}) {
    Target target(stage.server.domain(), access);
    Pair pair = stage.connect(kFourReceives);
    stage.client.completions.clear();
    stage.server.completions.clear();
    expect_refused_by_peer(stage, pair, client_write(stage, 64, target.region->remote(0)));
    CHECK(target.untouched());
    stage.client.forget(*pair.client);
    stage.server.forget(*pair.server);
  }
}

TEST_CASE("a region without the right to be read refuses reads") {
  Stage stage;
  Target target(stage.server.domain(), Access::remote_write);
  Pair pair = stage.connect(kFourReceives);
  expect_refused_by_peer(stage, pair, client_read(stage, 64, target.region->remote(0)));
  CHECK(std::ranges::all_of(stage.client.memory(), [](std::byte b) { return b == std::byte{}; }));
}

TEST_CASE("a region of another protection domain is out of reach, whoever knows its key") {
  Stage stage;
  auto other_domain = stage.server.provider().create_protection_domain();
  REQUIRE(other_domain);
  {
    Target target(**other_domain, Access::remote_write | Access::remote_read);
    Pair pair = stage.connect(kFourReceives);
    expect_refused_by_peer(stage, pair, client_write(stage, 64, target.region->remote(0)));
    CHECK(target.untouched());
    stage.client.forget(*pair.client);
    stage.server.forget(*pair.server);
  }
}

TEST_CASE("a region that was deregistered is out of reach") {
  Stage stage;
  Target target(stage.server.domain(), Access::remote_write);
  Pair pair = stage.connect(kFourReceives);
  const RemoteBuffer gone = target.region->remote(0);
  REQUIRE(stage.client.post(*pair.client, {write_of(stage.client.local(4096, 8), gone, 7)}));
  REQUIRE(stage.until([&] { return stage.client.find(send_id(7)) != nullptr; }));
  REQUIRE(stage.client.find(send_id(7))->status == CompletionStatus::success);
  std::ranges::fill(target.surroundings, std::byte{0x5a});
  target.region.reset();
  expect_refused_by_peer(stage, pair, client_write(stage, 64, gone));
  CHECK(target.untouched());
}

TEST_CASE("a bad local key fails the request at the poster and reaches nobody") {
  Stage stage;
  Target target(stage.server.domain(), Access::remote_write);
  Pair pair = stage.connect(kFourReceives);
  std::vector<std::byte> unregistered(4096);
  const LocalBuffer bad{unregistered.data(), 4096, stage.client.region().local_key() ^ 0x0070'0000U};
  const Status posted = stage.client.post(*pair.client, {write_of(bad, target.region->remote(0), 0)});
  if (posted) {
    stage.expect_both_drain(pair);
    REQUIRE(stage.client.find(send_id(0)) != nullptr);
    CHECK(stage.client.find(send_id(0))->status == CompletionStatus::local_protection);
    CHECK(pair.client->failure().code != StatusCode::ok);
  } else {
    CHECK(posted.error().code == StatusCode::invalid_argument);
    stage.close(pair);
  }
  CHECK(target.untouched());
}

TEST_CASE("a local buffer that reaches beyond its region fails at the poster and reaches nobody") {
  Stage stage;
  Target target(stage.server.domain(), Access::remote_write);
  std::vector<std::byte> buffer(4096);
  auto half = stage.client.domain().register_memory(std::span(buffer).first(2048), Access::local_write);
  REQUIRE(half);
  Pair pair = stage.connect(kFourReceives);
  LocalBuffer beyond = (*half)->local(0, 2048);
  beyond.length = 2049;
  const Status posted = stage.client.post(*pair.client, {write_of(beyond, target.region->remote(0), 0)});
  if (posted) {
    stage.expect_both_drain(pair);
    REQUIRE(stage.client.find(send_id(0)) != nullptr);
    CHECK(stage.client.find(send_id(0))->status == CompletionStatus::local_protection);
  } else {
    CHECK(posted.error().code == StatusCode::invalid_argument);
    stage.close(pair);
  }
  CHECK(target.untouched());
  stage.client.forget(*pair.client);
  stage.server.forget(*pair.server);
  pair = {};
}

TEST_CASE("a message longer than its receive fails both ends and touches nothing beyond the receive") {
  Stage stage;
  std::ranges::fill(stage.server.memory(), std::byte{0x5a});
  Pair pair = stage.connect({.server_receives = 2, .receive_bytes = 64});
  REQUIRE(stage.client.post(*pair.client, {send_of(stage.client.local(4096, 65), 0)}));
  stage.expect_both_drain(pair);
  const Completion* const sent = stage.client.find(send_id(0));
  REQUIRE(sent != nullptr);
  if (!stage.fabric->traits().sends_complete_locally) CHECK(sent->status != CompletionStatus::success);
  CHECK(stage.server.count_receives(CompletionStatus::success) == 0);
  REQUIRE(stage.server.find(receive_id(0)) != nullptr);
  CHECK(stage.server.find(receive_id(0))->status == CompletionStatus::local_length);
  CHECK(pair.client->failure().code != StatusCode::ok);
  CHECK(pair.server->failure().code != StatusCode::ok);
  CHECK(std::ranges::all_of(stage.server.memory().subspan(64),
                            [](std::byte b) { return b == std::byte{0x5a}; }));
}

}  // namespace sluice::transport::contract
