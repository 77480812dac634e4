// Channels: credits so exact that nothing ever meets a missing receive, with no retries allowed.

#include <cstring>
#include <deque>

#include <catch2/catch.hpp>

#include "tests/contract/channel_stage.h"

namespace sluice::transport::contract {

using Kind = ConnectionEvent::Kind;

namespace {

std::uint64_t number_in(std::span<const std::byte> bytes) {
  std::uint64_t number = 0;
  REQUIRE(bytes.size() >= sizeof(number));
  std::memcpy(&number, bytes.data(), sizeof(number));
  return number;
}

/// Sends numbered messages as fast as it may, and checks that the peer's come in order. Holds on to some of
/// them for a while and releases those in another order.
class Talker {
 public:
  Talker(ChannelEnd& end, std::uint64_t total, std::uint32_t hold) : end_(end), total_(total), hold_(hold) {}

  void turn() {
    end_.turn([&](Channel&, const ChannelEvent& event) {
      if (event.kind == ChannelEvent::Kind::message) {
        if (number_in(event.bytes) != received_)
          FAIL("message " << number_in(event.bytes) << " where " << received_ << " was due");
        ++received_;
        held_.push_back(event.message);
      }
      REQUIRE(event.kind != ChannelEvent::Kind::failed);
    });
    // Newest first, so that receives are reposted out of order; the last ones don't wait for more.
    while (held_.size() > hold_ || (received_ == total_ && !held_.empty())) {
      end_.channel->release(held_.back());
      held_.pop_back();
    }
    while (sent_ < total_) {
      std::byte head[24]{};
      std::memcpy(head, &sent_, sizeof(sent_));
      if (!end_.channel->send({.head = std::span(head).first(8 + sent_ % 16)})) break;
      ++sent_;
    }
    if (end_.channel->endpoint().state() == EndpointState::connected) REQUIRE(end_.channel->flush());
  }

  [[nodiscard]] bool done() const { return sent_ == total_ && received_ == total_ && held_.empty(); }

