#include "transport/channel.h"

#include <algorithm>
#include <set>

#include <catch2/catch.hpp>

#include "tests/unit/transport/scripted_provider.h"

using sluice::StatusCode;
using sluice::transport::Channel;
using sluice::transport::ChannelConfig;
using sluice::transport::ChannelEvent;
using sluice::transport::Completion;
using sluice::transport::CompletionStatus;
using sluice::transport::EndpointState;
using sluice::transport::MessageHandle;
using sluice::transport::OutgoingMessage;
using sluice::transport::ReceiveRequest;
using sluice::transport::WorkRequest;
using sluice::transport::testing::ScriptedDomain;
using sluice::transport::testing::ScriptedProvider;
using sluice::transport::testing::ScriptedQueue;

namespace {

constexpr std::uint32_t kCreditMessageFlag = 0x8000'0000U;

/// A channel of C credits whose peer is the test.
struct Script {
  ScriptedDomain domain;
  ScriptedQueue queue;
  ScriptedProvider provider;
  std::unique_ptr<Channel> channel;

  explicit Script(std::uint16_t credits, std::uint16_t peer_credits = 8, std::uint32_t signal_interval = 4) {
    ChannelConfig config;
    config.max_receive_bytes = 128;
    config.receive_credits = credits;
    config.send_depth = 16;
    config.signal_interval = signal_interval;
    auto made = Channel::connect(provider, domain, queue, {}, config, {});
    REQUIRE(made);
    channel = std::move(*made);
    channel->on_established(peer_credits);
  }

  ChannelEvent arrives(std::uint32_t slot, std::uint32_t immediate = 0) {
    Completion completion;
    completion.id = provider.initial_receives.at(slot).id;
    completion.is_receive = true;
    if (immediate != 0) completion.immediate = immediate;
    completion.endpoint = provider.endpoint;
    return channel->on_completion(completion);
  }

  ChannelEvent completes(const WorkRequest& request, CompletionStatus status = CompletionStatus::success) {
    Completion completion;
    completion.id = request.id;
    completion.status = status;
    completion.endpoint = provider.endpoint;
    return channel->on_completion(completion);
  }

  [[nodiscard]] auto& chains() { return provider.endpoint->chains; }
  [[nodiscard]] auto& receive_batches() { return provider.endpoint->receive_batches; }
};

OutgoingMessage message_of(std::span<const std::byte> head) {
  return {.head = head};
}

constexpr std::byte kHead[16]{};

}  // namespace

TEST_CASE("a channel of C credits advertises C and posts C + 2 receives of its own memory", "[transport]") {
  Script script(5);
  CHECK(script.provider.endpoint_config.advertised_credits == 5);
  REQUIRE(script.provider.initial_receives.size() == 7);
  std::set<const std::byte*> buffers;
  for (const ReceiveRequest& receive : script.provider.initial_receives) {
    CHECK(receive.buffer.length == 128);
    buffers.insert(receive.buffer.data);
  }
  CHECK(buffers.size() == 7);
}

TEST_CASE("a message takes a credit, and without one send is refused and counted", "[transport]") {
  Script script(4, 2);
  CHECK(script.channel->send(message_of(kHead)));
  CHECK(script.channel->send(message_of(kHead)));
  const sluice::Status refused = script.channel->send(message_of(kHead));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == StatusCode::queue_full);
  CHECK(script.channel->counts().credit_stalls == 1);
  REQUIRE(script.channel->flush());
  REQUIRE(script.chains().size() == 1);
  CHECK(script.chains()[0].size() == 2);
}

TEST_CASE("a receive is reposted before its credit is granted, all of a turn in one call", "[transport]") {
  Script script(8);
  std::vector<MessageHandle> messages;
  for (std::uint32_t slot = 0; slot < 3; ++slot) {
    const ChannelEvent event = script.arrives(slot);
    REQUIRE(event.kind == ChannelEvent::Kind::message);
    messages.push_back(event.message);
  }
  REQUIRE(script.channel->flush());
  CHECK(script.receive_batches().empty());
  for (const MessageHandle message : messages)
    script.channel->release(message);
  REQUIRE(script.channel->send(message_of(kHead)));
  REQUIRE(script.channel->send(message_of(kHead)));
  CHECK(script.receive_batches().empty());
  REQUIRE(script.channel->flush());
  REQUIRE(script.receive_batches().size() == 1);
  CHECK(script.receive_batches()[0].size() == 3);
  REQUIRE(script.chains().size() == 1);
  CHECK(script.chains()[0][0].immediate == 3U);
  CHECK_FALSE(script.chains()[0][1].immediate.has_value());
}

