// The numbered attacks on the protocol, on a whole cluster, each by a fixed schedule, and a look at whether
// that brought about what the attack is made of: what is said of Scene::traffic, of refusals, or of faults.
//
// Some can't be forced here, and are played on the state machines alone, in tests/unit/protocol:
// 11, 12: a delayed session open or path attach reaches a restarted node. Here it dies with its connection.
// 15: admission passes its check as the fence starts. Here nothing comes between the two.
// 19: a write's source is used again while the device still sends it. The simulated device takes a copy as
//     it is posted.
// 20: a queue pair's number is used again. The simulated network gives each number once.

#include "tests/sim/scenario.h"

namespace sluice::sim {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

namespace {

/// Not so long that the device gives the connection up, and the client sends again by another.
constexpr Duration kShortDelay = 15ms;

/// What the client sends by this path leaves late.
void stall(Scene& scene, std::size_t client, std::size_t path, Duration span) {
  scene.cluster.network().stall_path(Cluster::client_address(client, path),
                                     Cluster::node_address(scene.home(), path), span);
}

/// What the client is sent by this path leaves late.
void stall_answers(Scene& scene, std::size_t client, std::size_t path, Duration span) {
  scene.cluster.network().stall_path(Cluster::node_address(scene.home(), path),
                                     Cluster::client_address(client, path), span);
}

/// One after the other: each takes a path that has nothing in flight, the first of them if there are several.
void write_in_turn(Scene& scene, std::uint64_t first_block, std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i)
    REQUIRE(scene.outcome(scene.write(0, first_block + i)) == StatusCode::ok);
}

}  // namespace

TEST_CASE("attack 1: a write is delayed on one path, retried on the other, overwritten, and arrives late",
          "[sim][attack]") {
  Scene scene(Scene::quiet());
  stall(scene, 0, 0, 700ms);
  REQUIRE(scene.outcome(scene.write(0, 0)) == StatusCode::ok);
  REQUIRE(scene.outcome(scene.write(0, 0)) == StatusCode::ok);
  CHECK(scene.traffic.counts().overtaken == 0);
  scene.run(700ms);
  CHECK(scene.traffic.counts().overtaken == 1);
  CHECK(scene.mark("refusal.expired") == 1);
  scene.finish(0);
}

TEST_CASE("attack 2: both copies of a write are at the node at once", "[sim][attack]") {
  ClusterSetup setup = Scene::quiet();
  setup.reactors = 2;
  Scene scene(setup);
  scene.cluster.disk(scene.home()).strike_next(DiskFault::hang);
  stall(scene, 0, 0, 600ms);
  const Scene::Asked written = scene.write(0, 0);
  scene.run(700ms);
  CHECK_FALSE(scene.answer(written));
  CHECK(scene.traffic.counts().twins > 0);
  CHECK(scene.outcome(written) == StatusCode::ok);
  scene.finish(0);
}

TEST_CASE("attack 4: the window doesn't slide past a write that is delayed", "[sim][attack]") {
  Scene scene(Scene::quiet());
  stall(scene, 0, 0, kShortDelay);
  const Scene::Asked delayed = scene.write(0, 0);
  write_in_turn(scene, 1, scene.cluster.setup().window_size - 1);
  const Scene::Asked beyond = scene.write(0, 20);
  scene.run(5ms);
  CHECK_FALSE(scene.answer(delayed));
  CHECK_FALSE(scene.answer(beyond));
  CHECK(scene.outcome(delayed) == StatusCode::ok);
  CHECK(scene.outcome(beyond) == StatusCode::ok);
  CHECK(scene.traffic.counts().window_full == 1);
  scene.finish(0);
}

TEST_CASE("attack 5: a delayed request carries an old low", "[sim][attack]") {
  Scene scene(Scene::quiet());
  stall(scene, 0, 1, kShortDelay);
  const Scene::Asked lowest = scene.write(0, 0);
  const Scene::Asked delayed = scene.write(0, 1);
  REQUIRE(scene.outcome(lowest) == StatusCode::ok);
  write_in_turn(scene, 2, 2);
  CHECK_FALSE(scene.answer(delayed));
  CHECK(scene.traffic.counts().old_low == 0);
  CHECK(scene.outcome(delayed) == StatusCode::ok);
  CHECK(scene.traffic.counts().old_low == 1);
  CHECK(scene.mark("refusal.expired") == 0);
  scene.finish(0);
}

TEST_CASE("attack 7: an answer is lost, and a retry comes after the entry was used again", "[sim][attack]") {
  Scene scene(Scene::quiet());
  stall_answers(scene, 0, 0, 500ms);
  stall(scene, 0, 1, 1400ms);
  REQUIRE(scene.outcome(scene.write(0, 0)) == StatusCode::ok);  // by a third attempt
  write_in_turn(scene, 1, scene.cluster.setup().window_size);
  CHECK(scene.traffic.counts().twins > 0);
  CHECK(scene.traffic.counts().entry_reused == 0);
  scene.run(1400ms);
  CHECK(scene.traffic.counts().entry_reused > 0);
  CHECK(scene.mark("refusal.expired") > 0);
  scene.finish(0);
}

