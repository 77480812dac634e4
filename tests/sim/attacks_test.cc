// The attacks of protocol.md on a whole cluster, each by a fixed schedule. Those on a single state machine
// are in tests/unit/protocol.

#include "tests/sim/scenario.h"

namespace sluice::sim {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

namespace {

void stall(Scene& scene, std::size_t client, std::size_t path, Duration span) {
  scene.cluster.network().stall_path(Cluster::client_address(client, path),
                                     Cluster::node_address(scene.home(), path), span);
}

}  // namespace

TEST_CASE("attacks 1, 2, 4, 5, 7: requests are delayed on one path, retried on the other, and arrive late",
          "[sim][attack]") {
  Scene scene;
  for (int i = 0; i < 8; ++i) {
    stall(scene, 0, static_cast<std::size_t>(i % 2), 700ms);
    scene.run(500ms);
  }
  scene.require_work(0);
  scene.finish(0);
}

TEST_CASE("attacks 3, 14, 16, 23: A is stopped mid-write, B steals and writes, A continues",
          "[sim][attack]") {
  Scene scene;
  const auto pause_and_steal = [&] {
    scene.cluster.disk(scene.home()).strike_next(DiskFault::slow, 4);
    scene.run(2ms);
    scene.cluster.client(0)->pause();
    scene.open(1, true);
    scene.require_work(1);
  };
  SECTION("at once") {
    pause_and_steal();
    scene.cluster.client(0)->resume();
  }
  SECTION("long after") {
    pause_and_steal();
    scene.cluster.client(1)->workload().stop();
    scene.run(60s);
    scene.cluster.client(0)->resume();
  }
  SECTION("after restarts") {
    pause_and_steal();
    scene.cluster.kill_node(scene.home());
    scene.cluster.kill_master(0);
    scene.run(100ms);
    scene.cluster.start_master(1);
    scene.cluster.start_node(scene.home());
    scene.require_work(1);
    scene.cluster.client(0)->resume();
  }
  REQUIRE(scene.until([&] { return scene.has_ended(0); }));
  scene.run(500ms);
  CHECK(scene.cluster.client(1)->is_connected());
  scene.finish(1);
}

TEST_CASE("attacks 6, 9, 10, 11, 12: the node restarts while requests, opens and attaches are under way",
          "[sim][attack]") {
  Scene scene;
  for (int i = 0; i < 5; ++i) {
    stall(scene, 0, static_cast<std::size_t>(i % 2), 300ms);
    scene.run(20ms);
    scene.cluster.kill_node(scene.home());
    scene.run(30ms);
    scene.cluster.start_node(scene.home());
    scene.require_work(0);
  }
  scene.finish(0);
}

TEST_CASE("attack 13: the node's process is killed and its IO lives on", "[sim][attack]") {
  Scene scene;
  SimDisk& disk = scene.cluster.disk(scene.home());
  disk.strike_next(DiskFault::hang, 2);
  REQUIRE(scene.until([&] { return disk.count(DiskFault::hang) == 2; }));
  scene.cluster.kill_node(scene.home());
  scene.cluster.start_node(scene.home());
  const Instant killed = scene.cluster.now();
  const std::uint64_t before = scene.outcome(0, StatusCode::ok);
  REQUIRE(scene.until([&] { return scene.outcome(0, StatusCode::ok) > before + 20; }));
  CHECK(disk.count(DiskFault::lock_busy) > 0);
  CHECK(scene.cluster.now() - killed > 5s);
  scene.finish(0);
}

TEST_CASE("attacks 14, 15: a session isn't acknowledged before the backend is done with the one before",
          "[sim][attack]") {
  Scene scene;
  SimDisk& disk = scene.cluster.disk(scene.home());
  disk.strike_next(DiskFault::hang);
  REQUIRE(scene.until([&] { return disk.count(DiskFault::hang) == 1; }));
  const Instant hung = scene.cluster.now();
  scene.open(1, true);
  CHECK(scene.cluster.now() - hung > 5s);
  scene.require_work(1);
  scene.finish(1);
}

TEST_CASE("attack 17, 20: paths break and come back while the backend takes its time", "[sim][attack]") {
  Scene scene;
  scene.cluster.disk(scene.home()).set_rate(DiskFault::slow, 200'000);
  for (int i = 0; i < 10; ++i) {
    scene.cluster.network().faults().strike_next(transport::sim::FaultKind::queue_pair_error, 2);
    scene.run(200ms);
  }
  scene.cluster.disk(scene.home()).calm();
  scene.require_work(0);
  scene.finish(0);
}

TEST_CASE("attacks 18, 19, 21: the caller is told that an outcome is unknown, and reuses its memory at once",
          "[sim][attack]") {
  ClusterSetup setup = Scene::usual();
  setup.fails_on_loss = true;
  Scene scene(setup);
  for (int i = 0; i < 4; ++i) {
    scene.cluster.network().partition_one_way(Cluster::node_host(scene.home()), Cluster::client_host(0));
    scene.run(1500ms);
    scene.cluster.network().heal_all();
    scene.require_work(0);
  }
  CHECK(scene.outcome(0, StatusCode::outcome_unknown) > 0);
  scene.finish(0);
}

TEST_CASE("attack 22: the old node is cut off from the master, but not from its clients and its disk",
          "[sim][attack]") {
  Scene scene;
  const std::size_t old_home = scene.home();
  scene.cluster.network().partition(Cluster::master_host(0), Cluster::node_host(old_home));
  protocol::VolumeCommand migrate;
  migrate.verb = protocol::VolumeVerb::migrate;
  migrate.name = *protocol::VolumeName::from("vol0");
  migrate.node = protocol::NodeId(2 - old_home);
  scene.cluster.console().ask(migrate, 1s);
  scene.run(5s);
  CHECK(scene.home() == old_home);
  scene.cluster.start_client(1, true);
  scene.run(2s);
  CHECK_FALSE(scene.cluster.client(1)->is_connected());
  scene.cluster.network().heal_all();
  scene.finish(1);
}

TEST_CASE("attack 24: discards and zeroes among writes, delayed and retried", "[sim][attack]") {
  ClusterSetup setup = Scene::usual();
  setup.workload.discard_percent = 25;
  setup.workload.zeroes_percent = 25;
  Scene scene(setup);
  for (int i = 0; i < 5; ++i) {
    stall(scene, 0, static_cast<std::size_t>(i % 2), 600ms);
    scene.run(500ms);
  }
  scene.require_work(0);
  scene.finish(0);
}

TEST_CASE("attacks 25, 26: a deposed master wakes up and doesn't know", "[sim][attack]") {
  Scene scene;
  scene.cluster.master(0)->pause();
  scene.cluster.start_master(1);
  scene.run(2s);
  scene.cluster.kill_client(0);
  scene.cluster.start_client(0, true);
  scene.cluster.start_client(1, true);
  scene.cluster.master(0)->resume();
  REQUIRE(scene.until([&] { return scene.cluster.master(0) == nullptr; }));  // it exits
  REQUIRE(scene.until([&] { return scene.has_ended(0) || scene.has_ended(1); }));
  scene.finish(scene.has_ended(0) ? 1 : 0);
}

TEST_CASE("attack 27: the masters' store is restored from an old copy", "[sim][attack]") {
  Scene scene;
  const StoreMedium::Contents old = scene.cluster.store().contents();
  for (std::size_t i = 1; i < 4; ++i) {
    scene.cluster.kill_client(i % 2);
    scene.open(i % 2, true);
    scene.require_work(i % 2);
  }
  scene.cluster.kill_master(0);
  scene.cluster.store().restore(old);
  scene.cluster.start_master(1);
  scene.run(2s);
  CHECK(scene.cluster.store().contents().manager_version > ManagerVersion(1));
  scene.finish(0);
}

TEST_CASE("attack 28: a node's disk is restored from an old copy, and waits for the operator",
          "[sim][attack]") {
  Scene scene;
  const std::size_t node = scene.home();
  const auto old = scene.cluster.disk(node).copy();
  scene.cluster.kill_client(0);
  scene.open(0, true);
  scene.require_work(0);
  scene.run(3s);  // the node has reported the new fence
  scene.cluster.kill_master(0);
  scene.cluster.start_master(0);
  scene.run(3s);
  scene.cluster.lose_node_power(node);
  scene.cluster.restore_power(Cluster::node_host(node));
  scene.cluster.disk(node).restore(*old);
  scene.cluster.start_node(node);
  scene.run(5s);
  CHECK(scene.cluster.store().contents().rolled_back.contains(protocol::NodeId(node + 1)));
  CHECK_FALSE(scene.cluster.client(0)->is_connected());
  protocol::NodeCommand accept;
  accept.verb = protocol::NodeVerb::accept;
  accept.node = protocol::NodeId(node + 1);
  scene.cluster.console().ask(accept, 1s);
  scene.require_work(0);
  scene.finish(0);
}

TEST_CASE("attack 29: answers of the node are lost while a session is opened", "[sim][attack]") {
  Scene scene;
  scene.cluster.network().partition_one_way(Cluster::node_host(scene.home()), Cluster::client_host(1));
  scene.cluster.start_client(1, true);
  scene.run(900ms);
  CHECK_FALSE(scene.cluster.client(1)->is_connected());
  scene.cluster.network().heal_all();
  REQUIRE(scene.until([&] { return scene.cluster.client(1)->is_connected(); }));
  scene.require_work(1);
  scene.finish(1);
}

TEST_CASE("attack 30: one client id is started twice", "[sim][attack]") {
  ClusterSetup setup = Scene::usual();
  setup.one_client_id = true;
  Scene scene(setup);
  scene.open(1, true);
  REQUIRE(scene.until([&] { return scene.has_ended(0); }));
  scene.require_work(1);
  scene.finish(1);
}

TEST_CASE("attack 31: a fenced client never gets its volume back", "[sim][attack]") {
  Scene scene;
  for (std::size_t i = 0; i < 4; ++i) {
    const std::size_t thief = 1 - i % 2;
    scene.cluster.kill_client(thief);
    scene.open(thief, true);
    REQUIRE(scene.until([&] { return scene.has_ended(1 - thief); }));
  }
  scene.run(10s);
  CHECK(scene.cluster.client(0)->is_connected());
  CHECK(scene.has_ended(1));
  scene.finish(0);
}

TEST_CASE("attack 32: acknowledged writes are lost with the power, and the next flush tells",
          "[sim][attack]") {
  ClusterSetup setup = Scene::write_back(Scene::usual());
  setup.workload.flush_percent = 0;
  Scene scene(setup);
  scene.require_work(0);
  scene.cluster.kill_client(0);
  const std::size_t node = scene.home();
  scene.cluster.lose_node_power(node);
  scene.cluster.restore_power(Cluster::node_host(node));
  scene.cluster.start_node(node);
  scene.open(0, true);
  CHECK(scene.cluster.disk(node).state(VolumeId(1)).write_back_open);
  scene.finish(0);
}

TEST_CASE("attack 33: the fence can't be made durable", "[sim][attack]") {
  Scene scene;
  SimDisk& disk = scene.cluster.disk(scene.home());
  disk.set_rate(DiskFault::store_error, 1'000'000);
  scene.cluster.start_client(1, true);
  scene.run(3s);
  CHECK(disk.count(DiskFault::store_error) > 0);
  CHECK_FALSE(scene.cluster.client(1)->is_connected());
  disk.calm();
  scene.finish(1);
}

TEST_CASE("attacks 8, 34: a client that keeps no rule hurts nobody", "[sim][attack]") {
  ClusterSetup setup = Scene::usual();
  setup.has_stranger = true;
  Scene scene(setup);
  scene.cluster.start_stranger();
  scene.run(5s);
  scene.require_work(0);
  std::uint64_t refusals = 0;
  for (const auto& [name, count] : scene.cluster.marks()) {
    if (name.starts_with("refusal.")) refusals += count;
  }
  CHECK(refusals > 0);
  scene.finish(0);
}

}  // namespace sluice::sim
