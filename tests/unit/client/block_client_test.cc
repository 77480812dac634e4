// The public interfaces on real connections: libfabric over the loopback.

#include "client/block_client.h"

#include <algorithm>
#include <array>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>
#include <poll.h>

#include "client/shared_client.h"
#include "tests/unit/client/small_cluster.h"
#include "tests/unit/client/small_server.h"

namespace sluice::client::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::uint64_t kSize = std::uint64_t{64} << 20U;
constexpr std::size_t kBlock = 4096;

BlockClientConfig config_for(const SmallServer& server) {
  BlockClientConfig config;
  config.masters.push_back(server.master());
  config.volume = "db";
  config.client = "client-a";
  config.transport.provider = transport::ProviderChoice::ofi;
  config.transport.local_host = "127.0.0.1";
  config.transport.polling.mode = transport::PollingMode::event;
  config.keepalive_interval = milliseconds(200);
  config.io_timeout = seconds(2);
  config.close_timeout = seconds(2);
  return config;
}

std::unique_ptr<BlockClient> open_block(const BlockClientConfig& config) {
  auto client = BlockClient::open(config);
  if (!client) FAIL(client.error().describe());
  return std::move(*client);
}

TEST_CASE("blocking calls of BlockClient read what they wrote") {
  SmallServer server(kSize);
  const auto client = open_block(config_for(server));
  CHECK(client->info().size_bytes == kSize);
  CHECK(client->state() == ConnectionState::connected);
  const auto data = pattern((std::size_t{3} << 20U) + kBlock, 1);
  REQUIRE(client->write(kBlock, data));
  REQUIRE(client->flush());
  std::vector<std::byte> into(data.size());
  REQUIRE(client->read(kBlock, into));
  CHECK(into == data);
  REQUIRE(client->write_zeroes(0, 3 * kBlock));
  REQUIRE(client->read(kBlock, std::span(into).first(kBlock)));
  CHECK(into[0] == std::byte{0});
  REQUIRE(client->discard(0, kBlock, Durability::stable));
  const Status refused = client->read(kSize, into);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == StatusCode::invalid_request);
  REQUIRE(client->close());
  CHECK(client->state() == ConnectionState::ended);
  CHECK(client->read(0, into).error().code == StatusCode::cancelled);
}

TEST_CASE("submissions complete through poll, and its descriptor wakes other people's loops") {
  SmallServer server(kSize);
  const auto client = open_block(config_for(server));
  std::vector<std::byte> memory = pattern(32 * kBlock, 2);
  REQUIRE(client->register_memory(memory));
  for (std::uint64_t i = 0; i < 32; ++i) {
    REQUIRE(client->submit_write(i, i * kBlock, std::span(memory).subspan(i * kBlock, kBlock)) ==
            StatusCode::ok);
  }
  std::array<Completion, 8> taken;
  std::vector<bool> seen(32);
  std::size_t done = 0;
  while (done < 32) {
    const std::size_t count = client->poll(taken, Duration::zero());
    for (std::size_t i = 0; i < count; ++i) {
      CHECK(taken[i].status == StatusCode::ok);
      CHECK_FALSE(seen[taken[i].tag]);
      seen[taken[i].tag] = true;
      ++done;
    }
    if (count > 0 || !client->arm()) continue;
    pollfd wait{.fd = client->fd(), .events = POLLIN, .revents = 0};
    const auto limit = std::chrono::ceil<milliseconds>(client->longest_sleep());
    REQUIRE(::poll(&wait, 1, static_cast<int>(limit.count())) >= 0);
  }
  CHECK(client->outstanding() == 0);
  REQUIRE(client->unregister_memory(memory));
  CHECK(client->poll(taken, milliseconds(1)) == 0);
}

