// The checker finds what it is there to find. One lie of a cluster each.

#include "tests/sim/history.h"

#include <array>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/sim/disk.h"

namespace sluice::sim {

using protocol::IoOp;
using protocol::WritePolicy;
using storage_node::VolumeState;
using std::chrono_literals::operator""s;

namespace {

constexpr VolumeId kVolume{1};
constexpr std::uint32_t kBlock = 4096;

/// A disk with one volume, and a "cluster" that the test plays by hand.
struct Stage {
  Stage() : network(1), disk(network, 1, "disk", ByteCount(1U << 20U), history), memory(8UL * kBlock) {
    backend = disk.open_backend(0, 1, {});
    REQUIRE(backend->register_buffers(memory));
    VolumeState state;
    state.volume = kVolume;
    state.size = ByteCount(8UL * kBlock);
    state.block_size = kBlock;
    REQUIRE(backend->create(state));
    storage = std::move(*backend->open(kVolume));
    alice = history.open("alice");
    history.note_nonce(alice, 11);
    bob = history.open("bob");
    history.note_nonce(bob, 22);
    grant(Gvn(1), 11);
    fence(Gvn(1));
  }
  ~Stage() {
    storage.reset();
    backend.reset();
  }

  void grant(Gvn gvn, std::uint64_t nonce, WritePolicy policy = WritePolicy::write_through) {
    protocol::VolumeRecord record;
    record.id = kVolume;
    record.current_gvn = gvn;
    record.policy = policy;
    protocol::Holder holder;
    holder.nonce = protocol::Nonce(nonce);
    holder.gvn = gvn;
    record.holders.push_back(holder);
    history.on_volume_committed(record);
  }
  void fence(Gvn gvn) {
    VolumeState state = storage->state();
    state.fence = gvn;
    storage->start_store(state, 0);
    backend->submit();
    network.run_for(1s);
  }
  OperationId begin(IoOp op, std::uint64_t block, OpeningId opening) {
    return history.begin(opening, kVolume, op, false, ByteCount(block * kBlock),
                         op == IoOp::flush ? 0 : kBlock);
  }
  void start(OperationId write, std::uint64_t block, OpeningId opening, bool durable = true) {
    for (std::uint64_t i = 0; i < kBlock / kSectorBytes; ++i) {
      write_stamp(std::span(memory).subspan(i * kSectorBytes).first<kSectorBytes>(), kVolume, block * 8 + i,
                  opening.value(), write.value());
    }
    storage->start({IoOp::write, durable, ByteCount(block * kBlock), kBlock, memory.data(), 0});
    backend->submit();
  }
  void land(OperationId write, std::uint64_t block, OpeningId opening, bool durable = true) {
    start(write, block, opening, durable);
    network.run_for(1s);
  }
  void write(std::uint64_t block, OpeningId opening, bool durable = true) {
    const OperationId id = begin(IoOp::write, block, opening);
    land(id, block, opening, durable);
    history.end(id, StatusCode::ok, {});
  }
  /// Acknowledged, and volatile.
  void write_everything() {
    for (std::uint64_t block = 0; block < 8; ++block)
      write(block, alice, false);
  }
  void flush(StatusCode status) { history.end(begin(IoOp::flush, 0, alice), status, {}); }
  void end_read(OperationId read, std::uint64_t block, Value value) {
    std::vector<std::byte> data(kBlock);
    if (value != kZeroes) {
      for (std::uint64_t i = 0; i < kBlock / kSectorBytes; ++i) {
        write_stamp(std::span(data).subspan(i * kSectorBytes).first<kSectorBytes>(), kVolume, block * 8 + i,
                    1, value);
      }
    }
    history.end(read, StatusCode::ok, data);
  }
  void lose_power() {
    disk.kill(*backend);
    disk.lose_power();
    storage.reset();
    backend = disk.open_backend(0, 1, {});
    REQUIRE(backend->register_buffers(memory));
    storage = std::move(*backend->open(kVolume));
  }
  [[nodiscard]] std::string broken() const { return history.violation() ? history.violation()->rule : ""; }