TEST_CASE("attacks 3, 16: what A has sent, data for its slots too, is under way until B has the volume",
          "[sim][attack]") {
  Scene scene;
  stall(scene, 0, 0, 300ms);
  stall(scene, 0, 1, 300ms);
  scene.run(20ms);
  scene.open(1, true);
  scene.require_work(1);
  CHECK(scene.traffic.counts().dead_requests == 0);
  scene.run(300ms);
  CHECK(scene.traffic.counts().dead_requests > 0);
  CHECK(scene.traffic.counts().dead_writes > 0);
  REQUIRE(scene.until([&] { return scene.has_ended(0); }));
  scene.finish(1);
}

TEST_CASE("attacks 14, 23: A is stopped mid-write, B steals and writes, A continues", "[sim][attack]") {
  Scene scene;
  const auto pause_and_steal = [&] {
    SimDisk& disk = scene.cluster.disk(scene.home());
    disk.strike_next(DiskFault::slow, 4);
    scene.run(2ms);
    REQUIRE(disk.count(DiskFault::slow) > 0);
    REQUIRE(scene.cluster.client(0)->workload().outstanding() > 0);
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

TEST_CASE("attacks 9, 10: the node restarts and forgets its window while requests are under way",
          "[sim][attack]") {
  Scene scene;
  for (int i = 0; i < 5; ++i) {
    const Gvn before = scene.cluster.client(0)->client().session().gvn();
    stall(scene, 0, static_cast<std::size_t>(i % 2), 300ms);
    scene.run(20ms);
    scene.cluster.kill_node(scene.home());
    REQUIRE(scene.cluster.client(0)->workload().outstanding() > 0);
    scene.run(30ms);
    scene.cluster.start_node(scene.home());
    scene.require_work(0);
    CHECK(scene.cluster.client(0)->client().session().gvn() > before);
  }
  CHECK(scene.traffic.counts().dead_requests > 0);
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

TEST_CASE("attack 14: a session isn't acknowledged before the backend is done with the one before",
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

TEST_CASE("attack 17: a write in a slot is retried while the backend takes its time with it",
          "[sim][attack]") {
  Scene scene;
  scene.cluster.disk(scene.home()).set_rate(DiskFault::slow, 200'000);
  for (int i = 0; i < 10; ++i) {
    scene.cluster.network().faults().strike_next(transport::sim::FaultKind::queue_pair_error, 2);
    scene.run(200ms);
  }
  CHECK(scene.traffic.counts().slot_twins > 0);
  scene.cluster.disk(scene.home()).calm();
  scene.require_work(0);
  scene.finish(0);
}

TEST_CASE("attack 18: data that was read arrives when the caller has its memory back", "[sim][attack]") {
  Scene scene(Scene::quiet());
  write_in_turn(scene, 0, 4);
  stall_answers(scene, 0, 0, 700ms);
  REQUIRE(scene.outcome(scene.read(0, 0, 4)) == StatusCode::ok);
  CHECK(scene.traffic.counts().dead_writes == 0);
  scene.run(700ms);
  CHECK(scene.traffic.counts().dead_writes > 0);
  scene.finish(0);
}

TEST_CASE("attack 21: the caller is told that an outcome is unknown, and reuses its memory at once",
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
  CHECK(scene.traffic.counts().twins > 0);  // they reach the node, whose answers don't reach the client
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
  CHECK(scene.traffic.counts().overtaken_discards > 0);
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

TEST_CASE("attack 29: the node has made its fence durable, and its acknowledgement is lost",
          "[sim][attack]") {
  Scene scene;
  SimDisk& disk = scene.cluster.disk(scene.home());
  const Gvn before = disk.state(VolumeId(1)).fence;
  scene.cluster.start_client(1, true);
  REQUIRE(scene.until([&] { return disk.state(VolumeId(1)).fence > before; }));
  scene.cluster.network().partition_one_way(Cluster::node_host(scene.home()), Cluster::client_host(1));
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

TEST_CASE("attacks 6, 8, 34: a client that keeps no rule hurts nobody", "[sim][attack]") {
  ClusterSetup setup = Scene::usual();
  setup.has_stranger = true;
  Scene scene(setup);
  scene.cluster.start_stranger();
  const auto has_refused = [&](const char* reason) {
    return scene.mark(std::string("refusal.") + reason) > 0;
  };
  const auto has_refused_all = [&] {
    return has_refused("passes_executing") && has_refused("seq_misuse") && has_refused("malformed") &&
           has_refused("wrong_path") && has_refused("invalid_request");
  };
  for (int i = 0; i < 60 && !has_refused_all(); ++i)
    scene.run(1s);
  CHECK(has_refused("passes_executing"));  // 6
  CHECK(has_refused("seq_misuse"));        // 8
  CHECK(has_refused("malformed"));         // 34, and so on
  CHECK(has_refused("wrong_path"));
  CHECK(has_refused("invalid_request"));
  scene.require_work(0);
  scene.finish(0);
}

}  // namespace sluice::sim