TEST_CASE("a credit message goes out at half the credits, never earlier, when there is nothing to send",
          "[transport]") {
  for (const std::uint16_t credits :
       {std::uint16_t{1}, std::uint16_t{2}, std::uint16_t{3}, std::uint16_t{8}}) {
    Script script(credits);
    const std::uint32_t threshold = (credits + 1U) / 2;
    for (std::uint32_t slot = 0; slot < threshold; ++slot) {
      CHECK(script.chains().empty());
      const ChannelEvent event = script.arrives(slot);
      REQUIRE(event.kind == ChannelEvent::Kind::message);
      script.channel->release(event.message);
      REQUIRE(script.channel->flush());
    }
    REQUIRE(script.chains().size() == 1);
    REQUIRE(script.chains()[0].size() == 1);
    CHECK(script.chains()[0][0].immediate == (kCreditMessageFlag | threshold));
    CHECK(script.chains()[0][0].segment_count == 0);
    CHECK(script.channel->credits() == 8);
  }
}

TEST_CASE("a credit message brings credits, is reposted, and is never granted back", "[transport]") {
  Script script(1, 1);
  REQUIRE(script.channel->send(message_of(kHead)));
  REQUIRE(script.channel->flush());
  CHECK(script.channel->credits() == 0);
  CHECK(script.arrives(0, kCreditMessageFlag | 1).kind == ChannelEvent::Kind::none);
  CHECK(script.channel->credits() == 1);
  REQUIRE(script.channel->flush());
  REQUIRE(script.receive_batches().size() == 1);
  CHECK(script.chains().size() == 1);
  CHECK(script.channel->counts().credit_messages_sent == 0);
}

TEST_CASE("a credit message needs no room that messages could take", "[transport]") {
  Script script(2, 100, 4);
  while (script.channel->send(message_of(kHead))) {
  }
  CHECK(script.channel->counts().queue_stalls == 1);
  REQUIRE(script.channel->flush());
  for (std::uint32_t slot = 0; slot < 2; ++slot) {
    script.channel->release(script.arrives(slot).message);
    REQUIRE(script.channel->flush());
  }
  REQUIRE(script.chains().size() == 3);
  CHECK(script.channel->counts().credit_messages_sent == 2);
  CHECK_FALSE(script.channel->send(message_of(kHead)));
  // No room left at all: the next one waits for a completion.
  script.channel->release(script.arrives(2).message);
  REQUIRE(script.channel->flush());
  CHECK(script.channel->counts().credit_messages_sent == 2);
  CHECK(script.completes(script.chains()[0][3]).kind == ChannelEvent::Kind::none);
  REQUIRE(script.channel->flush());
  CHECK(script.channel->counts().credit_messages_sent == 3);
}

TEST_CASE("signalling is selective, and never more than the interval apart", "[transport]") {
  Script script(4, 100, 4);
  const std::vector<WorkRequest> writes(2);
  REQUIRE(script.channel->send({.before = writes, .head = kHead}));
  REQUIRE(script.channel->send({.before = writes, .head = kHead}));
  REQUIRE(script.channel->send({.head = kHead, .notify = true, .tag = 9}));
  REQUIRE(script.channel->send({.head = kHead}));
  REQUIRE(script.channel->flush());
  std::vector<bool> signaled;
  for (const WorkRequest& request : script.chains().at(0))
    signaled.push_back(request.signaled);
  CHECK(signaled == std::vector<bool>{false, false, false, true, false, false, true, false});
  CHECK(script.completes(script.chains()[0][3]).kind == ChannelEvent::Kind::none);
  const ChannelEvent sent = script.completes(script.chains()[0][6]);
  CHECK(sent.kind == ChannelEvent::Kind::sent);
  CHECK(sent.tag == 9);
  CHECK(script.channel->send_room() == 15);
}

