// What a reliable connected queue pair does to memory and completions, instant by instant.

#include "tests/unit/transport/sim_peer.h"

namespace sluice::transport::sim {

using Kind = ConnectionEvent::Kind;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""us;

namespace {

constexpr std::uint64_t kTarget = 128UL * 1024;
constexpr std::uint32_t kLarge = 64 * 1024;

std::span<std::byte> target_of(SimPair& pair, std::size_t bytes = kLarge) {
  return std::span(pair.node->memory).subspan(kTarget, bytes);
}

WorkRequest large_write(SimPair& pair, std::uint32_t number, bool signaled = true) {
  return write_to(pair.client->region->local(0, kLarge), pair.node->region->remote(kTarget), number,
                  signaled);
}

}  // namespace

TEST_CASE("the source of a WRITE is read after post: reusing it early shows at the peer", "[sim]") {
  SimPair pair;
  pair.connect();
  fill_with(std::span(pair.client->memory).first(kLarge), 1);
  REQUIRE(post(*pair.client->endpoint, large_write(pair, 1)));
  fill_with(std::span(pair.client->memory).first(kLarge), 2);
  REQUIRE(pair.until([&] { return pair.client->completions.size() == 1; }));
  CHECK(count_of(target_of(pair), 2) == kLarge);
}

TEST_CASE("an inline source is copied by post", "[sim]") {
  SimPair pair;
  pair.connect(1);
  std::array<std::byte, 32> unregistered{};
  fill_with(unregistered, 1);
  WorkRequest request = request_of(Opcode::send, {unregistered.data(), 32, 0}, 1);
  request.inline_data = true;
  REQUIRE(post(*pair.client->endpoint, request));
  fill_with(unregistered, 2);
  REQUIRE(pair.until([&] { return pair.node->completions.size() == 1; }));
  CHECK(count_of(std::span(pair.node->memory).first(32), 1) == 32);
}

TEST_CASE("a WRITE lands in pieces of an MTU, in order", "[sim]") {
  SimPair pair;
  pair.connect();
  fill_with(std::span(pair.client->memory).first(kLarge), 1);
  REQUIRE(post(*pair.client->endpoint, large_write(pair, 1)));
  std::size_t landed = 0;
  std::size_t pieces = 0;
  REQUIRE(pair.until([&] {
    const std::size_t now = count_of(target_of(pair), 1);
    REQUIRE(count_of(target_of(pair, now), 1) == now);
    if (now != landed) ++pieces;
    landed = now;
    return !pair.client->completions.empty();
  }));
  CHECK(landed == kLarge);
  CHECK(pieces == kLarge / 4096);
}

TEST_CASE("a queue pair that breaks down may leave any prefix of a WRITE", "[sim]") {
  bool saw_nothing = false;
  bool saw_part = false;
  bool saw_all = false;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    SimPair pair(seed);
    pair.connect();
    fill_with(std::span(pair.client->memory).first(kLarge), 1);
    pair.network.faults().strike_next(FaultKind::queue_pair_error);
    REQUIRE(post(*pair.client->endpoint, large_write(pair, 1)));
    REQUIRE(pair.until([&] { return pair.both_drained(); }));
    REQUIRE(pair.client->completions.size() == 1);
    const std::size_t landed = count_of(target_of(pair), 1);
    REQUIRE(count_of(target_of(pair, landed), 1) == landed);
    saw_nothing = saw_nothing || landed == 0;
    saw_part = saw_part || (landed > 0 && landed < kLarge);
    if (landed == kLarge) {
      // Executed, and yet flushed or successful: that is what an unknown outcome means.
      saw_all = saw_all || pair.client->completions[0].status == CompletionStatus::flushed;
    } else {
      CHECK(pair.client->completions[0].status == CompletionStatus::flushed);
    }
    CHECK(pair.network.faults().count(FaultKind::queue_pair_error) == 1);
  }
  CHECK(saw_nothing);
  CHECK(saw_part);
  CHECK(saw_all);
}