  History history;
  transport::sim::Network network;
  SimDisk disk;
  std::vector<std::byte> memory;
  std::unique_ptr<storage_node::Backend> backend;
  std::unique_ptr<storage_node::VolumeStorage> storage;
  OpeningId alice;
  OpeningId bob;
};

/// Alice's acknowledged writes are lost: no rule is broken unless the next flush hides it.
void expect_to_be_told(Stage& stage) {
  CHECK(stage.broken().empty());
  SECTION("and it is told") {
    stage.flush(StatusCode::io_error);
    stage.flush(StatusCode::ok);
    CHECK(stage.broken().empty());
  }
  SECTION("and it isn't") {
    stage.flush(StatusCode::ok);
    CHECK(stage.broken() == "invariant 10");
  }
}

}  // namespace

TEST_CASE("an honest cluster breaks no rule", "[sim]") {
  Stage stage;
  stage.write(0, stage.alice);
  stage.write(0, stage.alice);
  const OperationId write = stage.begin(IoOp::write, 0, stage.alice);
  const OperationId read = stage.begin(IoOp::read, 0, stage.alice);
  stage.land(write, 0, stage.alice);
  stage.end_read(read, 0, 2);  // the one before is as good as the concurrent one
  stage.history.end(write, StatusCode::ok, {});
  stage.end_read(stage.begin(IoOp::read, 0, stage.bob), 0, write.value());
  CHECK(stage.broken().empty());
  CHECK(stage.history.pending() == 0);
}

TEST_CASE("an early acknowledgement is found", "[sim]") {
  Stage stage;
  const OperationId write = stage.begin(IoOp::write, 0, stage.alice);
  stage.history.end(write, StatusCode::ok, {});
  CHECK(stage.broken() == "P4");
}

TEST_CASE("an acknowledgement of what isn't stable is found", "[sim]") {
  Stage stage;
  stage.write(0, stage.alice, false);
  CHECK(stage.broken() == "invariant 10");
}

TEST_CASE("a write that lands after its answer is found", "[sim]") {
  Stage stage;
  stage.write(0, stage.alice);
  stage.land(OperationId(1), 0, stage.alice);
  CHECK(stage.broken() == "invariant 4");
}

TEST_CASE("a write that is executed twice in a session is found, and in two sessions is none", "[sim]") {
  Stage stage;
  const OperationId write = stage.begin(IoOp::write, 0, stage.alice);
  stage.land(write, 0, stage.alice);
  stage.grant(Gvn(2), 11);
  stage.fence(Gvn(2));
  stage.land(write, 0, stage.alice);
  CHECK(stage.broken().empty());
  stage.land(write, 0, stage.alice);
  CHECK(stage.broken() == "invariant 3");
}

TEST_CASE("a write of an older session is found", "[sim]") {
  Stage stage;
  const OperationId write = stage.begin(IoOp::write, 0, stage.alice);
  stage.grant(Gvn(2), 22);
  stage.fence(Gvn(2));
  stage.land(write, 0, stage.alice);
  CHECK(stage.broken() == "invariant 1");
}

TEST_CASE("a value that comes back is found", "[sim]") {
  Stage stage;
  const OperationId write = stage.begin(IoOp::write, 0, stage.alice);
  stage.land(write, 0, stage.alice);
  const OperationId other = stage.begin(IoOp::write, 0, stage.alice);
  stage.land(other, 0, stage.alice);
  stage.grant(Gvn(2), 11);
  stage.fence(Gvn(2));
  stage.land(write, 0, stage.alice);
  CHECK(stage.broken() == "invariant 3");
}

TEST_CASE("a read of an older value is found", "[sim]") {
  Stage stage;
  stage.write(0, stage.alice);
  stage.write(0, stage.alice);
  stage.end_read(stage.begin(IoOp::read, 0, stage.alice), 0, 1);
  CHECK(stage.broken() == "invariant 5");
}

TEST_CASE("a fence that falls, and a version for two, are found", "[sim]") {
  Stage stage;
  stage.history.acknowledge(stage.alice, kVolume, Gvn(1));
  CHECK(stage.broken().empty());
  SECTION("falls") {
    stage.fence(Gvn(0));
    CHECK(stage.broken() == "invariant 9");
  }
  SECTION("not durable") {
    stage.history.acknowledge(stage.alice, kVolume, Gvn(3));
    CHECK(stage.broken() == "invariant 9");
  }
  SECTION("accepted twice") {
    stage.history.acknowledge(stage.bob, kVolume, Gvn(1));
    CHECK(stage.broken() == "invariant 6");
  }
  SECTION("given twice") {
    stage.grant(Gvn(1), 22);
    CHECK(stage.broken() == "invariant 6");
  }
}

TEST_CASE("a flush that hides a loss is found", "[sim]") {
  Stage stage;
  stage.grant(Gvn(1), 11, WritePolicy::write_back);
  SECTION("nothing was flushed") {
    stage.write_everything();
    stage.flush(StatusCode::ok);
    CHECK(stage.broken() == "invariant 10");
  }
  SECTION("the power took it") {
    stage.write_everything();
    stage.lose_power();
    expect_to_be_told(stage);
  }
}

TEST_CASE("of two flushes at once the one whose answer comes later may be the one that tells", "[sim]") {
  Stage stage;
  stage.grant(Gvn(1), 11, WritePolicy::write_back);
  stage.write_everything();
  stage.lose_power();
  const OperationId first = stage.begin(IoOp::flush, 0, stage.alice);
  stage.flush(StatusCode::ok);
  CHECK(stage.broken().empty());
  SECTION("and does") {
    stage.history.end(first, StatusCode::io_error, {});
    stage.flush(StatusCode::ok);
    CHECK(stage.broken().empty());
  }
  SECTION("and doesn't") {
    stage.history.end(first, StatusCode::ok, {});
    CHECK(stage.broken() == "invariant 10");
  }
}

TEST_CASE("what the power took between the node's answer and the caller's is a loss that a flush tells",
          "[sim]") {
  Stage stage;
  stage.grant(Gvn(1), 11, WritePolicy::write_back);
  std::vector<OperationId> writes;
  for (std::uint64_t block = 0; block < 8; ++block) {
    writes.push_back(stage.begin(IoOp::write, block, stage.alice));
    stage.land(writes.back(), block, stage.alice, false);
  }
  stage.lose_power();
  for (const OperationId write : writes)
    stage.history.end(write, StatusCode::ok, {});
  expect_to_be_told(stage);
}

TEST_CASE("what an older copy of the disk undid between the node's answer and the caller's breaks no rule",
          "[sim]") {
  Stage stage;
  const auto copy = stage.disk.copy();
  const OperationId answered = stage.begin(IoOp::write, 0, stage.alice);
  stage.land(answered, 0, stage.alice);
  const OperationId never_executed = stage.begin(IoOp::write, 1, stage.alice);
  stage.disk.kill(*stage.backend);
  stage.storage.reset();
  stage.backend.reset();
  stage.disk.restore(*copy);
  stage.history.end(answered, StatusCode::ok, {});
  CHECK(stage.broken().empty());
  stage.history.end(never_executed, StatusCode::ok, {});
  CHECK(stage.broken() == "P4");
}

TEST_CASE("a failure for certain that had its effect is found", "[sim]") {
  Stage stage;
  const OperationId write = stage.begin(IoOp::write, 0, stage.alice);
  stage.land(write, 0, stage.alice);
  stage.history.end(write, StatusCode::stale_version, {});
  CHECK(stage.broken() == "C2");
}

TEST_CASE("data that nobody wrote is found", "[sim]") {
  Stage stage;
  stage.land(OperationId(77), 0, stage.alice);
  CHECK(stage.broken() == "invariant 8");
}

}  // namespace sluice::sim