 private:
  ChannelEnd& end_;
  std::uint64_t total_;
  std::uint32_t hold_;
  std::uint64_t sent_ = 0;
  std::uint64_t received_ = 0;
  std::vector<MessageHandle> held_;
};

}  // namespace

TEST_CASE("credits hold under pressure from both sides at once, without a single retry") {
  const auto credits = GENERATE(as<std::uint16_t>{}, 1, 2, 3, 16);
  const std::uint64_t total = message_count(100'000) / (credits < 16 ? 4 : 1);
  ChannelStage stage({.max_receive_bytes = 64, .receive_credits = credits, .send_depth = 64});
  Talker client(stage.client, total, credits / 2);
  Talker server(stage.server, total, 0);
  const bool finished = stage.until([&] {
    client.turn();
    server.turn();
    return client.done() && server.done();
  });
  INFO("credits " << credits << ", client: " << stage.client.channel->counts().messages_received << " of "
                  << total << " received, failure " << stage.client.channel->endpoint().failure().describe());
  REQUIRE(finished);
  CHECK(stage.client.channel->counts().messages_received == total);
  CHECK(stage.server.channel->counts().messages_received == total);
  CHECK(stage.client.channel->counts().credit_stalls > 0);
  // What was granted is all that is left: no credit was lost or made up, and less than T is owed.
  const std::uint32_t least = credits - (credits + 1U) / 2 + 1;
  REQUIRE(stage.until([&] {
    client.turn();
    server.turn();
    return stage.client.channel->credits() >= least && stage.server.channel->credits() >= least;
  }));
  CHECK(stage.client.channel->credits() <= credits);
  CHECK(stage.server.channel->credits() <= credits);
}

TEST_CASE("a stream one way is kept going by credit messages alone") {
  const auto credits = GENERATE(as<std::uint16_t>{}, 1, 2, 3, 16);
  const std::uint64_t total = 2'000;
  ChannelStage stage(
      {.max_receive_bytes = 64, .receive_credits = credits, .send_depth = 32, .signal_interval = 16});
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  REQUIRE(stage.until([&] {
    stage.client.turn([](Channel&, const ChannelEvent&) {});
    std::byte head[8]{};
    while (sent < total && stage.client.channel->send({.head = head}))
      ++sent;
    REQUIRE(stage.client.channel->flush());
    stage.server.turn([&](Channel& channel, const ChannelEvent& event) {
      if (event.kind != ChannelEvent::Kind::message) return;
      ++received;
      channel.release(event.message);
    });
    REQUIRE(stage.server.channel->flush());
    return received == total;
  }));
  const std::uint64_t grants = stage.server.channel->counts().credit_messages_sent;
  CHECK(grants <= total);
  CHECK(grants >= total / credits / 2);
  CHECK(stage.server.channel->counts().messages_sent == 0);
}

TEST_CASE("a message's chain executes before it, and its buffers come back with its tag") {
  ChannelStage stage({.max_receive_bytes = 8192, .send_depth = 32});
  Party& client = stage.client.party;
  Party& server = stage.server.party;
  std::vector<std::uint64_t> tags;
  std::vector<std::uint64_t> seen;
  constexpr std::uint64_t kTotal = 100;
  std::uint64_t next = 0;
  fill(client.memory().subspan(0, 4096), 5);
  REQUIRE(stage.until([&] {
    stage.client.turn([&](Channel&, const ChannelEvent& event) {
      if (event.kind == ChannelEvent::Kind::sent) tags.push_back(event.tag);
    });
    while (next < kTotal) {
      std::memcpy(client.memory().data() + 8192, &next, sizeof(next));
      const WorkRequest write = write_of(client.local(0, 4096), server.region().remote(4096), 0);
      std::byte head[8]{};
      std::memcpy(head, &next, sizeof(next));
      if (!stage.client.channel->send({.before = std::span(&write, 1),
                                       .head = head,
                                       .payload = client.local(0, 1024),
                                       .notify = true,
                                       .tag = 1000 + next}))
        break;
      ++next;
    }
    REQUIRE(stage.client.channel->flush());
    stage.server.turn([&](Channel& channel, const ChannelEvent& event) {
      if (event.kind != ChannelEvent::Kind::message) return;
      seen.push_back(number_in(event.bytes));
      CHECK(event.bytes.size() == 8 + 1024);
      CHECK(is_filled(server.memory().subspan(4096, 4096), 5));
      CHECK(is_filled(event.bytes.subspan(8), 5));
      channel.release(event.message);
    });
    REQUIRE(stage.server.channel->flush());
    return seen.size() == kTotal && tags.size() == kTotal;
  }));
  for (std::uint64_t i = 0; i < kTotal; ++i) {
    CHECK(seen[i] == i);
    CHECK(tags[i] == 1000 + i);
  }
}

TEST_CASE("a turn's messages leave with one doorbell") {
  ChannelStage stage({.max_receive_bytes = 64, .receive_credits = 16});
  std::byte head[16]{};
  for (int i = 0; i < 10; ++i)
    REQUIRE(stage.client.channel->send({.head = head}));
  CHECK(stage.client.channel->counts().doorbells == 0);
  REQUIRE(stage.client.channel->flush());
  CHECK(stage.client.channel->counts().doorbells == 1);
  REQUIRE(stage.client.channel->flush());
  CHECK(stage.client.channel->counts().doorbells == 1);
  std::uint32_t received = 0;
  REQUIRE(stage.until([&] {
    stage.server.turn([&](Channel& channel, const ChannelEvent& event) {
      if (event.kind != ChannelEvent::Kind::message) return;
      ++received;
      channel.release(event.message);
    });
    return received == 10;
  }));
}

TEST_CASE("when a channel's connection fails, every tag comes back once") {
  ChannelStage stage({.max_receive_bytes = 64, .receive_credits = 16, .send_depth = 64});
  std::byte head[16]{};
  for (std::uint64_t tag = 0; tag < 16; ++tag)
    REQUIRE(stage.client.channel->send({.head = head, .notify = true, .tag = tag}));
  REQUIRE(stage.client.channel->flush());
  stage.server.channel->close();
  std::vector<int> came(16);
  REQUIRE(stage.until([&] {
    stage.client.turn([&](Channel&, const ChannelEvent& event) {
      if (event.kind == ChannelEvent::Kind::sent || event.kind == ChannelEvent::Kind::failed)
        ++came.at(event.tag);
    });
    stage.server.turn([](Channel&, const ChannelEvent&) {});
    return stage.client.drained && stage.server.drained;
  }));
  for (const int count : came)
    CHECK(count == 1);
  const Status late = stage.client.channel->send({.head = head});
  REQUIRE_FALSE(late);
  CHECK(late.error().code == StatusCode::unavailable);
}

TEST_CASE("what a channel can't send is an invalid argument and costs no credit") {
  ChannelStage stage({.max_receive_bytes = 64, .max_send_head_bytes = 32, .send_depth = 32});
  const std::uint32_t before = stage.client.channel->credits();
  std::byte head[33]{};
  const Status too_long = stage.client.channel->send({.head = head});
  REQUIRE_FALSE(too_long);
  CHECK(too_long.error().code == StatusCode::invalid_argument);
  const std::vector<WorkRequest> writes(
      32, write_of(stage.client.party.local(0, 8), stage.server.party.region().remote(0), 0));
  const Status too_many = stage.client.channel->send({.before = writes, .head = std::span(head).first(8)});
  REQUIRE_FALSE(too_many);
  CHECK(too_many.error().code == StatusCode::invalid_argument);
  CHECK(stage.client.channel->credits() == before);
}

}  // namespace sluice::transport::contract
