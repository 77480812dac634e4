// Sizes, segments, inline data and directions of single transfers.

#include <algorithm>

#include <catch2/catch.hpp>

#include "tests/contract/stage.h"

namespace sluice::transport::contract {

namespace {

StageOptions with_memory(std::size_t bytes) {
  StageOptions options;
  options.party.memory_bytes = bytes;
  return options;
}

std::uint32_t largest_tested(const Provider& provider) {
  return std::min<std::uint32_t>(provider.info().max_message_bytes, 8U * 1024 * 1024);
}

}  // namespace

TEST_CASE("writes of every size arrive whole and touch nothing beyond") {
  Stage stage(with_memory(9UL * 1024 * 1024));
  Pair pair = stage.connect({.server_receives = 32, .receive_bytes = 8});
  const std::uint32_t largest = largest_tested(stage.client.provider());
  constexpr std::uint64_t kAt = 4096 + 1;
  std::uint32_t round = 0;
  for (const std::uint32_t bytes : {0U, 1U, 2U, 63U, 64U, 255U, 1023U, 1024U, 1025U, 4095U, 4096U, 4097U,
                                    65536U, 65537U, 1024U * 1024U, largest}) {
    INFO("bytes " << bytes);
    ++round;
    std::ranges::fill(stage.server.memory(), std::byte{0x5a});
    fill(stage.client.memory().first(bytes), round);
    REQUIRE(stage.client.post(*pair.client, {write_of(stage.client.local(0, bytes),
                                                      stage.server.region().remote(kAt), 2 * round, true),
                                             send_of({}, 2 * round + 1)}));
    REQUIRE(stage.until([&] {
      return stage.server.find(receive_id(round - 1)) != nullptr &&
             stage.client.find(send_id(2 * round + 1)) != nullptr;
    }));
    REQUIRE(stage.client.find(send_id(2 * round))->status == CompletionStatus::success);
    CHECK(is_filled(stage.server.memory().subspan(kAt, bytes), round));
    CHECK(std::ranges::all_of(stage.server.memory().subspan(256, kAt - 256),
                              [](std::byte b) { return b == std::byte{0x5a}; }));
    CHECK(std::ranges::all_of(stage.server.memory().subspan(kAt + bytes),
                              [](std::byte b) { return b == std::byte{0x5a}; }));
  }
  stage.close(pair);
}

TEST_CASE("reads of every size bring the peer's bytes and touch nothing beyond") {
  Stage stage(with_memory(9UL * 1024 * 1024));
  Pair pair = stage.connect();
  const std::uint32_t largest = largest_tested(stage.client.provider());
  std::uint32_t round = 0;
  for (const std::uint32_t bytes : {0U, 1U, 4095U, 4096U, 4097U, 65537U, 1024U * 1024U, largest}) {
    INFO("bytes " << bytes);
    ++round;
    std::ranges::fill(stage.client.memory(), std::byte{0x5a});
    fill(stage.server.memory().subspan(17, bytes), round);
    REQUIRE(stage.client.post(
        *pair.client, {read_of(stage.client.local(33, bytes), stage.server.region().remote(17), round)}));
    REQUIRE(stage.until([&] { return stage.client.find(send_id(round)) != nullptr; }));
    REQUIRE(stage.client.find(send_id(round))->status == CompletionStatus::success);
    CHECK(is_filled(stage.client.memory().subspan(33, bytes), round));
    CHECK(stage.client.memory()[32] == std::byte{0x5a});
    CHECK(std::ranges::all_of(stage.client.memory().subspan(33 + std::size_t{bytes}),
                              [](std::byte b) { return b == std::byte{0x5a}; }));
  }
  stage.close(pair);
}

TEST_CASE("messages of every size arrive whole, with their length") {
  Stage stage(with_memory(9UL * 1024 * 1024));
  const std::uint32_t largest = largest_tested(stage.client.provider());
  Pair pair = stage.connect();
  std::uint32_t round = 0;
  for (const std::uint32_t bytes : {0U, 1U, 64U, 4096U, 65536U + 3, 1024U * 1024U, largest}) {
    INFO("bytes " << bytes);
    ++round;
    fill(stage.client.memory().first(bytes), round);
    const ReceiveRequest receive = receive_into(stage.server.local(0, largest), round);
    REQUIRE(stage.server.post_receives(*pair.server, std::span(&receive, 1)));
    REQUIRE(stage.client.post(*pair.client, {send_of(stage.client.local(0, bytes), round)}));
    REQUIRE(stage.until([&] {
      return stage.server.find(receive_id(round)) != nullptr && stage.client.find(send_id(round)) != nullptr;
    }));
    const Completion& received = *stage.server.find(receive_id(round));
    CHECK(received.status == CompletionStatus::success);
    CHECK(received.byte_count == bytes);
    CHECK(is_filled(stage.server.memory().first(bytes), round));
  }
  stage.close(pair);
}

TEST_CASE("segments are gathered and scattered in their order") {
  Stage stage;
  Pair pair = stage.connect({.server_receives = 2, .receive_bytes = 4096});
  fill(stage.client.memory().subspan(0, 300), 1);
  fill(stage.client.memory().subspan(10000, 1), 2);
  fill(stage.client.memory().subspan(20001, 2000), 3);
  WorkRequest request = send_of(stage.client.local(20001, 2000), 0);
  request.segment_count = 4;
  request.segments[1] = stage.client.local(10000, 1);
  request.segments[2] = stage.client.local(5000, 0);
  request.segments[3] = stage.client.local(0, 300);
  WorkRequest write = request;
  write.id = send_id(1);
  write.opcode = Opcode::write;
  write.remote = stage.server.region().remote(30000);
  REQUIRE(stage.client.post(*pair.client, {request, write, send_of({}, 2)}));
  REQUIRE(stage.until([&] { return stage.server.completions.size() == 2; }));
  CHECK(stage.server.completions[0].byte_count == 2301);
  for (const std::size_t at : {std::size_t{0}, std::size_t{30000}}) {
    CHECK(is_filled(stage.server.memory().subspan(at, 2000), 3));
    CHECK(is_filled(stage.server.memory().subspan(at + 2000, 1), 2));
    CHECK(is_filled(stage.server.memory().subspan(at + 2001, 300), 1));
  }

  std::ranges::fill(stage.client.memory(), std::byte{});
  WorkRequest read = request;
  read.id = send_id(3);
  read.opcode = Opcode::read;
  read.remote = stage.server.region().remote(30000);
  REQUIRE(stage.client.post(*pair.client, {read}));
  REQUIRE(stage.until([&] { return stage.client.find(send_id(3)) != nullptr; }));
  CHECK(is_filled(stage.client.memory().subspan(20001, 2000), 3));
  CHECK(is_filled(stage.client.memory().subspan(10000, 1), 2));
  CHECK(is_filled(stage.client.memory().subspan(0, 300), 1));
  stage.close(pair);
}

TEST_CASE("inline data is the caller's again when post returns, and needs no registration") {
  Stage stage;
  constexpr std::uint32_t kAsked = 96;
  Pair pair = stage.connect({.server_receives = 8, .receive_bytes = 256, .max_inline_bytes = kAsked});
  const std::uint32_t granted = pair.client->max_inline_bytes();
  REQUIRE(granted <= std::max(kAsked, stage.client.provider().info().max_inline_bytes));
  if (granted < kAsked) WARN("inline bytes granted: " << granted << " of " << kAsked << " asked");
  std::vector<std::byte> unregistered(std::min(granted, kAsked));
  for (std::uint32_t i = 0; i < 8; ++i) {
    fill(unregistered, i);
    const LocalBuffer buffer{unregistered.data(), static_cast<std::uint32_t>(unregistered.size()), 0};
    WorkRequest write =
        write_of(buffer, stage.server.region().remote(8192 + std::uint64_t{i} * 256), 2 * i, false);
    write.inline_data = true;
    WorkRequest send = send_of(buffer, 2 * i + 1);
    send.inline_data = true;
    REQUIRE(stage.client.post(*pair.client, {write, send}));
    std::ranges::fill(unregistered, std::byte{0xee});
  }
  REQUIRE(stage.until([&] { return stage.server.completions.size() == 8; }));
  for (std::uint32_t i = 0; i < 8; ++i) {
    CHECK(is_filled(stage.server.memory().subspan(std::size_t{i} * 256, unregistered.size()), i));
    CHECK(is_filled(stage.server.memory().subspan(8192 + std::size_t{i} * 256, unregistered.size()), i));
  }
  stage.close(pair);
}

TEST_CASE("transfers run both ways at once") {
  Stage stage(with_memory(4UL * 1024 * 1024));
  Pair pair = stage.connect({.client_receives = 1, .server_receives = 1, .receive_bytes = 16});
  constexpr std::uint32_t kBytes = 1024 * 1024;
  constexpr std::uint64_t kOut = 1024UL * 1024;
  constexpr std::uint64_t kIn = 2048UL * 1024;
  fill(stage.client.memory().subspan(kOut, kBytes), 1);
  fill(stage.server.memory().subspan(kOut, kBytes), 2);
  REQUIRE(stage.client.post(
      *pair.client,
      {write_of(stage.client.local(kOut, kBytes), stage.server.region().remote(kIn), 0), send_of({}, 1)}));
  REQUIRE(stage.server.post(
      *pair.server,
      {write_of(stage.server.local(kOut, kBytes), stage.client.region().remote(kIn), 0), send_of({}, 1)}));
  REQUIRE(stage.until([&] {
    return stage.client.find(receive_id(0)) != nullptr && stage.server.find(receive_id(0)) != nullptr;
  }));
  CHECK(is_filled(stage.server.memory().subspan(kIn, kBytes), 1));
  CHECK(is_filled(stage.client.memory().subspan(kIn, kBytes), 2));
  stage.close(pair);
}

TEST_CASE("work posted in the turn of the established event reaches the peer") {
  Stage stage;
  for (std::uint32_t round = 0; round < 10; ++round) {
    const ReceiveRequest receive = receive_into(stage.server.local(0, 64), round);
    EndpointConfig server_config = stage.server.endpoint_config();
    server_config.initial_receives = std::span(&receive, 1);
    auto client = stage.client.connect(stage.address, stage.client.endpoint_config());
    REQUIRE(stage.until([&] { return stage.server.has_request(); }));
    auto server = stage.server.accept(server_config);
    REQUIRE(stage.until([&] { return client->state() == EndpointState::connected; }));
    REQUIRE(stage.client.post(*client, {send_of({}, round)}));
    REQUIRE(stage.until([&] { return stage.server.find(receive_id(round)) != nullptr; }));
    CHECK(stage.server.find(receive_id(round))->status == CompletionStatus::success);
    CHECK(server->state() == EndpointState::connected);
    Pair pair{std::move(client), std::move(server)};
    stage.close(pair);
  }
}

}  // namespace sluice::transport::contract
