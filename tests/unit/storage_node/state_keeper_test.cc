#include "storage_node/state_keeper.h"

#include <catch2/catch.hpp>

#include "tests/unit/storage_node/node_stage.h"

namespace sluice::storage_node::test {
namespace {

struct Stored final : StateKeeper::Handler {
  void on_state_stored(const VolumeState& state, StatusCode status) override {
    states.push_back(state);
    statuses.push_back(status);
  }
  std::vector<VolumeState> states;
  std::vector<StatusCode> statuses;
};

void complete(FakeBackend& backend) {
  std::array<BackendCompletion, 8> done;
  const std::size_t count = backend.poll(done);
  for (std::size_t i = 0; i < count; ++i)
    BackendWork::of(done[i].tag).on_backend_done(done[i].status);
}

}  // namespace

TEST_CASE("states are stored one after the other; what was asked for meanwhile goes out in one") {
  const auto disk = NodeStage::make_disk();
  FakeBackend backend(disk);
  const auto storage = std::move(*backend.open(kVolume));
  Stored stored;
  StateKeeper keeper(stored);
  keeper.attach(*storage);

  VolumeState state = keeper.wanted();
  state.fence = gvn_of(1);
  keeper.store(state);
  state.fence = gvn_of(2);
  keeper.store(state);
  state.fence = gvn_of(3);
  keeper.store(state);
  CHECK(backend.held() == 1);
  CHECK(keeper.wanted().fence == gvn_of(3));
  complete(backend);
  REQUIRE(stored.states.size() == 1);
  CHECK(stored.states[0].fence == gvn_of(1));
  CHECK(keeper.is_busy());
  complete(backend);
  CHECK(stored.states.at(1).fence == gvn_of(3));
  CHECK_FALSE(keeper.is_busy());
  CHECK(disk->volumes.at(kVolume).state.fence == gvn_of(3));
}

TEST_CASE("a store that fails is told, and the next one may go") {
  const auto disk = NodeStage::make_disk();
  FakeBackend backend(disk);
  const auto storage = std::move(*backend.open(kVolume));
  Stored stored;
  StateKeeper keeper(stored);
  keeper.attach(*storage);
  backend.next_store = StatusCode::io_error;
  VolumeState state = keeper.wanted();
  state.fence = gvn_of(1);
  keeper.store(state);
  complete(backend);
  CHECK(stored.statuses.at(0) == StatusCode::io_error);
  keeper.store(state);
  complete(backend);
  CHECK(stored.statuses.at(1) == StatusCode::ok);
}

}  // namespace sluice::storage_node::test