TEST_CASE("acknowledgements that never come: executed at the peer, retry_exceeded and flushed here",
          "[sim]") {
  SimPair pair;
  pair.connect(3);
  pair.network.exhaust_retries(*pair.client->endpoint);
  const std::array<WorkRequest, 3> chain = {
      request_of(Opcode::send, pair.client->region->local(0, 8), 1),
      request_of(Opcode::send, pair.client->region->local(0, 8), 2, false),
      request_of(Opcode::send, pair.client->region->local(0, 8), 3)};
  const Instant start = pair.network.now();
  REQUIRE(pair.client->endpoint->post(chain));
  REQUIRE(pair.until([&] { return pair.both_drained(); }));
  CHECK(pair.node->count(CompletionStatus::success, true) == 3);
  REQUIRE(pair.client->completions.size() == 3);
  CHECK(pair.client->completions[0].status == CompletionStatus::retry_exceeded);
  CHECK(pair.client->completions[1].status == CompletionStatus::flushed);
  CHECK(pair.client->completions[2].status == CompletionStatus::flushed);
  // ACK timeout 4.096 us * 2^14, once and 7 retries.
  const Duration expected = Duration(4096) * (1 << 14) * 8;
  CHECK(pair.network.now() - start >= expected);
  CHECK(pair.network.now() - start < expected + 10ms);
}

