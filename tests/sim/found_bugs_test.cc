// Bugs that random seeds found, each by the shortest schedule that has it. A seed's course changes with the
// code; these stay what they are.

#include <array>

#include "tests/sim/scenario.h"

namespace sluice::sim {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

namespace {

constexpr std::uint64_t kBlocks = 32;

/// Acknowledged writes that no flush follows. Of them all, a power loss takes some.
void write_everything(Scene& scene, std::size_t client) {
  for (std::uint64_t block = 0; block < kBlocks; block += 4)
    REQUIRE(scene.outcome(scene.write(client, block, 4)) == StatusCode::ok);
}

void lose_power(Scene& scene, std::size_t node) {
  scene.cluster.lose_node_power(node);
  scene.cluster.restore_power(Cluster::node_host(node));
  scene.cluster.start_node(node);
  REQUIRE(scene.cluster.disk(node).count(DiskFault::lost_write) > 0);
}

}  // namespace

// Seed 8946779980932740937: the answer to the verification carried what had been found out about the session
// before the commit failed, beside a status that said no; the master aborted as it encoded that.
TEST_CASE("found: a verification that the store doesn't commit is refused, and asked for again",
          "[sim][found]") {
  const StoreFault fault = GENERATE(StoreFault::refused, StoreFault::lost, StoreFault::unheard);
  Scene scene;
  StoreMedium& store = scene.cluster.store();
  scene.cluster.start_client(1, true);
  // It has its version: what the store is asked to commit next is the verification.
  REQUIRE(scene.until([&] {
    return scene.cluster.client(1)->client().session().phase() == protocol::SessionPhase::joining;
  }));
  store.strike_next(fault);
  REQUIRE(scene.until([&] { return store.count(fault) == 1; }));
  REQUIRE(scene.until([&] { return scene.cluster.client(1)->is_connected(); }));
  CHECK(scene.logged("session refused: unavailable") + scene.logged("session refused: outcome_unknown") == 1);
  CHECK(scene.cluster.master(0) != nullptr);
  scene.require_work(1);
  scene.finish(1);
}

// Seeds 14073990956294026539 and 14890569191415196177: a volume was moved after its node had lost
// acknowledged writes with the power, and before any flush had told. The new node knew nothing of that, and
// its first flush succeeded.
TEST_CASE("found: a volume that moves takes along that acknowledged writes may be lost (P4)",
          "[sim][found]") {
  Scene scene(Scene::write_back(Scene::quiet()));
  const std::size_t old_home = scene.home();
  write_everything(scene, 0);
  scene.cluster.kill_client(0);
  SECTION("lost before the move") {
    lose_power(scene, old_home);
    scene.start_move();
  }
  SECTION("lost during the move, before anything was copied") {
    scene.cluster.network().partition(Cluster::node_host(0), Cluster::node_host(1));
    scene.start_move();
    REQUIRE(scene.until([&] { return scene.logged("quiesced for a move: ok") == 1; }));
    lose_power(scene, old_home);
    scene.run(1s);
    scene.cluster.network().heal_all();
  }
  REQUIRE(scene.until([&] { return scene.home() != old_home; }));
  scene.open(1, true);
  CHECK(scene.outcome(scene.flush(1)) == StatusCode::io_error);
  CHECK(scene.outcome(scene.flush(1)) == StatusCode::ok);
  scene.finish(1);
}

// Seed 17561310394490326472: a piece of a copy that had no part of the volume left to fetch asked for zero
// bytes, which no node may ask for.
TEST_CASE("found: a copy asks for no more than the volume has", "[sim][found]") {
  Scene scene(Scene::quiet());
  const std::size_t old_home = scene.home();
  write_everything(scene, 0);
  scene.start_move();
  REQUIRE(scene.until([&] { return scene.home() != old_home; }));
  CHECK(scene.outcome(scene.read(0, 0, kBlocks)) == StatusCode::ok);
  scene.finish(0);
}

// Seed 5961059657358659996: the old node couldn't register its memory for the new one's connection, and
// dropped what it had read without a word; the new node waited for it ever after, and nobody could open the
// volume.
TEST_CASE("found: a piece that the old node can't send is asked for again", "[sim][found]") {
  Scene scene(Scene::quiet());
  const std::size_t old_home = scene.home();
  write_everything(scene, 0);
  SimDisk& disk = scene.cluster.disk(old_home);
  disk.strike_next(DiskFault::slow, 1);
  scene.start_move();
  REQUIRE(scene.until([&] { return disk.count(DiskFault::slow) == 1; }));
  transport::sim::Faults& faults = scene.cluster.network().faults();
  faults.strike_next(transport::sim::FaultKind::registration_failure);
  REQUIRE(scene.until([&] { return scene.home() != old_home; }));
  CHECK(faults.count(transport::sim::FaultKind::registration_failure) == 1);
  CHECK(scene.outcome(scene.read(0, 0, kBlocks)) == StatusCode::ok);
  scene.finish(0);
}

// Seed 7802007716256635573: a node was killed as it stored that its copy was complete. The next process on
// its disk read the state before that store landed, was ordered to go on with the copy, waited for the lock,
// and then copied over a volume that was complete.
TEST_CASE("found: a copy whose end was in flight when its node was killed isn't made again (F2)",
          "[sim][found]") {
  Scene scene(Scene::quiet());
  const std::size_t old_home = scene.home();
  const std::size_t new_home = 1 - old_home;
  write_everything(scene, 0);
  scene.start_move();
  SimDisk& disk = scene.cluster.disk(new_home);
  REQUIRE(scene.until([&] { return scene.logged("is copied from") == 1; }));
  REQUIRE(scene.until([&] { return disk.is_storing_a_state(); }));
  const VolumeId volume = disk.volumes().front();
  REQUIRE(disk.state(volume).incomplete);
  scene.cluster.kill_node(new_home);
  scene.cluster.start_node(new_home);
  REQUIRE(scene.until([&] { return scene.home() == new_home; }));
  CHECK(disk.count(DiskFault::orphan) > 0);
  CHECK(scene.logged("is copied from") == 1);
  CHECK(scene.outcome(scene.read(0, 0, kBlocks)) == StatusCode::ok);
  scene.finish(0);
}

// Seed 10657551333384301670: a stopped process found a reply to its connect when it went on, although the
// peer had hung up meanwhile; the simulated transport looked up the peer of a connection that was no more.
TEST_CASE("found: a stopped client whose connection was accepted and ended meanwhile connects again",
          "[sim][found]") {
  Scene scene(Scene::quiet());
  const std::size_t home = scene.home();
  scene.cluster.network().faults().strike_next(transport::sim::FaultKind::queue_pair_error);
  const Scene::Asked written = scene.write(0, 0);
  ClientProcess& client = *scene.cluster.client(0);
  const auto is_connecting = [&] {
    const protocol::PathSet& paths = client.client().session().paths();
    return paths.state(protocol::PathId(0)) == protocol::PathState::connecting;
  };
  REQUIRE(scene.until(is_connecting));
  client.pause();
  REQUIRE(is_connecting());
  scene.run(5ms);  // the node accepts
  scene.cluster.kill_node(home);
  scene.run(5ms);
  client.resume();
  scene.cluster.start_node(home);
  CHECK(scene.outcome(written) == StatusCode::ok);
  scene.finish(0);
}

}  // namespace sluice::sim
