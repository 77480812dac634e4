#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "client/volume_client.h"
#include "master/memory_metadata_store.h"
#include "tests/unit/client/small_master.h"
#include "tests/unit/client/small_node.h"
#include "transport/sim/network.h"

namespace sluice::client::test {

/// The same numbers in every run.
class CountingRandom final : public runtime::RandomSource {
 public:
  explicit CountingRandom(std::uint64_t first) : next_(first) {}
  [[nodiscard]] std::uint64_t next() override { return next_++; }

 private:
  std::uint64_t next_;
};

/// A client of a test: the production core on simulated devices.
struct TestClient {
  TestClient(transport::sim::Network& network, const std::vector<std::string>& local_hosts,
             const VolumeClientConfig& config, std::uint64_t nonce);

  /// The outcome of each completed request, by its tag, as they came.
  [[nodiscard]] std::vector<Completion> take();

  CountingRandom random;
  runtime::Reactor reactor;
  std::vector<std::string> events;
  std::unique_ptr<VolumeClient> core;
};

/// Two masters on one store, a node with two addresses, and clients with two devices each, in virtual time.
class SmallCluster {
 public:
  static constexpr VolumeId kVolume{1};
  static constexpr std::uint32_t kBlock = 4096;
  static constexpr std::uint64_t kSize = std::uint64_t{16} << 20U;

  explicit SmallCluster(std::uint64_t seed = 1);
  ~SmallCluster();

  [[nodiscard]] static VolumeClientConfig client_config(const std::string& name);
  TestClient& add_client(const VolumeClientConfig& config);
  /// Opens, and waits until a path is up.
  TestClient& open_client(const VolumeClientConfig& config);
  TestClient& open_client() { return open_client(client_config("client-a")); }

  /// Everybody turns, and time passes, until `is_done`, or until `limit` has passed: then false.
  template <typename Condition>
  bool run_until(const Condition& is_done, Duration limit = std::chrono::seconds(60)) {
    const Instant end = network.now() + limit;
    while (!is_done()) {
      if (network.now() >= end) return false;
      turn_all();
    }
    return true;
  }
  void run_for(Duration span) {
    run_until([] { return false; }, span);
  }

  /// Submits one request and waits for its outcome.
  StatusCode run(TestClient& client, IoRequestArgs args);
  StatusCode write(TestClient& client, std::uint64_t offset, std::span<const std::byte> data);
  StatusCode read(TestClient& client, std::uint64_t offset, std::span<std::byte> into);

  void start_node();
  void stop_node();
  /// The second master takes over; the first one doesn't know.
  void replace_master();

  transport::sim::Network network;
  master::MemoryMetadataStore store;
  SmallDisk disk;
  protocol::FixedVector<protocol::SlotClass, protocol::kMaxSlotClasses> slots;  ///< of the node's next start
  std::vector<std::unique_ptr<SmallMaster>> masters;
  std::size_t master_in_charge = 0;
  std::unique_ptr<SmallNode> node;
  std::vector<std::unique_ptr<TestClient>> clients;

 private:
  void turn_all();
  void say_hello();
  [[nodiscard]] std::unique_ptr<transport::Provider> open_provider(const std::string& host);

  std::uint64_t boots_ = 0;
};

/// A write with a tag.
[[nodiscard]] IoRequestArgs request(std::uint64_t tag, std::uint64_t offset, std::span<const std::byte> data);

/// Bytes that differ from place to place, and from seed to seed.
[[nodiscard]] std::vector<std::byte> pattern(std::size_t length, std::uint64_t seed);

}  // namespace sluice::client::test
