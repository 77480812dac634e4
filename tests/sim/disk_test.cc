// The simulated disk does what disks do, and nothing that they don't.

#include "tests/sim/disk.h"

#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/sim/stamp.h"

namespace sluice::sim {

using protocol::IoOp;
using storage_node::Backend;
using storage_node::BackendCompletion;
using storage_node::BackendRequest;
using storage_node::VolumeState;
using std::chrono_literals::operator""s;

namespace {

constexpr VolumeId kVolume{1};
constexpr std::uint32_t kBlock = 4096;

class Watcher final : public DiskObserver {
 public:
  void on_sectors_changed(SimDisk& /*disk*/, const VolumeState& /*volume*/, const BackendRequest& /*request*/,
                          ByteCount /*offset*/, std::span<const std::byte> data) override {
    sectors += data.size() / kSectorBytes;
  }
  void on_created(SimDisk& /*disk*/, const VolumeState& /*volume*/) override {}
  void on_removed(SimDisk& /*disk*/, VolumeId /*volume*/) override {}
  void on_state_stored(SimDisk& /*disk*/, const VolumeState& /*before*/,
                       const VolumeState& /*after*/) override {}
  void on_power_lost(SimDisk& /*disk*/, VolumeId /*volume*/) override {}
  void on_restored(SimDisk& /*disk*/) override {}
  void on_corrupted(SimDisk& /*disk*/, VolumeId /*volume*/, std::uint64_t /*sector*/) override {}
  void on_misuse(SimDisk& /*disk*/, std::string what) override { misuses.push_back(std::move(what)); }

  std::size_t sectors = 0;
  std::vector<std::string> misuses;
};

struct Machine {
  explicit Machine(std::uint64_t seed = 1)
      : network(seed), disk(network, seed, "disk", ByteCount(1U << 20U), watcher), memory(4UL * kBlock) {
    boot();
    VolumeState state;
    state.volume = kVolume;
    state.size = ByteCount(8UL * kBlock);
    state.block_size = kBlock;
    REQUIRE(backend->create(state));
    REQUIRE(open());
  }
  ~Machine() {
    storage.reset();
    backend.reset();
  }
  void boot() {
    backend = disk.open_backend(0, 1, [this] { ++calls; });
    REQUIRE(backend->register_buffers(memory));
  }
  void kill() { disk.kill(*backend); }
  bool open() {
    auto opened = backend->open(kVolume);
    if (!opened) return false;
    storage = std::move(*opened);
    return true;
  }
  void write(std::uint64_t block, Value value, bool durable, std::uint64_t tag = 7) {
    for (std::uint64_t i = 0; i < kBlock / kSectorBytes; ++i) {
      write_stamp(std::span(memory).subspan(i * kSectorBytes).first<kSectorBytes>(), kVolume,
                  block * kBlock / kSectorBytes + i, 1, value);
    }
    storage->start({IoOp::write, durable, ByteCount(block * kBlock), kBlock, memory.data(), tag});
    backend->submit();
  }
  void flush() {
    storage->start({IoOp::flush, false, ByteCount(0), 0, nullptr, 9});
    backend->submit();
  }
  std::vector<BackendCompletion> run(Duration span = 1s) {
    network.run_for(span);
    std::array<BackendCompletion, 16> taken;
    const std::size_t count = backend->poll(taken);
    return {taken.begin(), taken.begin() + static_cast<std::ptrdiff_t>(count)};
  }
  /// How many sectors of the block hold the value.
  [[nodiscard]] std::size_t count(std::uint64_t block, Value value) const {
    std::size_t found = 0;
    for (std::uint64_t i = 0; i < kBlock / kSectorBytes; ++i) {
      if (disk.value(kVolume, block * kBlock / kSectorBytes + i) == value) ++found;
    }
    return found;
  }

