// What is posted executes in order, and its completions come in order.

#include <algorithm>
#include <cstring>

#include <catch2/catch.hpp>

#include "tests/contract/stage.h"

namespace sluice::transport::contract {

TEST_CASE("a WRITE is in the peer's memory before the SEND posted after it is seen") {
  Stage stage;
  Pair pair = stage.connect({.server_receives = 16, .receive_bytes = 16});
  constexpr std::uint32_t kRounds = 16;
  constexpr std::uint32_t kBytes = 4096;
  const std::uint64_t target = 32UL * 1024;
  for (std::uint32_t round = 0; round < kRounds; ++round) {
    fill(stage.client.memory().subspan(0, kBytes), round);
    REQUIRE(stage.client.post(*pair.client, {write_of(stage.client.local(0, kBytes),
                                                      stage.server.region().remote(target), 2 * round, false),
                                             send_of(stage.client.local(8192, 8), 2 * round + 1)}));
    REQUIRE(stage.until([&] { return stage.server.find(receive_id(round)) != nullptr; }));
    REQUIRE(is_filled(stage.server.memory().subspan(target, kBytes), round));
    REQUIRE(stage.until([&] { return stage.client.find(send_id(2 * round + 1)) != nullptr; }));
  }
  stage.close(pair);
}

TEST_CASE("many sends arrive in the order of posting, into receives in the order of posting") {
  Stage stage;
  constexpr std::uint32_t kSends = 48;
  Pair pair = stage.connect({.server_receives = kSends, .receive_bytes = 64});
  for (std::uint32_t i = 0; i < kSends; ++i) {
    fill(stage.client.memory().subspan(std::size_t{i} * 64, i), i);
    REQUIRE(stage.client.post(*pair.client, {send_of(stage.client.local(std::uint64_t{i} * 64, i), i)}));
  }
  REQUIRE(stage.until([&] {
    return stage.server.completions.size() == kSends && stage.client.completions.size() == kSends;
  }));
  for (std::uint32_t i = 0; i < kSends; ++i) {
    const Completion& received = stage.server.completions[i];
    REQUIRE(received.is_receive);
    REQUIRE(received.status == CompletionStatus::success);
    REQUIRE(received.id.at_endpoint(0) == receive_id(i));
    REQUIRE(received.byte_count == i);
    REQUIRE(received.endpoint == pair.server.get());
    REQUIRE(is_filled(stage.server.memory().subspan(std::size_t{i} * 64, i), i));
    REQUIRE(stage.client.completions[i].id.at_endpoint(0) == send_id(i));
    REQUIRE_FALSE(stage.client.completions[i].is_receive);
  }
  stage.close(pair);
}

TEST_CASE("a chain of writes, reads and sends with one doorbell executes in order") {
  Stage stage;
  Pair pair = stage.connect({.server_receives = 8, .receive_bytes = 16});
  const std::uint64_t remote_at = 16UL * 1024;
  fill(stage.client.memory().subspan(0, 1000), 1);
  fill(stage.client.memory().subspan(1000, 500), 2);
  fill(stage.server.memory().subspan(30000, 700), 3);
  Region& remote = stage.server.region();
  REQUIRE(stage.client.post(
      *pair.client, {write_of(stage.client.local(0, 1000), remote.remote(remote_at), 0, false),
                     write_of(stage.client.local(1000, 500), remote.remote(remote_at + 1000), 1, false),
                     read_of(stage.client.local(4000, 700), remote.remote(30000), 2),
                     send_of(stage.client.local(0, 16), 3, false),
                     write_of(stage.client.local(0, 64), remote.remote(remote_at + 2000), 4, false),
                     send_of(stage.client.local(0, 8), 5)}));
  REQUIRE(stage.until([&] {
    return stage.client.find(send_id(5)) != nullptr && stage.server.find(receive_id(1)) != nullptr;
  }));
  REQUIRE(stage.client.completions.size() == 2);
  CHECK(stage.client.completions[0].id.at_endpoint(0) == send_id(2));
  CHECK(stage.client.completions[1].id.at_endpoint(0) == send_id(5));
  CHECK(is_filled(stage.server.memory().subspan(remote_at, 1000), 1));
  CHECK(is_filled(stage.server.memory().subspan(remote_at + 1000, 500), 2));
  CHECK(is_filled(stage.client.memory().subspan(4000, 700), 3));
  CHECK(stage.server.completions.at(0).byte_count == 16);
  CHECK(stage.server.completions.at(1).byte_count == 8);
  stage.close(pair);
}

TEST_CASE("a later write to the same place wins") {
  Stage stage;
  Pair pair = stage.connect({.server_receives = 1});
  for (std::uint32_t i = 0; i < 10; ++i)
    fill(stage.client.memory().subspan(std::size_t{i} * 1024, 1024), i);
  std::vector<WorkRequest> chain;
  for (std::uint32_t i = 0; i < 10; ++i)
    chain.push_back(write_of(stage.client.local(std::uint64_t{i} * 1024, 1024),
                             stage.server.region().remote(20000), i, false));
  chain.push_back(send_of({}, 10));
  REQUIRE(stage.client.post(*pair.client, chain));
  REQUIRE(stage.until([&] { return stage.server.find(receive_id(0)) != nullptr; }));
  CHECK(is_filled(stage.server.memory().subspan(20000, 1024), 9));
  stage.close(pair);
}

TEST_CASE("an unsignalled request completes silently and gives its room back") {
  Stage stage;
  constexpr std::uint32_t kDepth = 32;
  constexpr std::uint32_t kEvery = 16;
  Pair pair = stage.connect({.send_depth = kDepth});
  for (std::uint32_t i = 0; i < 20 * kDepth; ++i) {
    const bool signaled = i % kEvery == kEvery - 1;
    if (pair.client->send_room() == 0) {
      REQUIRE(stage.until([&] { return pair.client->send_room() > 0; }));
    }
    REQUIRE(stage.client.post(
        *pair.client, {write_of(stage.client.local(0, 64), stage.server.region().remote(0), i, signaled)}));
  }
  REQUIRE(stage.until([&] { return stage.client.completions.size() == 20 * kDepth / kEvery; }));
  CHECK(pair.client->send_room() == kDepth);
  CHECK(stage.client.count_sends(CompletionStatus::success) == 20 * kDepth / kEvery);
  stage.close(pair);
}

TEST_CASE("immediate data arrives with its message, and only with it") {
  Stage stage;
  Pair pair = stage.connect({.server_receives = 4, .receive_bytes = 16});
  std::vector<WorkRequest> chain{send_of(stage.client.local(0, 4), 0), send_of(stage.client.local(0, 4), 1),
                                 send_of({}, 2), send_of({}, 3)};
  chain[0].immediate = 0xffff'fffeU;
  chain[2].immediate = 0;
  REQUIRE(stage.client.post(*pair.client, chain));
  REQUIRE(stage.until([&] { return stage.server.completions.size() == 4; }));
  CHECK(stage.server.completions[0].immediate == 0xffff'fffeU);
  CHECK(stage.server.completions[0].byte_count == 4);
  CHECK_FALSE(stage.server.completions[1].immediate.has_value());
  CHECK(stage.server.completions[2].immediate == 0U);
  CHECK(stage.server.completions[2].byte_count == 0);
  CHECK_FALSE(stage.server.completions[3].immediate.has_value());
  CHECK(stage.server.completions[3].byte_count == 0);
  stage.close(pair);
}

TEST_CASE("a full send queue refuses the whole chain and posts nothing") {
  Stage stage;
  constexpr std::uint32_t kDepth = 8;
  Pair pair = stage.connect({.server_receives = 16, .receive_bytes = 16, .send_depth = kDepth});
  CHECK(pair.client->send_room() == kDepth);
  std::vector<WorkRequest> too_long;
  for (std::uint32_t i = 0; i <= kDepth; ++i)
    too_long.push_back(send_of({}, 100 + i));
  const Status refused = stage.client.post(*pair.client, too_long);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == StatusCode::queue_full);
  CHECK(pair.client->send_room() == kDepth);

  std::vector<WorkRequest> fits(too_long.begin(), too_long.begin() + 5);
  REQUIRE(stage.client.post(*pair.client, fits));
  CHECK(pair.client->send_room() == kDepth - 5);
  std::vector<WorkRequest> one_too_many(too_long.begin() + 5, too_long.begin() + 9);
  const Status still_refused = stage.client.post(*pair.client, one_too_many);
  REQUIRE_FALSE(still_refused);
  CHECK(still_refused.error().code == StatusCode::queue_full);
  one_too_many.pop_back();
  REQUIRE(stage.client.post(*pair.client, one_too_many));
  CHECK(pair.client->send_room() == 0);
  REQUIRE(stage.until([&] {
    return stage.client.completions.size() == kDepth && stage.server.completions.size() == kDepth;
  }));
  CHECK(pair.client->send_room() == kDepth);
  stage.close(pair);
  CHECK(stage.server.count_receives(CompletionStatus::success) == kDepth);
  CHECK(stage.server.count_receives(CompletionStatus::flushed) == 16 - kDepth);
}

TEST_CASE("a full receive queue refuses the whole batch and posts nothing") {
  Stage stage;
  Pair pair = stage.connect({.server_receives = 60, .receive_bytes = 16});
  std::vector<ReceiveRequest> five;
  for (std::uint32_t i = 60; i < 65; ++i)
    five.push_back(receive_into(stage.server.local(2000, 16), i));
  const Status refused = stage.server.post_receives(*pair.server, five);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == StatusCode::queue_full);
  five.pop_back();
  REQUIRE(stage.server.post_receives(*pair.server, five));
  stage.close(pair);
  CHECK(stage.server.count_receives(CompletionStatus::flushed) == 64);
}

