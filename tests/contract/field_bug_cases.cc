// Bugs that others have had on verbs, each with a test of its own.

#include <algorithm>

#include <catch2/catch.hpp>

#include "tests/contract/channel_stage.h"
#include "tests/contract/stage.h"
#include "transport/memory_pool.h"

namespace sluice::transport::contract {

using Kind = ConnectionEvent::Kind;

namespace {

constexpr PairOptions kBothReceive{.client_receives = 4, .server_receives = 4, .receive_bytes = 64};

bool all_are(std::span<const std::byte> bytes, std::byte value) {
  return std::ranges::all_of(bytes, [value](std::byte b) { return b == value; });
}

/// Turns of both sides without an end in sight: for what must not happen.
void idle(Stage& stage, int turns = 200) {
  for (int i = 0; i < turns; ++i) {
    stage.client.turn();
    stage.server.turn();
    stage.fabric->advance();
  }
}

StageOptions large_memory() {
  StageOptions options;
  options.party.memory_bytes = 1024UL * 1024;
  return options;
}

}  // namespace

TEST_CASE("field bug: memory freed before the flushes were drained") {
  // `drained` means that the device is done: from then on the memory is the caller's and stays as it is.
  Stage stage(large_memory());
  Pair pair = stage.connect(kBothReceive);
  REQUIRE(stage.server.post(*pair.server,
                            {write_of(stage.server.local(0, 262'144), stage.client.region().remote(0), 0),
                             send_of(stage.server.local(0, 64), 1), send_of({}, 2, false)}));
  pair.client->close();
  REQUIRE(stage.until([&] { return stage.client.saw(Kind::drained, pair.client.get()); }));
  CHECK(stage.client.outstanding(*pair.client) == 0);
  std::ranges::fill(stage.client.memory(), std::byte{0xdd});
  REQUIRE(stage.until([&] { return stage.server.saw(Kind::drained, pair.server.get()); }));
  idle(stage);
  CHECK(all_are(stage.client.memory(), std::byte{0xdd}));
}

TEST_CASE("field bug: a completion for a destroyed queue pair") {
  Stage stage;
  Pair doomed = stage.connect(kBothReceive);
  REQUIRE(stage.client.post(*doomed.client, {send_of({}, 0), send_of({}, 1), send_of({}, 2)}));
  // Let the completions arrive at both ends without taking them from the client's queue.
  REQUIRE(pump(*stage.fabric, {&stage.server}, [&] { return stage.server.completions.size() == 3; }));
  stage.client.forget(*doomed.client);
  doomed.client.reset();
  stage.server.forget(*doomed.server);
  doomed.server.reset();
  // The next endpoint may well get the same address and the same index; it must not get the old completions.
  stage.server.completions.clear();
  Pair next = stage.connect(kBothReceive);
  idle(stage);
  CHECK(stage.client.completions.empty());
  CHECK(stage.server.completions.empty());
  stage.close(next);
}

TEST_CASE("field bug: destroying a connection hangs on an event that nobody took") {
  Stage stage;
  const bool established = GENERATE(true, false);
  auto client = stage.client.connect(stage.address, stage.client.endpoint_config());
  REQUIRE(stage.until([&] { return stage.server.has_request(); }));
  auto server = stage.server.accept(stage.server.endpoint_config());
  if (established) {
    // The client's event is there, or on its way, and is never taken.
    for (int i = 0; i < 200 && client->state() == EndpointState::connecting; ++i) {
      std::array<Completion, 4> none;
      CHECK(stage.client.queue().poll(none) == 0);
      stage.server.turn();
      stage.fabric->advance();
    }
  }
  const Instant start = stage.fabric->now();
  stage.client.forget(*client);
  client.reset();
  CHECK(stage.fabric->now() - start < std::chrono::seconds(5));
  stage.client.events.clear();
  idle(stage);
  CHECK(stage.client.events.empty());
  REQUIRE(stage.until([&] { return stage.server.saw(Kind::drained, server.get()); }));
}

TEST_CASE("field bug: a receiver's RNR timer left at 655 ms") {
  StageOptions options;
  options.client.rnr_retry_count = 7;
  options.server.rnr_retry_count = 7;
  Stage stage(options);
  Pair pair = stage.connect();
  // The fastest of three tells: a loaded machine may be slow, a wrong timer always is.
  Duration fastest = Duration::max();
  for (std::uint32_t round = 0; round < 3; ++round) {
    const Instant start = stage.fabric->now();
    REQUIRE(stage.client.post(*pair.client, {send_of({}, round)}));
    for (int i = 0; i < 50; ++i) {
      stage.client.turn();
      stage.server.turn();
      stage.fabric->advance();
    }
    const ReceiveRequest receive = receive_into(stage.server.local(0, 64), round);
    REQUIRE(stage.server.post_receives(*pair.server, std::span(&receive, 1)));
    REQUIRE(stage.until([&] { return stage.server.find(receive_id(round)) != nullptr; }));
    CHECK(stage.server.find(receive_id(round))->status == CompletionStatus::success);
    fastest = std::min(fastest, stage.fabric->now() - start);
  }
  CHECK(fastest < std::chrono::milliseconds(400));
  stage.close(pair);
}

TEST_CASE("field bug: receives held for the life of an IO") {
  // Messages that are held cost their own credits and no more: the last credit left keeps the stream going.
  ChannelStage stage({.max_receive_bytes = 64, .receive_credits = 4, .send_depth = 32});
  std::vector<MessageHandle> held;
  std::uint32_t received = 0;
  const std::byte head[8]{};
  REQUIRE(stage.until([&] {
    stage.client.turn([](Channel&, const ChannelEvent&) {});
    while (stage.client.channel->send({.head = head})) {
    }
    REQUIRE(stage.client.channel->flush());
    stage.server.turn([&](Channel& channel, const ChannelEvent& event) {
      if (event.kind != ChannelEvent::Kind::message) return;
      ++received;
      if (held.size() < 3) {
        held.push_back(event.message);
      } else {
        channel.release(event.message);
      }
    });
    REQUIRE(stage.server.channel->flush());
    return received >= 500;
  }));
  for (const MessageHandle message : held)
    stage.server.channel->release(message);
  REQUIRE(stage.server.channel->flush());
}

TEST_CASE("field bug: the opcode of a failed completion is trusted") {
  // What a failed completion belongs to is known from its id alone, and is right.
  Stage stage;
  Pair pair = stage.connect(kBothReceive);
  RemoteBuffer bad = stage.server.region().remote(0);
  bad.key ^= 0x0070'0000U;
  REQUIRE(stage.client.post(*pair.client,
                            {write_of(stage.client.local(0, 8), bad, 0), send_of({}, 1),
                             read_of(stage.client.local(0, 8), stage.server.region().remote(0), 2)}));
  stage.expect_both_drain(pair);
  REQUIRE(stage.client.completions.size() == 7);
  for (const Completion& completion : stage.client.completions) {
    const bool has_receive_id = completion.id.generation() == receive_id(0).generation();
    CHECK(completion.is_receive == has_receive_id);
    CHECK(completion.status != CompletionStatus::success);
    CHECK(completion.endpoint == pair.client.get());
  }
}

TEST_CASE("field bug: a receive is reposted after an error") {
  Stage stage;
  Pair pair = stage.connect(kBothReceive);
  pair.server->close();
  REQUIRE(stage.until([&] { return stage.client.count_receives(CompletionStatus::flushed) > 0; }));
  const ReceiveRequest again = receive_into(stage.client.local(0, 64), 0);
  const Status refused = stage.client.post_receives(*pair.client, std::span(&again, 1));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == StatusCode::unavailable);
  stage.expect_both_drain(pair);
  CHECK(stage.client.count_receives(CompletionStatus::flushed) == 4);
}

TEST_CASE("field bug: a timed-out buffer is reused while its request is still on the way") {
  Stage stage(large_memory());
  Pair pair = stage.connect(kBothReceive);
  fill(stage.server.memory(), 9);
  REQUIRE(stage.client.post(
      *pair.client, {read_of(stage.client.local(0, 524'288), stage.server.region().remote(0), 0),
                     read_of(stage.client.local(524'288, 262'144), stage.server.region().remote(0), 1)}));
  // The server doesn't answer in time; the only way to have the buffer back is to end the connection.
  pair.client->close();
  REQUIRE(pump(*stage.fabric, {&stage.client},
               [&] { return stage.client.saw(Kind::drained, pair.client.get()); }));
  REQUIRE(stage.client.find(send_id(0)) != nullptr);
  REQUIRE(stage.client.find(send_id(1)) != nullptr);
  std::ranges::fill(stage.client.memory(), std::byte{0xcc});
  idle(stage);
  REQUIRE(stage.until([&] { return stage.server.saw(Kind::drained, pair.server.get()); }));
  CHECK(all_are(stage.client.memory(), std::byte{0xcc}));
}

TEST_CASE("field bug: a session is freed while the backend holds its buffer") {
  Stage stage;
  MemoryPoolConfig config;
  config.classes = {{.slot_bytes = 4096, .slot_count = 1}};
  config.huge_pages = false;
  auto pool = MemoryPool::create(stage.server.domain(), config, {});
  REQUIRE(pool);
  Pair pair = stage.connect(kBothReceive);
  auto slot = (*pool)->take(4096, "backend write of session 1");
  REQUIRE(slot);
  REQUIRE(stage.client.post(*pair.client, {write_of(stage.client.local(0, 4096), slot->remote(), 0)}));
  REQUIRE(stage.until([&] { return stage.client.find(send_id(0)) != nullptr; }));
  REQUIRE(stage.client.find(send_id(0))->status == CompletionStatus::success);
  stage.close(pair);
  // The session is gone; its buffer isn't anybody else's until the backend gives it back.
  CHECK_FALSE((*pool)->take(1, "another session"));
  REQUIRE((*pool)->leaks().size() == 1);
  CHECK((*pool)->leaks()[0].find("backend write of session 1") != std::string::npos);
  CHECK(std::ranges::equal(slot->memory(), stage.client.memory().first(4096)));
  slot.reset();
  CHECK((*pool)->take(1, "another session"));
}

TEST_CASE("field bug: a connection over the wrong address") {
  // The device, port and GID follow from the addresses; both ends name the peer that was asked for.
  Stage stage;
  Pair pair = stage.connect();
  CHECK(pair.client->peer().find(stage.address.host) != std::string::npos);
  CHECK(pair.client->peer().find(std::to_string(stage.address.port)) != std::string::npos);
  CHECK(pair.server->peer().find(stage.fabric->address(0).host) != std::string::npos);
  stage.close(pair);
}

TEST_CASE("field bug: reconnect storms: one connect is one request, whatever becomes of it") {
  Stage stage;
  auto client = stage.client.connect(stage.address, stage.client.endpoint_config());
  REQUIRE(stage.until([&] { return stage.server.has_request(); }));
  stage.server.take_request().reset();
  REQUIRE(stage.until([&] { return stage.client.saw(Kind::drained, client.get()); }));
  idle(stage, 500);
  CHECK_FALSE(stage.server.has_request());
  CHECK(std::ranges::count(stage.client.events, Kind::disconnected, &SeenEvent::kind) == 1);
}

TEST_CASE("without credits: a message that finds no receive posted, with no retries") {
  Stage stage;
  Pair pair = stage.connect();
  REQUIRE(stage.client.post(*pair.client, {send_of(stage.client.local(0, 16), 0)}));
  if (stage.fabric->traits().sends_wait_for_receives) {
    // Over TCP the message waits in the stream until there is a receive, and holds up what comes after it.
    for (int i = 0; i < 50; ++i) {
      stage.client.turn();
      stage.server.turn();
    }
    const ReceiveRequest receive = receive_into(stage.server.local(0, 64), 0);
    REQUIRE(stage.server.post_receives(*pair.server, std::span(&receive, 1)));
    REQUIRE(stage.until([&] { return stage.server.find(receive_id(0)) != nullptr; }));
    CHECK(stage.server.find(receive_id(0))->status == CompletionStatus::success);
    stage.close(pair);
  } else {
    // On a queue pair it fails at once, so that a leaked credit can't hide.
    stage.expect_both_drain(pair);
    REQUIRE(stage.client.find(send_id(0)) != nullptr);
    CHECK(stage.client.find(send_id(0))->status == CompletionStatus::receiver_not_ready);
    CHECK(pair.client->failure().code != StatusCode::ok);
  }
}

}  // namespace sluice::transport::contract