  transport::sim::Network network;
  Watcher watcher;
  SimDisk disk;
  std::vector<std::byte> memory;
  std::size_t calls = 0;
  std::unique_ptr<Backend> backend;
  std::unique_ptr<storage_node::VolumeStorage> storage;
};

}  // namespace

TEST_CASE("a write is read again, and takes time", "[sim]") {
  Machine machine;
  machine.write(2, 42, true);
  CHECK(machine.count(2, 42) == 0);
  const auto completions = machine.run();
  REQUIRE(completions.size() == 1);
  CHECK(completions[0].tag == 7);
  CHECK(completions[0].status == StatusCode::ok);
  CHECK(machine.calls == 1);
  CHECK(machine.count(2, 42) == 8);
  std::ranges::fill(machine.memory, std::byte{1});
  machine.storage->start({IoOp::read, false, ByteCount(2UL * kBlock), kBlock, machine.memory.data(), 1});
  machine.backend->submit();
  REQUIRE(machine.run().size() == 1);
  CHECK(read_stamp(std::span(machine.memory).first<kSectorBytes>(), kVolume, 16) == 42);
  CHECK(machine.watcher.misuses.empty());
}

TEST_CASE("a power loss spares what was stable, and some of the rest", "[sim]") {
  std::size_t lost = 0;
  std::size_t kept = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Machine machine(seed);
    machine.write(0, 5, true);
    machine.run();
    machine.write(1, 6, false);
    machine.run();
    machine.flush();
    machine.run();
    machine.write(2, 7, false);
    machine.run();
    machine.write(3, 8, true);  // under way
    machine.kill();
    machine.disk.lose_power();
    CHECK(machine.count(0, 5) == 8);
    CHECK(machine.count(1, 6) == 8);
    kept += machine.count(2, 7) + machine.count(3, 8);
    lost += 16 - machine.count(2, 7) - machine.count(3, 8);
    CHECK(machine.disk.operations_under_way() == 0);
    machine.storage.reset();
    machine.boot();
    CHECK(machine.open());
  }
  CHECK(lost > 0);
  CHECK(kept > 0);
}

TEST_CASE(
    "after a kill operations go on with the data they had, and hold the lock until the last is done (F2)",
    "[sim]") {
  Machine machine;
  machine.disk.strike_next(DiskFault::hang);
  machine.write(0, 5, true);
  machine.kill();
  machine.storage.reset();
  std::ranges::fill(machine.memory, std::byte{9});  // the process' memory is somebody else's
  machine.boot();
  CHECK_FALSE(machine.open());
  CHECK(machine.disk.count(DiskFault::lock_busy) == 1);
  machine.network.run_for(5s);
  CHECK_FALSE(machine.open());
  machine.network.run_for(6s);
  CHECK(machine.open());
  CHECK(machine.count(0, 5) == 8);
}

TEST_CASE("a failed flush is believed clean, and lost with the power", "[sim]") {
  std::size_t lost = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Machine machine(seed);
    machine.write(1, 6, false);
    machine.run();
    machine.disk.strike_next(DiskFault::flush_error);
    machine.flush();
    REQUIRE(machine.run().at(0).status == StatusCode::io_error);
    machine.flush();
    REQUIRE(machine.run().at(0).status == StatusCode::ok);
    machine.kill();
    machine.disk.lose_power();
    lost += 8 - machine.count(1, 6);
  }
  CHECK(lost > 0);
}

TEST_CASE("a state is stored as a whole or not at all", "[sim]") {
  std::size_t news = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Machine machine(seed);
    VolumeState state = machine.storage->state();
    state.fence = Gvn(7);
    machine.storage->start_store(state, 3);
    machine.backend->submit();
    CHECK(machine.storage->state().fence == Gvn(0));
    machine.kill();
    machine.disk.lose_power();
    CHECK((machine.disk.state(kVolume).fence == Gvn(0) || machine.disk.state(kVolume).fence == Gvn(7)));
    if (machine.disk.state(kVolume).fence == Gvn(7)) ++news;
  }
  CHECK(news > 0);
  CHECK(news < 20);
  Machine machine;
  VolumeState state = machine.storage->state();
  state.fence = Gvn(7);
  machine.storage->start_store(state, 3);
  machine.backend->submit();
  REQUIRE(machine.run().at(0).tag == 3);
  CHECK(machine.storage->state().fence == Gvn(7));
}

TEST_CASE("what no disk should be asked is told", "[sim]") {
  Machine machine;
  machine.write(0, 5, true);
  machine.write(0, 6, true);
  CHECK(machine.watcher.misuses.size() == 1);  // overlapping
  machine.run();
  machine.storage->start({IoOp::write, true, ByteCount(8UL * kBlock), kBlock, machine.memory.data(), 7});
  CHECK(machine.watcher.misuses.size() == 2);  // outside
  std::vector<std::byte> elsewhere(kBlock);
  machine.storage->start({IoOp::write, true, ByteCount(0), kBlock, elsewhere.data(), 7});
  CHECK(machine.watcher.misuses.size() == 3);
}

TEST_CASE("an old copy puts back what was stable then", "[sim]") {
  Machine machine;
  machine.write(0, 5, true);
  machine.run();
  const auto copy = machine.disk.copy();
  machine.write(0, 6, true);
  machine.run();
  machine.storage.reset();
  machine.backend.reset();
  machine.disk.restore(*copy);
  CHECK(machine.count(0, 5) == 8);
  machine.boot();
}

}  // namespace sluice::sim
