#include <algorithm>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/contract/backend/stage.h"

namespace sluice::storage_node::contract {
namespace {

using protocol::IoOp;

constexpr VolumeId kVolume{12};
constexpr std::uint32_t kPage = 4096;
constexpr Gvn kFence = make_gvn(ManagerVersion(3), OpenVersion(17));

VolumeState fenced(VolumeState state) {
  state.fence = kFence;
  state.manager_version = ManagerVersion(4);
  return state;
}

VolumeState tombstone(VolumeId volume) {
  return {.volume = volume, .fence = kFence, .manager_version = ManagerVersion(4), .removed = true};
}

StatusCode code_of(const Status& status) {
  return status ? StatusCode::ok : status.error().code;
}

TEST_CASE("An empty store lists nothing, opens nothing, and removes nothing with success") {
  Stage stage;
  CHECK(stage.list().empty());
  const auto opened = stage.backend().open(kVolume);
  REQUIRE_FALSE(opened);
  CHECK(opened.error().code == StatusCode::not_found);
  CHECK(stage.backend().remove(kVolume));
}

TEST_CASE("A created volume is listed as it was asked for, also after a restart") {
  Stage stage;
  VolumeState wanted = fenced(stage.shape(kVolume, kPage));
  wanted.incomplete = true;
  REQUIRE(stage.backend().create(wanted));
  CHECK(stage.list() == std::vector{wanted});
  if (!stage.store().is_durable()) return;
  stage.restart();
  CHECK(stage.list() == std::vector{wanted});
  CHECK(stage.open(kVolume)->state() == wanted);
}

TEST_CASE("Creating a volume again is ok with the same shape, whatever its state, and refused with another") {
  Stage stage;
  REQUIRE(stage.backend().create(fenced(stage.shape(kVolume, kPage))));
  const auto storage = stage.open(kVolume);
  CHECK(stage.backend().create(stage.shape(kVolume, kPage)));
  CHECK(storage->state().fence == kFence);
  VolumeState smaller = stage.shape(kVolume, kPage);
  smaller.size = ByteCount(kPage);
  CHECK(code_of(stage.backend().create(smaller)) == StatusCode::already_exists);
}

TEST_CASE("Impossible shapes are refused") {
  Stage stage;
  VolumeState state = stage.shape(kVolume, kPage);
  SECTION("no id") {
    state.volume = VolumeId(0);
  }
  SECTION("a part of a block") {
    state.size = ByteCount(kPage + 512);
  }
  SECTION("no block") {
    state.size = ByteCount(0);
  }
  SECTION("blocks of 1024 bytes") {
    state.block_size = 1024;
  }
  SECTION("larger than any") {
    state.size = ByteCount(kMaxVolumeSize.value() + kPage);
  }
  CHECK(code_of(stage.backend().create(state)) == StatusCode::invalid_argument);
  CHECK(stage.list().empty());
}

TEST_CASE("A volume is open once at a time, and not removed while it is") {
  Stage stage;
  auto storage = stage.create_and_open(kVolume, kPage);
  const auto again = stage.backend().open(kVolume);
  REQUIRE_FALSE(again);
  CHECK(again.error().code == StatusCode::busy);
  CHECK(code_of(stage.backend().remove(kVolume)) == StatusCode::busy);
  storage.reset();
  CHECK(stage.backend().open(kVolume));
}

TEST_CASE("A stored state is found again, and the data with it (P3, invariant 9)") {
  Stage stage;
  auto storage = stage.create_and_open(kVolume, kPage);
  const auto data = filled(kPage, 1);
  REQUIRE(stage.write(*storage, 0, data) == StatusCode::ok);
  VolumeState state = storage->state();
  for (std::uint32_t open = 1; open <= 5; ++open) {
    state.fence = make_gvn(ManagerVersion(1), OpenVersion(open));
    state.write_back_open = open % 2 == 1;
    REQUIRE(stage.store_state(*storage, state) == StatusCode::ok);
    CHECK(storage->state() == state);
    CHECK(stage.list() == std::vector{state});
  }
  storage.reset();
  if (stage.store().is_durable()) stage.restart();
  storage = stage.open(kVolume);
  CHECK(storage->state() == state);
  CHECK(stage.read(*storage, 0, kPage) == data);
}

TEST_CASE("A removed volume leaves its fence and nothing else") {
  Stage stage;
  auto storage = stage.create_and_open(kVolume, kPage);
  REQUIRE(stage.store_state(*storage, fenced(storage->state())) == StatusCode::ok);
  storage.reset();
  REQUIRE(stage.backend().remove(kVolume));
  CHECK(stage.list() == std::vector{tombstone(kVolume)});
  CHECK(stage.backend().open(kVolume).error().code == StatusCode::not_found);
  CHECK(stage.backend().remove(kVolume));
  if (stage.store().is_durable()) stage.restart();
  CHECK(stage.list() == std::vector{tombstone(kVolume)});
}

TEST_CASE("A volume that comes back is empty and keeps the higher fence") {
  Stage stage;
  auto storage = stage.create_and_open(kVolume, kPage);
  REQUIRE(stage.write(*storage, 0, filled(kPage, 1)) == StatusCode::ok);
  REQUIRE(stage.store_state(*storage, fenced(storage->state())) == StatusCode::ok);
  storage.reset();
  REQUIRE(stage.backend().remove(kVolume));

  VolumeState wanted = stage.shape(kVolume, kPage);
  const bool comes_with_higher_fence = GENERATE(false, true);
  if (comes_with_higher_fence) wanted.fence = Gvn(kFence.value() + 1);
  REQUIRE(stage.backend().create(wanted));
  if (stage.store().is_durable()) stage.restart();
  storage = stage.open(kVolume);
  CHECK(storage->state().fence == (comes_with_higher_fence ? wanted.fence : kFence));
  CHECK(storage->state().manager_version == ManagerVersion(4));
  CHECK(stage.read(*storage, 0, kPage) == std::vector<std::byte>(kPage));
  CHECK(stage.list() == std::vector{storage->state()});
}

TEST_CASE("A volume shrinks and grows, and what comes back reads as zeroes") {
  Stage stage;
  auto storage = stage.create_and_open(kVolume, kPage);
  const ByteCount full = storage->state().size;
  const ByteCount half(full.value() / 2);
  const auto first = filled(kPage, 1);
  REQUIRE(stage.write(*storage, half.value() - kPage, first) == StatusCode::ok);
  REQUIRE(stage.write(*storage, half.value(), filled(kPage, 2)) == StatusCode::ok);
  REQUIRE(stage.write(*storage, full.value() - kPage, filled(kPage, 3)) == StatusCode::ok);

  REQUIRE(storage->resize(half));
  CHECK(storage->state().size == half);
  CHECK(storage->resize(half));
  REQUIRE(storage->resize(full));
  storage.reset();
  if (stage.store().is_durable()) stage.restart();
  storage = stage.open(kVolume);
  CHECK(storage->state().size == full);
  CHECK(stage.read(*storage, half.value() - kPage, kPage) == first);
  CHECK(stage.read(*storage, half.value(), kPage) == std::vector<std::byte>(kPage));
  CHECK(stage.read(*storage, full.value() - kPage, kPage) == std::vector<std::byte>(kPage));
  REQUIRE(stage.store_state(*storage, fenced(storage->state())) == StatusCode::ok);
  CHECK(code_of(storage->resize(ByteCount(kPage + 1))) == StatusCode::invalid_argument);
}

TEST_CASE("Each reactor lists its own volumes") {
  Stage stage;
  const std::size_t volumes = std::min<std::size_t>(stage.store().volume_count(), 4);
  for (std::uint64_t id = 1; id <= volumes; ++id)
    REQUIRE(stage.backend().create(stage.shape(VolumeId(id), kPage)));
  if (!stage.store().is_durable()) return;
  stage.close();
  constexpr std::size_t kReactors = 2;
  for (std::size_t reactor = 0; reactor < kReactors; ++reactor) {
    const auto backend = stage.store().open(reactor, kReactors);
    const auto states = backend->list();
    REQUIRE(states);
    CHECK(states->size() == (volumes + reactor) / kReactors);
    for (const VolumeState& state : *states)
      CHECK(state.volume.value() % kReactors == reactor);
  }
}

TEST_CASE("Space is told, and no more is free than there is") {
  Stage stage;
  const auto space = stage.backend().space();
  REQUIRE(space);
  CHECK(space->capacity > ByteCount(0));
  CHECK(space->free > ByteCount(0));
  CHECK(space->free <= space->capacity);
}

}  // namespace
}  // namespace sluice::storage_node::contract
