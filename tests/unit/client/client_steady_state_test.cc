// Submitting, polling and completing neither allocate nor lock: counted on a client's thread over real
// connections.

#include <array>
#include <cstdio>
#include <vector>

#include <catch2/catch.hpp>

#include "client/block_client.h"
#include "tests/contract/call_counter.h"
#include "tests/unit/client/small_server.h"

namespace sluice::client::test {
namespace {

constexpr std::size_t kDepth = 8;
constexpr std::size_t kSlice = 192 * 1024;

BlockClientConfig config_for(const SmallServer& server) {
  BlockClientConfig config;
  config.masters.push_back(server.master());
  config.volume = "db";
  config.transport.provider = transport::ProviderChoice::ofi;
  config.transport.local_host = "127.0.0.1";
  config.transport.polling.mode = transport::PollingMode::event;
  config.keepalive_interval = std::chrono::minutes(1);  // control connections may allocate
  return config;
}

/// A few hundred requests of every kind and size, several at a time.
std::uint64_t work(BlockClient& client, std::span<std::byte> memory, std::uint64_t rounds) {
  std::uint64_t failures = 0;
  std::array<Completion, kDepth> done;
  for (std::uint64_t round = 0; round < rounds; ++round) {
    // In the capsule, in a small slot, in a large one; then what was written is read.
    const std::size_t length = std::array<std::size_t, 3>{4096, 32 * 1024, kSlice}[round % 3];
    for (std::uint64_t i = 0; i < kDepth; ++i) {
      const auto data = memory.subspan(i * kSlice, length);
      const StatusCode code = (round / 3) % 2 == 0 ? client.submit_write(i, i * kSlice, data)
                                                   : client.submit_read(i, i * kSlice, data);
      if (code != StatusCode::ok) ++failures;
    }
    if (client.submit_flush(kDepth) != StatusCode::ok) ++failures;
    for (std::size_t taken = 0; taken < kDepth + 1;) {
      const std::size_t count = client.poll(done, std::chrono::seconds(1));
      for (const Completion& completion : std::span(done).first(count))
        failures += completion.status == StatusCode::ok ? 0 : 1;
      taken += count;
    }
  }
  return failures;
}

TEST_CASE("requests allocate nothing and take no lock of ours, in registered memory and without") {
  SmallServer server(std::uint64_t{16} << 20U);
  auto opened = BlockClient::open(config_for(server));
  REQUIRE(opened);
  BlockClient& client = **opened;
  std::vector<std::byte> memory(kDepth * kSlice);
  for (const bool is_registered : {false, true}) {
    if (is_registered) REQUIRE(client.register_memory(memory));
    REQUIRE(work(client, memory, 30) == 0);
    transport::contract::CallCounter counter;
    const std::uint64_t failures = work(client, memory, 120);
    counter.stop();
    REQUIRE(failures == 0);
    for (const auto& [caller, count] : counter.by_caller()) {
      std::printf("%s: %llu\n", caller.c_str(), static_cast<unsigned long long>(count));
      CHECK_FALSE(caller.ends_with(" from us"));
      CHECK(caller.find("libstdc++") == std::string::npos);
    }
  }
}

}  // namespace
}  // namespace sluice::client::test
