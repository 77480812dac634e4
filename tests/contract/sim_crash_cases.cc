// The peer is killed, or its host loses power, at each step of a connection, in virtual time.

#include <catch2/catch.hpp>

#include "tests/contract/stage.h"
#include "transport/sim/network.h"

namespace sluice::transport::contract {

using Kind = ConnectionEvent::Kind;

namespace {

constexpr std::uint32_t kLarge = 512 * 1024;

/// A network that the test can do harm to.
class FragileFabric final : public TestFabric {
 public:
  explicit FragileFabric(std::uint64_t seed) : network(seed) {
    network.add_host("client", {"10.0.0.1"});
    network.add_host("server", {"10.0.0.2"});
  }
  [[nodiscard]] const FabricTraits& traits() const noexcept override { return traits_; }
  Result<std::unique_ptr<Provider>> open(int host, const TransportConfig& config) override {
    return network.open_provider(host == 0 ? "client" : "server", config);
  }
  [[nodiscard]] Address address(int host) const override { return {host == 0 ? "10.0.0.1" : "10.0.0.2", 0}; }
  [[nodiscard]] std::optional<Address> silent_address() override { return std::nullopt; }
  /// Step by step, and where nothing is due soon, on by a millisecond: timers of the providers run in turns.
  void advance() override {
    const Instant end = network.now() + std::chrono::milliseconds(1);
    const auto next = network.next_event_time();
    if (next && *next <= end) {
      network.step();
    } else {
      network.run_until(end);
    }
  }
  [[nodiscard]] Instant now() const override { return network.now(); }

  sim::Network network;

 private:
  FabricTraits traits_{.name = "sim", .simulated = true};
};

enum class Step : std::uint8_t { requested, connected, in_flight, large_write };

/// The client is the victim; the server must come out of it clean.
struct Crash {
  explicit Crash(std::uint64_t seed) : fabric(seed) {}

  FragileFabric fabric;
  Party server{fabric, 1, test_config(), {.memory_bytes = 2UL * 1024 * 1024}};
  Party client{fabric, 0, test_config(), {.memory_bytes = 2UL * 1024 * 1024}};
  Address address = server.listen();
  Pair pair;

  bool until(const std::function<bool()>& done) { return pump(fabric, {&client, &server}, done); }

  void reach(Step step) {
    std::vector<ReceiveRequest> receives;
    for (std::uint32_t i = 0; i < 4; ++i)
      receives.push_back(receive_into(server.local(std::uint64_t{i} * 64, 64), i));
    server_config = server.endpoint_config();
    server_config.initial_receives = kept_receives = receives;
    pair.client = client.connect(address, client.endpoint_config());
    REQUIRE(until([&] { return server.has_request(); }));
    if (step == Step::requested) return;
    pair.server = server.accept(server_config);
    REQUIRE(until([&] {
      return client.saw(Kind::established, pair.client.get()) &&
             server.saw(Kind::established, pair.server.get());
    }));
    if (step == Step::connected) return;
    const std::uint64_t out = 64UL * 1024;
    const std::uint64_t in = 1024UL * 1024;
    fill(client.memory().subspan(out, kLarge), 7);
    REQUIRE(client.post(
        *pair.client, {write_of(client.local(out, kLarge), server.region().remote(in), 0), send_of({}, 1)}));
    if (step == Step::in_flight) {
      REQUIRE(server.post(*pair.server, {write_of(server.local(out, kLarge), client.region().remote(in), 0),
                                         read_of(server.local(out, kLarge), client.region().remote(in), 1),
                                         send_of({}, 2, false)}));
      return;
    }
    // The first half has arrived, the rest is on its way.
    while (server.memory()[in + kLarge / 2] == std::byte{} && fabric.network.step()) {
    }
  }

  void expect_server_clean() {
    client.forget(*pair.client);
    if (!pair.server) {
      auto late = server.provider().accept(server.take_request(), server_config, {});
      if (!late) return;
      pair.server = std::move(*late);
      server.adopt(*pair.server, server_config);
    }
    REQUIRE(pump(
        fabric, {&server}, [&] { return server.saw(Kind::drained, pair.server.get()); },
        std::chrono::minutes(5)));
    CHECK(server.saw(Kind::disconnected, pair.server.get()));
    CHECK(pair.server->failure().code != StatusCode::ok);
  }

  std::vector<ReceiveRequest> kept_receives;
  EndpointConfig server_config;
};

}  // namespace

TEST_CASE("a simulated peer killed at each step: the server is told and everything completes") {
  const auto step = GENERATE(Step::requested, Step::connected, Step::in_flight, Step::large_write);
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    INFO("step " << static_cast<int>(step) << ", seed " << seed);
    Crash crash(seed);
    crash.reach(step);
    crash.fabric.network.kill(crash.client.provider());
    crash.expect_server_clean();
  }
}

TEST_CASE("a simulated host that loses power at each step: retries run out, everything completes") {
  const auto step = GENERATE(Step::requested, Step::in_flight, Step::large_write);
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    INFO("step " << static_cast<int>(step) << ", seed " << seed);
    Crash crash(seed);
    crash.reach(step);
    crash.fabric.network.crash_host("client");
    if (crash.pair.server && crash.server.outstanding(*crash.pair.server) <= 4) {
      // Nobody tells of a lost power: only a request of one's own finds out.
      REQUIRE(crash.server.post(*crash.pair.server, {send_of({}, 9)}));
    }
    crash.expect_server_clean();
    if (step != Step::requested) {
      CHECK(crash.server.count_sends(CompletionStatus::retry_exceeded) == 1);
    }
  }
}

TEST_CASE("a simulated host that lost power while idle is found out by the next request") {
  Crash crash(1);
  crash.reach(Step::connected);
  crash.fabric.network.crash_host("client");
  for (int i = 0; i < 100; ++i) {
    crash.server.turn();
    crash.fabric.advance();
  }
  CHECK(crash.pair.server->state() == EndpointState::connected);
  REQUIRE(crash.server.post(*crash.pair.server, {send_of({}, 0), send_of({}, 1)}));
  crash.expect_server_clean();
  REQUIRE(crash.server.find(send_id(0)) != nullptr);
  CHECK(crash.server.find(send_id(0))->status == CompletionStatus::retry_exceeded);
  CHECK(crash.server.find(send_id(1))->status == CompletionStatus::flushed);
}

TEST_CASE("field bug: a stale connection's rejection after a power loss is taken as final") {
  Crash crash(1);
  crash.reach(Step::connected);
  crash.fabric.network.crash_host("client");
  crash.fabric.network.restart_host("client");
  // The server still believes in the old connection. A new process of the host gets a new one, if need be
  // after being told to try again.
  Party reborn(crash.fabric, 0);
  std::unique_ptr<Endpoint> accepted;
  for (int tries = 0;; ++tries) {
    REQUIRE(tries < 3);
    auto again = reborn.connect(crash.address, reborn.endpoint_config());
    REQUIRE(pump(crash.fabric, {&reborn, &crash.server}, [&] {
      if (crash.server.has_request()) accepted = crash.server.accept(crash.server.endpoint_config());
      return reborn.saw(Kind::established, again.get()) || reborn.saw(Kind::drained, again.get());
    }));
    if (reborn.saw(Kind::established, again.get())) break;
    const SeenEvent* const told = reborn.find_event(Kind::disconnected, again.get());
    REQUIRE(told != nullptr);
    CHECK(told->error.code == StatusCode::unavailable);
    reborn.forget(*again);
  }
  crash.client.forget(*crash.pair.client);
}

}  // namespace sluice::transport::contract
