#include <algorithm>
#include <array>

#include <catch2/catch.hpp>

#include "tests/unit/client/small_cluster.h"

namespace sluice::client::test {
namespace {

using protocol::IoOp;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::uint32_t kBlock = SmallCluster::kBlock;

TEST_CASE("a volume is opened over every path, and says what it is") {
  SmallCluster cluster;
  TestClient& client = cluster.open_client();
  const VolumeInfo info = client.core->info();
  CHECK(info.volume == SmallCluster::kVolume);
  CHECK(info.size_bytes == SmallCluster::kSize);
  CHECK(info.block_size == kBlock);
  CHECK_FALSE(info.read_only);
  CHECK(cluster.run_until([&] {
    const auto paths = client.core->paths();
    return paths.size() == 2 && paths[0].state == "up" && paths[1].state == "up";
  }));
}

TEST_CASE("data of every size comes back, whether its memory is registered or not") {
  SmallCluster cluster;
  TestClient& client = cluster.open_client();
  const bool is_registered = GENERATE(false, true);
  // In the capsule, in a slot of either size, split into several, and with an odd piece at the end.
  const std::size_t length =
      GENERATE(std::size_t{4096}, std::size_t{8192}, std::size_t{64} << 10U, (std::size_t{64} << 10U) + 4096,
               std::size_t{1} << 20U, (std::size_t{5} << 20U) + 8192);
  std::vector<std::byte> data = pattern(length, length);
  std::vector<std::byte> into(length);
  if (is_registered) {
    REQUIRE(client.core->register_memory(data));
    REQUIRE(client.core->register_memory(into));
  }
  REQUIRE(cluster.write(client, 12 * kBlock, data) == StatusCode::ok);
  CHECK(std::equal(data.begin(), data.end(), cluster.disk.bytes.begin() + 12 * kBlock));
  REQUIRE(cluster.read(client, 12 * kBlock, into) == StatusCode::ok);
  CHECK(into == data);
}

TEST_CASE("zeroes are written, discards and flushes are done") {
  SmallCluster cluster;
  TestClient& client = cluster.open_client();
  REQUIRE(cluster.write(client, 0, pattern(4 * kBlock, 1)) == StatusCode::ok);
  IoRequestArgs zeroes;
  zeroes.op = IoOp::write_zeroes;
  zeroes.fua = true;
  zeroes.offset = kBlock;
  zeroes.length = 2 * kBlock;
  REQUIRE(cluster.run(client, zeroes) == StatusCode::ok);
  CHECK(std::all_of(cluster.disk.bytes.begin() + kBlock, cluster.disk.bytes.begin() + 3 * kBlock,
                    [](std::byte byte) { return byte == std::byte{0}; }));
  CHECK(cluster.disk.bytes[3 * kBlock] == pattern(4 * kBlock, 1)[3 * kBlock]);
  IoRequestArgs discard = zeroes;
  discard.op = IoOp::discard;
  CHECK(cluster.run(client, discard) == StatusCode::ok);
  CHECK(cluster.run(client, {}) == StatusCode::ok);
}

TEST_CASE("what doesn't fit the volume is refused at once") {
  SmallCluster cluster;
  TestClient& client = cluster.open_client();
  std::vector<std::byte> data(2 * kBlock);
  const auto refused = [&](std::uint64_t offset, std::size_t length) {
    return client.core->submit(request(1, offset, std::span(data).first(length)));
  };
  CHECK(refused(1, kBlock) == StatusCode::invalid_request);
  CHECK(refused(0, 512) == StatusCode::invalid_request);
  CHECK(refused(0, 0) == StatusCode::invalid_request);
  CHECK(refused(SmallCluster::kSize, kBlock) == StatusCode::invalid_request);
  CHECK(refused(SmallCluster::kSize - kBlock, 2 * kBlock) == StatusCode::invalid_request);
  CHECK(refused(UINT64_MAX - kBlock + 1, kBlock) == StatusCode::invalid_request);
  CHECK(client.core->outstanding() == 0);
}

TEST_CASE("a full queue refuses, and takes again once completions were taken") {
  SmallCluster cluster;
  TestClient& client = cluster.open_client();
  const std::vector<std::byte> data = pattern(kBlock, 3);
  for (std::uint64_t tag = 0; tag < 32; ++tag)
    REQUIRE(client.core->submit(request(tag, tag * kBlock, data)) == StatusCode::ok);
  CHECK(client.core->submit(request(32, 0, data)) == StatusCode::queue_full);
  std::vector<Completion> taken;
  REQUIRE(cluster.run_until([&] {
    for (const Completion& completion : client.take())
      taken.push_back(completion);
    return taken.size() == 32;
  }));
  CHECK(std::all_of(taken.begin(), taken.end(),
                    [](const Completion& completion) { return completion.status == StatusCode::ok; }));
  CHECK(client.core->submit(request(32, 0, data)) == StatusCode::ok);
}

TEST_CASE("more data than there is memory for waits its turn") {
  SmallCluster cluster;
  TestClient& client = cluster.open_client();
  // 24 x 1 MiB - of 2 MiB requests - through 2 slots of bounce memory.
  std::vector<std::vector<std::byte>> data;
  for (std::uint64_t i = 0; i < 7; ++i)
    data.push_back(pattern(std::size_t{2} << 20U, i));
  for (std::uint64_t i = 0; i < 7; ++i)
    REQUIRE(client.core->submit(request(i, i * (std::uint64_t{2} << 20U), data[i])) == StatusCode::ok);
  std::size_t done = 0;
  REQUIRE(cluster.run_until([&] {
    for (const Completion& completion : client.take()) {
      CHECK(completion.status == StatusCode::ok);
      ++done;
    }
    return done == 7;
  }));
  for (std::uint64_t i = 0; i < 7; ++i)
    CHECK(
        std::equal(data[i].begin(), data[i].end(),
                   cluster.disk.bytes.begin() + static_cast<std::ptrdiff_t>(i * (std::uint64_t{2} << 20U))));
}

TEST_CASE("requests that overlap take effect in the order of their submission (C1)") {
  SmallCluster cluster;
  TestClient& client = cluster.open_client();
  std::vector<std::vector<std::byte>> data;
  for (std::uint64_t i = 0; i < 20; ++i)
    data.push_back(pattern(2 * kBlock, i));
  for (std::uint64_t i = 0; i < 20; ++i)
    REQUIRE(client.core->submit(request(i, (i % 2) * kBlock, data[i])) == StatusCode::ok);
  std::size_t done = 0;
  REQUIRE(cluster.run_until([&] {
    done += client.take().size();
    return done == 20;
  }));
  CHECK(std::equal(data[19].begin(), data[19].end(), cluster.disk.bytes.begin() + kBlock));
}

}  // namespace
}  // namespace sluice::client::test