TEST_CASE("a request that no device could execute is an invalid argument and posts nothing") {
  Stage stage;
  Pair pair = stage.connect({.server_receives = 2, .receive_bytes = 16});
  WorkRequest too_many_segments = send_of(stage.client.local(0, 4), 0);
  too_many_segments.segment_count = kMaxSegments + 1;
  WorkRequest inline_read = read_of(stage.client.local(0, 4), stage.server.region().remote(0), 1);
  inline_read.inline_data = true;
  WorkRequest inline_too_long = send_of(stage.client.local(0, 4), 2);
  inline_too_long.inline_data = true;
  inline_too_long.segments[0].length = pair.client->max_inline_bytes() + 1;
  for (const WorkRequest& bad : {too_many_segments, inline_read, inline_too_long}) {
    const Status refused = stage.client.post(*pair.client, {send_of({}, 9), bad});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == StatusCode::invalid_argument);
  }
  REQUIRE(stage.client.post(*pair.client, {send_of({}, 10)}));
  REQUIRE(stage.until([&] { return stage.client.find(send_id(10)) != nullptr; }));
  stage.close(pair);
  CHECK(stage.server.count_receives(CompletionStatus::success) == 1);
}

TEST_CASE("endpoints of one completion queue are told apart by their completions") {
  Stage stage;
  Pair one = stage.connect({.server_receives = 1, .receive_bytes = 16});
  Pair two = stage.connect({.server_receives = 1, .receive_bytes = 16});
  REQUIRE(stage.client.post(*two.client, {send_of({}, 0)}));
  REQUIRE(stage.until(
      [&] { return stage.client.completions.size() == 1 && stage.server.completions.size() == 1; }));
  CHECK(stage.client.completions[0].endpoint == two.client.get());
  CHECK(stage.server.completions[0].endpoint == two.server.get());
  REQUIRE(stage.client.post(*one.client, {send_of({}, 0)}));
  REQUIRE(stage.until(
      [&] { return stage.client.completions.size() == 2 && stage.server.completions.size() == 2; }));
  CHECK(stage.client.completions[1].endpoint == one.client.get());
  CHECK(stage.server.completions[1].endpoint == one.server.get());
  stage.close(one);
  REQUIRE(two.client->state() == EndpointState::connected);
  stage.close(two);
}

}  // namespace sluice::transport::contract