TEST_CASE("an open that can't be says why") {
  SmallServer server(kSize);
  BlockClientConfig config = config_for(server);
  SECTION("no such volume") {
    config.volume = "nowhere";
    const auto client = BlockClient::open(config);
    REQUIRE_FALSE(client);
    CHECK(client.error().code == StatusCode::not_found);
    CHECK(client.error().message.find("nowhere") != std::string::npos);
  }
  SECTION("held by another") {
    const auto holder = open_block(config);
    config.client = "client-b";
    const auto client = BlockClient::open(config);
    REQUIRE_FALSE(client);
    CHECK(client.error().code == StatusCode::busy);
    CHECK(client.error().message.find("client-a") != std::string::npos);
  }
  SECTION("no master there") {
    config.masters = {{"127.0.0.1", 1}};
    config.open_timeout = milliseconds(500);
    const auto client = BlockClient::open(config);
    REQUIRE_FALSE(client);
    CHECK(client.error().code == StatusCode::timed_out);
    CHECK(client.error().message.find("127.0.0.1:1") != std::string::npos);
  }
  SECTION("a bad name") {
    config.volume = "with space";
    const auto client = BlockClient::open(config);
    REQUIRE_FALSE(client);
    CHECK(client.error().code == StatusCode::invalid_argument);
  }
}

TEST_CASE("a node's restart interrupts a blocking call, and doesn't fail it") {
  SmallServer server(kSize);
  BlockClientConfig config = config_for(server);
  const auto client = open_block(config);
  const Gvn before = client->info().gvn;
  const auto data = pattern(kBlock, 3);
  REQUIRE(client->write(0, data));
  server.start_node();
  for (std::uint64_t i = 0; i < 20; ++i)
    REQUIRE(client->write(i * kBlock, data));
  std::vector<std::byte> into(kBlock);
  REQUIRE(client->read(0, into));
  CHECK(into == data);
  while (client->info().gvn == before)
    REQUIRE(client->write(0, data));
}

TEST_CASE("many threads share a client, and see each other's completed writes") {
  SmallServer server(kSize);
  BlockClientConfig config = config_for(server);
  config.queue_depth = 4;  // fewer than there are callers
  auto opened = SharedClient::open(config);
  REQUIRE(opened);
  SharedClient& client = **opened;
  constexpr std::size_t kThreads = 8;
  std::array<int, kThreads> failures{};
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&client, &failures, t] {
      std::vector<std::byte> into(kBlock);
      for (std::uint64_t round = 0; round < 50; ++round) {
        const auto data = pattern(kBlock, t * 1000 + round);
        const std::uint64_t offset = (t * 50 + round) * kBlock;
        if (!client.write(offset, data) || !client.read(offset, into) || into != data) ++failures[t];
      }
      if (!client.flush()) ++failures[t];
    });
  }
  for (std::thread& thread : threads)
    thread.join();
  CHECK(failures == std::array<int, kThreads>{});
  CHECK(client.state() == ConnectionState::connected);
  CHECK(client.paths().size() == 2);
  REQUIRE(client.close());
  CHECK(client.state() == ConnectionState::ended);
  CHECK(client.info().size_bytes == kSize);
  CHECK(client.flush().error().code == StatusCode::shutting_down);
}

TEST_CASE("closing a shared client ends calls that wait for a node that is gone") {
  SmallServer server(kSize);
  BlockClientConfig config = config_for(server);
  config.close_timeout = milliseconds(300);
  auto opened = SharedClient::open(config);
  REQUIRE(opened);
  server.stop_node();
  StatusCode outcome = StatusCode::ok;
  std::thread caller([&] {
    const auto data = pattern(kBlock, 1);
    Status status;
    while ((status = (*opened)->write(0, data)).has_value()) {
    }
    outcome = status.error().code;
  });
  while ((*opened)->state() == ConnectionState::connected)
    std::this_thread::yield();
  const auto before = std::chrono::steady_clock::now();
  const Status closed = (*opened)->close();
  caller.join();
  CHECK(std::chrono::steady_clock::now() - before < seconds(8));
  INFO(to_string(outcome));
  const bool ended = outcome == StatusCode::outcome_unknown || outcome == StatusCode::cancelled ||
                     outcome == StatusCode::shutting_down || outcome == StatusCode::timed_out;
  CHECK(ended);
}

}  // namespace
}  // namespace sluice::client::test