TEST_CASE("repeated packets are executed once", "[sim]") {
  SimPair pair(3);
  pair.connect(100);
  pair.network.faults().set_rate(FaultKind::packet_loss, 200'000);
  for (std::uint32_t i = 0; i < 100; ++i) {
    pair.client->memory[i] = static_cast<std::byte>(i);
    REQUIRE(
        post(*pair.client->endpoint, request_of(Opcode::send, pair.client->region->local(i, 1), i, i == 99)));
  }
  REQUIRE(pair.until([&] { return !pair.client->completions.empty(); }));
  CHECK(pair.client->completions[0].status == CompletionStatus::success);
  REQUIRE(pair.node->completions.size() == 100);
  for (std::uint32_t i = 0; i < 100; ++i)
    CHECK(pair.node->memory[std::size_t{i} * 256] == static_cast<std::byte>(i));
  CHECK(pair.network.faults().count(FaultKind::packet_loss) > 20);
}

TEST_CASE("READs come back whole through losses, among WRITEs and SENDs", "[sim]") {
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    INFO("seed " << seed);
    SimPair pair(seed);
    pair.connect(8);
    pair.network.faults().set_rate(FaultKind::packet_loss, 50'000);
    fill_with(target_of(pair), 7);
    std::vector<WorkRequest> chain;
    for (std::uint32_t i = 0; i < 8; ++i) {
      WorkRequest read = request_of(Opcode::read, pair.client->region->local(kLarge, kLarge), 3 * i);
      read.remote = pair.node->region->remote(kTarget);
      chain.push_back(read);
      chain.push_back(write_to(pair.client->region->local(0, 9000), pair.node->region->remote(kTarget - 9000),
                               3 * i + 1, false));
      chain.push_back(request_of(Opcode::send, pair.client->region->local(0, 100), 3 * i + 2));
    }
    REQUIRE(pair.client->endpoint->post(chain));
    REQUIRE(pair.until([&] { return pair.client->completions.size() == 16; }));
    CHECK(pair.client->count(CompletionStatus::success, false) == 16);
    CHECK(count_of(std::span(pair.client->memory).subspan(kLarge, kLarge), 7) == kLarge);
    CHECK(pair.node->count(CompletionStatus::success, true) == 8);
  }
}

TEST_CASE("a SEND without a receive is retried at the receiver's timer until there is one", "[sim]") {
  SimPair pair;
  pair.connect(0);
  REQUIRE(post(*pair.client->endpoint, request_of(Opcode::send, pair.client->region->local(0, 8), 1)));
  REQUIRE_FALSE(pair.until([&] { return !pair.client->completions.empty(); }, 5ms));
  const ReceiveRequest receive{id_of(5), pair.node->region->local(0, 64)};
  REQUIRE(pair.node->endpoint->post_receives(std::span(&receive, 1)));
  const Instant posted = pair.network.now();
  REQUIRE(pair.until([&] { return !pair.client->completions.empty(); }));
  CHECK(pair.client->completions[0].status == CompletionStatus::success);
  CHECK(pair.network.now() - posted < 640us + 50us);  // timer code 12
}

TEST_CASE("receiver_not_ready after the peer's rnr_retry_count, and both ends fail", "[sim]") {
  const auto retries = GENERATE(std::uint8_t{0}, std::uint8_t{3});
  TransportConfig config;
  config.rnr_retry_count = retries;
  SimPair pair(1, config);
  pair.connect(0);
  const Instant start = pair.network.now();
  REQUIRE(post(*pair.client->endpoint, request_of(Opcode::send, pair.client->region->local(0, 8), 1)));
  REQUIRE(pair.until([&] { return pair.both_drained(); }));
  CHECK(pair.client->completions[0].status == CompletionStatus::receiver_not_ready);
  CHECK(pair.network.now() - start >= retries * 640us);
  CHECK(pair.network.now() - start < retries * 640us + 200us);
  CHECK(pair.node->count(Kind::disconnected) == 1);
}

TEST_CASE("the receiver answers as if it had no receive: the SEND comes through by a retry", "[sim]") {
  SimPair pair;
  pair.connect(1);
  pair.network.faults().strike_next(FaultKind::receiver_not_ready);
  REQUIRE(post(*pair.client->endpoint, request_of(Opcode::send, pair.client->region->local(0, 8), 1)));
  REQUIRE(pair.until([&] { return !pair.client->completions.empty(); }));
  CHECK(pair.client->completions[0].status == CompletionStatus::success);
  CHECK(pair.node->completions.size() == 1);
  CHECK(pair.network.faults().count(FaultKind::receiver_not_ready) == 1);
}

TEST_CASE("a region deregistered in the middle of a WRITE is not touched again", "[sim]") {
  SimPair pair;
  pair.connect();
  auto region = std::move(*pair.node->domain->register_memory(target_of(pair), Access::remote_write));
  fill_with(std::span(pair.client->memory).first(kLarge), 1);
  REQUIRE(
      post(*pair.client->endpoint, write_to(pair.client->region->local(0, kLarge), region->remote(0), 1)));
  REQUIRE(pair.until([&] { return count_of(target_of(pair), 1) > 0; }));
  region.reset();
  const std::size_t landed = count_of(target_of(pair), 1);
  REQUIRE(landed < kLarge);
  REQUIRE(pair.until([&] { return pair.both_drained(); }));
  CHECK(count_of(target_of(pair), 1) == landed);
  CHECK(pair.client->completions[0].status == CompletionStatus::remote_access);
}

TEST_CASE("a source deregistered in the middle of a WRITE is not read again", "[sim]") {
  SimPair pair;
  pair.connect();
  auto source = std::make_unique<std::vector<std::byte>>(kLarge, std::byte{1});
  auto region = std::move(*pair.client->domain->register_memory(*source, Access::local_write));
  REQUIRE(post(*pair.client->endpoint,
               write_to(region->local(0, kLarge), pair.node->region->remote(kTarget), 1)));
  REQUIRE(pair.until([&] { return count_of(target_of(pair), 1) > 0; }));
  region.reset();
  source.reset();  // freed: a sanitizer would see it being read
  REQUIRE(pair.until([&] { return pair.both_drained(); }));
  CHECK(pair.client->completions[0].status == CompletionStatus::local_protection);
  CHECK(count_of(target_of(pair), 1) < kLarge);
}

TEST_CASE("keys are for one use: a local key is no remote key, nor the other way round", "[sim]") {
  SimPair pair;
  pair.connect();
  const bool swap_remote = GENERATE(true, false);
  LocalBuffer local = pair.client->region->local(0, 8);
  RemoteBuffer remote = pair.node->region->remote(0);
  if (swap_remote) {
    remote.key = pair.node->region->local_key();
  } else {
    local.key = pair.client->region->remote(0).key;
  }
  REQUIRE(post(*pair.client->endpoint, write_to(local, remote, 1)));
  REQUIRE(pair.until([&] { return pair.both_drained(); }));
  CHECK(pair.client->completions[0].status ==
        (swap_remote ? CompletionStatus::remote_access : CompletionStatus::local_protection));
}

TEST_CASE("a local error shows after the requests before it have completed", "[sim]") {
  SimPair pair;
  pair.connect();
  LocalBuffer bad = pair.client->region->local(0, 8);
  bad.key ^= 1;
  const std::array<WorkRequest, 3> chain = {
      large_write(pair, 1), write_to(bad, pair.node->region->remote(0), 2), large_write(pair, 3)};
  REQUIRE(pair.client->endpoint->post(chain));
  REQUIRE(pair.until([&] { return pair.both_drained(); }));
  REQUIRE(pair.client->completions.size() == 3);
  CHECK(pair.client->completions[0].status == CompletionStatus::success);
  CHECK(pair.client->completions[1].status == CompletionStatus::local_protection);
  CHECK(pair.client->completions[2].status == CompletionStatus::flushed);
}

TEST_CASE("a message too long: local_length at the receiver, remote_operation at the sender", "[sim]") {
  SimPair pair;
  pair.connect(2);
  REQUIRE(post(*pair.client->endpoint, request_of(Opcode::send, pair.client->region->local(0, 257), 1)));
  REQUIRE(pair.until([&] { return pair.both_drained(); }));
  CHECK(pair.client->completions[0].status == CompletionStatus::remote_operation);
  REQUIRE(pair.node->completions.size() == 2);
  CHECK(pair.node->completions[0].status == CompletionStatus::local_length);
  CHECK(pair.node->completions[1].status == CompletionStatus::flushed);
}

TEST_CASE("a delayed completion doesn't delay the data, and keeps the order", "[sim]") {
  SimPair pair;
  pair.connect(2);
  pair.network.faults().completion_delay_max = 50ms;
  pair.network.faults().set_rate(FaultKind::completion_delay, 1'000'000);
  fill_with(std::span(pair.client->memory).first(kLarge), 1);
  const Instant start = pair.network.now();
  const std::array<WorkRequest, 2> chain = {large_write(pair, 1),
                                            request_of(Opcode::send, pair.client->region->local(0, 8), 2)};
  REQUIRE(pair.client->endpoint->post(chain));
  Instant landed{};
  REQUIRE(pair.until([&] {
    if (landed == Instant{} && count_of(target_of(pair), 1) == kLarge) landed = pair.network.now();
    return pair.client->completions.size() == 2;
  }));
  CHECK(landed - start < 1ms);
  CHECK(pair.network.now() - landed > 1ms);
  CHECK(pair.client->completions[0].id.slot() == 1);
  CHECK(pair.client->completions[1].id.slot() == 2);
}

TEST_CASE("a partial post: a prefix goes out, the tail is flushed, the connection fails", "[sim]") {
  std::array<bool, 8> prefixes{};
  for (std::uint64_t seed = 0; seed < 80; ++seed) {
    SimPair pair(seed);
    pair.connect(8);
    pair.network.faults().strike_next(FaultKind::partial_post);
    std::vector<WorkRequest> chain;
    for (std::uint32_t i = 0; i < 8; ++i)
      chain.push_back(request_of(Opcode::send, pair.client->region->local(0, 8), i));
    REQUIRE(pair.client->endpoint->post(chain));
    CHECK(pair.client->endpoint->state() == EndpointState::draining);
    REQUIRE(pair.until([&] { return pair.both_drained(); }));
    REQUIRE(pair.client->completions.size() == 8);
    for (std::uint32_t i = 0; i < 8; ++i)
      CHECK(pair.client->completions[i].id.slot() == i);
    prefixes.at(pair.node->count(CompletionStatus::success, true)) = true;
  }
  CHECK(prefixes[0]);
}

TEST_CASE("a device that doesn't flush: the drain timeout ends it, each request completes once", "[sim]") {
  TransportConfig config;
  config.drain_timeout = 100ms;
  SimPair pair(1, config);
  pair.connect(4);
  pair.network.faults().strike_next(FaultKind::stuck_drain);
  REQUIRE(post(*pair.client->endpoint, large_write(pair, 1)));
  const Instant start = pair.network.now();
  pair.client->endpoint->close();
  REQUIRE(pair.until([&] { return pair.both_drained(); }));
  CHECK(pair.network.now() - start >= 100ms);
  CHECK(pair.client->completions.size() == 1);
  CHECK(pair.network.faults().count(FaultKind::stuck_drain) == 1);
}

TEST_CASE("an endpoint destroyed in the middle of a transfer: its buffers may be freed at once", "[sim]") {
  for (int steps = 0; steps < 60; steps += 3) {
    SimPair pair;
    pair.connect();
    auto source = std::make_unique<std::vector<std::byte>>(kLarge, std::byte{1});
    auto region = std::move(*pair.client->domain->register_memory(*source, Access::local_write));
    REQUIRE(post(*pair.client->endpoint,
                 write_to(region->local(0, kLarge), pair.node->region->remote(kTarget), 1)));
    for (int i = 0; i < steps; ++i)
      pair.network.step();
    pair.client->endpoint.reset();
    region.reset();
    source.reset();
    REQUIRE(pair.until([&] { return pair.node->count(Kind::drained) == 1; }));
    pair.network.run_for(1s);
    CHECK(pair.client->completions.empty());
  }
}

}  // namespace sluice::transport::sim