TEST_CASE(
    "of a chain's messages that somebody waits for only the last is signalled, and tells of all of them",
    "[transport]") {
  Script script(4, 100, 8);
  for (std::uint64_t tag = 1; tag <= 3; ++tag)
    REQUIRE(script.channel->send({.head = kHead, .notify = true, .tag = tag}));
  REQUIRE(script.channel->send({.head = kHead}));
  REQUIRE(script.channel->flush());
  const std::vector<WorkRequest> chain = script.chains().at(0);
  CHECK(std::ranges::count(chain, true, &WorkRequest::signaled) == 1);
  REQUIRE(chain[2].signaled);
  SECTION("all have left") {
    CHECK(script.completes(chain[2]).tag == 1);
    CHECK(script.channel->more_sent().tag == 2);
    const ChannelEvent last = script.channel->more_sent();
    CHECK(last.kind == ChannelEvent::Kind::sent);
    CHECK(last.tag == 3);
    CHECK(script.channel->more_sent().kind == ChannelEvent::Kind::none);
    CHECK(script.channel->send_room() == 15);
  }
  SECTION("the second failed, and so the first had left") {
    const ChannelEvent first = script.completes(chain[1], CompletionStatus::remote_access);
    CHECK(first.kind == ChannelEvent::Kind::sent);
    CHECK(first.tag == 1);
    const ChannelEvent second = script.channel->more_sent();
    CHECK(second.kind == ChannelEvent::Kind::failed);
    CHECK(second.tag == 2);
    CHECK(second.status == CompletionStatus::remote_access);
    CHECK(script.channel->more_sent().kind == ChannelEvent::Kind::none);
    CHECK(script.completes(chain[2], CompletionStatus::flushed).tag == 3);
  }
}

TEST_CASE("a message is inline when it fits what was granted, else it leaves from registered memory",
          "[transport]") {
  Script script(4);
  const std::vector<std::byte> long_head(65);
  REQUIRE(script.channel->send(message_of(kHead)));
  REQUIRE(script.channel->send({.head = long_head}));
  REQUIRE(script.channel->flush());
  CHECK(script.chains()[0][0].inline_data);
  CHECK_FALSE(script.chains()[0][1].inline_data);
  CHECK(script.chains()[0][1].segments[0].key == 42);
  CHECK(script.chains()[0][1].segments[0].data != long_head.data());
}

TEST_CASE("a peer that grants more than it ever had is cut off", "[transport]") {
  Script script(4, 4);
  REQUIRE(script.channel->send(message_of(kHead)));
  REQUIRE(script.channel->flush());
  CHECK(script.arrives(0, 2).kind == ChannelEvent::Kind::none);
  CHECK(script.channel->peer_misbehaved());
  CHECK(script.provider.endpoint->state() == EndpointState::draining);
}

TEST_CASE("a peer that sends more than it was granted is cut off", "[transport]") {
  Script script(2);
  CHECK(script.arrives(0).kind == ChannelEvent::Kind::message);
  CHECK(script.arrives(1).kind == ChannelEvent::Kind::message);
  CHECK(script.arrives(2).kind == ChannelEvent::Kind::none);
  CHECK(script.channel->peer_misbehaved());
}

TEST_CASE("a peer that grants no credits at all is cut off", "[transport]") {
  Script script(2, 0);
  CHECK(script.channel->peer_misbehaved());
}

TEST_CASE("a failed receive is never reposted, and its tail of sends comes back failed", "[transport]") {
  Script script(4);
  REQUIRE(script.channel->send({.head = kHead, .notify = true, .tag = 1}));
  REQUIRE(script.channel->flush());
  Completion flushed;
  flushed.id = script.provider.initial_receives[0].id;
  flushed.is_receive = true;
  flushed.status = CompletionStatus::flushed;
  CHECK(script.channel->on_completion(flushed).kind == ChannelEvent::Kind::none);
  const ChannelEvent failed = script.completes(script.chains()[0][0], CompletionStatus::flushed);
  CHECK(failed.kind == ChannelEvent::Kind::failed);
  CHECK(failed.status == CompletionStatus::flushed);
  CHECK(failed.tag == 1);
  REQUIRE(script.channel->flush());
  CHECK(script.receive_batches().empty());
}

TEST_CASE("a turn that the connection didn't live to see leaves nothing behind", "[transport]") {
  Script script(4);
  REQUIRE(script.channel->send({.head = kHead}));
  script.provider.endpoint->state_now = EndpointState::draining;
  const sluice::Status flushed = script.channel->flush();
  REQUIRE_FALSE(flushed);
  CHECK(flushed.error().code == StatusCode::unavailable);
  CHECK(script.channel->send_room() == 16);
  CHECK(script.channel->flush());
}

TEST_CASE("channel configurations that make no sense are refused", "[transport]") {
  ScriptedDomain domain;
  ScriptedQueue queue;
  ScriptedProvider provider;
  for (const ChannelConfig& config :
       {ChannelConfig{.receive_credits = 0}, ChannelConfig{.send_depth = 0},
        ChannelConfig{.send_depth = 8, .signal_interval = 5}, ChannelConfig{.signal_interval = 0},
        ChannelConfig{.send_depth = 1U << 20U}}) {
    const auto channel = Channel::connect(provider, domain, queue, {}, config, {});
    REQUIRE_FALSE(channel);
    CHECK(channel.error().code == StatusCode::invalid_argument);
  }
}
