// Volumes as operators and clients see them, through a whole master.

#include "tests/unit/master/world.h"

namespace sluice::master::test {

using protocol::OrderVerb;
using protocol::VolumeVerb;

TEST_CASE("a volume is made on a node before it can be opened, and its first version is given", "[master]") {
  World world;
  FakeNode& node = world.add_node(1);
  node.holds_back = true;
  REQUIRE(world.until([&] { return world.client->is_up; }));
  const RequestId create = world.client->send(World::create_command("db"));
  world.run(100ms);
  CHECK_FALSE(world.client->take<protocol::CommandAnswer>(create));
  CHECK(world.open("db").status == StatusCode::unavailable);
  node.release();
  std::optional<protocol::CommandAnswer> answer;
  REQUIRE(world.until(
      [&] { return (answer = world.client->take<protocol::CommandAnswer>(create)).has_value(); }));
  CHECK(answer->status == StatusCode::ok);
  CHECK(answer->node == NodeId(1));
  CHECK(node.storage.at(answer->volume).size == ByteCount(1U << 30U));
  const protocol::OpenAnswer opened = world.open("db");
  CHECK(opened.status == StatusCode::ok);
  CHECK(opened.gvn == make_gvn(ManagerVersion(1), OpenVersion(1)));
  CHECK(opened.addresses[0].view() == "node1:7480");
  CHECK(world.has_logged("open granted volume=1 client=tester gvn=1.1"));
  CHECK(world.store.contents().unsettled.empty());
}

TEST_CASE("asked again while it is being made, a create waits for the same volume", "[master]") {
  World world;
  FakeNode& node = world.add_node(1);
  node.holds_back = true;
  Peer& other = world.add_peer();
  REQUIRE(world.until([&] { return world.client->is_up; }));
  const RequestId one = world.client->send(World::create_command("db"));
  const RequestId two = other.send(World::create_command("db"));
  const RequestId different = other.send(World::create_command("db", NodeId(0), 4096));
  std::optional<protocol::CommandAnswer> refused;
  REQUIRE(
      world.until([&] { return (refused = other.take<protocol::CommandAnswer>(different)).has_value(); }));
  CHECK(refused->status == StatusCode::already_exists);
  node.release();
  std::optional<protocol::CommandAnswer> first;
  std::optional<protocol::CommandAnswer> second;
  REQUIRE(world.until([&] {
    if (!first) first = world.client->take<protocol::CommandAnswer>(one);
    if (!second) second = other.take<protocol::CommandAnswer>(two);
    return first && second;
  }));
  CHECK(first->status == StatusCode::ok);
  CHECK(*first == *second);
  CHECK(world.command(World::create_command("db")).status == StatusCode::already_exists);
}

TEST_CASE("a volume whose node can't make it leaves nothing", "[master]") {
  World world;
  FakeNode& node = world.add_node(1);
  node.order_status = StatusCode::no_space;
  const protocol::CommandAnswer answer = world.command(World::create_command("db"));
  CHECK(answer.status == StatusCode::no_space);
  CHECK_THAT(std::string(answer.reason.view()), Catch::Contains("node 1"));
  CHECK(world.open("db").status == StatusCode::not_found);
  node.order_status = StatusCode::ok;
  REQUIRE(world.until([&] { return world.store.contents().unsettled.empty(); }));
  CHECK(node.orders.back() == OrderVerb::remove);
  CHECK(world.make_volume("db") == VolumeId(2));  // its id isn't given again
}

TEST_CASE("a volume whose node goes away before it has confirmed leaves nothing", "[master]") {
  World world;
  FakeNode& node = world.add_node(1);
  node.holds_back = true;
  REQUIRE(world.until([&] { return world.client->is_up; }));
  const RequestId create = world.client->send(World::create_command("db"));
  world.run(50ms);
  node.peer().close();
  std::optional<protocol::CommandAnswer> answer;
  REQUIRE(world.until(
      [&] { return (answer = world.client->take<protocol::CommandAnswer>(create)).has_value(); }));
  CHECK(answer->status == StatusCode::unavailable);
  CHECK(world.open("db").status == StatusCode::not_found);
  // Back again, it is told to give back whatever it made.
  node.holds_back = false;
  node.storage[VolumeId(1)] = {};
  node.redial(world.address);
  REQUIRE(world.until([&] { return node.storage.empty(); }));
  REQUIRE(world.until([&] { return world.store.contents().unsettled.empty(); }));
}

TEST_CASE("a node that is up but doesn't answer an order is named to whoever waits, and nothing is left",
          "[master]") {
  MasterConfig config;
  config.order_timeout = 3s;
  World world(config);
  FakeNode& node = world.add_node(1);
  node.holds_back = true;
  const Instant asked = world.network.now();
  const protocol::CommandAnswer answer = world.command(World::create_command("db"));
  CHECK(world.network.now() - asked < 4s);
  CHECK(answer.status == StatusCode::timed_out);
  CHECK_THAT(std::string(answer.reason.view()),
             Catch::Contains("node 1 didn't answer within 3000 ms") && Catch::Contains("order_timeout_ms"));
  CHECK(node.is_taken);
  CHECK(world.open("db").status == StatusCode::not_found);
  // It makes the volume after all, and is told to give it back.
  node.release();
  REQUIRE(world.until([&] { return world.store.contents().unsettled.empty(); }));
  CHECK(node.orders == std::vector{OrderVerb::create, OrderVerb::remove});
  CHECK(node.storage.empty());
}

TEST_CASE("a copy has as much time as it takes, if it gets on; one that doesn't is ordered again",
          "[master]") {
  MasterConfig config;
  config.order_timeout = 3s;
  World world(config);
  world.add_node(1);
  FakeNode& target = world.add_node(2);
  const VolumeId volume = world.make_volume("db", NodeId(1));
  REQUIRE(world.close(volume, world.open("db").gvn) == StatusCode::ok);
  target.holds_back = true;
  auto migrate = World::volume_command(VolumeVerb::migrate, "db");
  migrate.node = NodeId(2);
  REQUIRE(world.command(migrate).status == StatusCode::ok);
  for (int second = 0; second < 10; ++second) {
    world.run(1s);
    target.report_progress();
  }
  CHECK_FALSE(world.has_logged("didn't answer"));
  REQUIRE(world.until([&] { return world.has_logged("node 2 didn't answer within 3000 ms"); }));
  CHECK(world.info("db").moving_to == NodeId(2));
  target.release();
  REQUIRE(world.until([&] { return world.info("db").node == NodeId(2); }));
}

TEST_CASE("names are unique, and a volume keeps its id when it is renamed", "[master]") {
  World world;
  world.add_node(1);
  const VolumeId db = world.make_volume("db");
  world.make_volume("web");
  auto rename = World::volume_command(VolumeVerb::rename, "db");
  rename.new_name = *VolumeName::from("web");
  CHECK(world.command(rename).status == StatusCode::already_exists);
  const protocol::OpenAnswer opened = world.open("db");
  rename.new_name = *VolumeName::from("base");
  CHECK(world.command(rename).status == StatusCode::ok);  // though it is held
  CHECK(world.command(rename).status == StatusCode::not_found);
  CHECK(world.info("base").id == db);
  CHECK(world.info("base").current_gvn == opened.gvn);
  CHECK(world.open("db").status == StatusCode::not_found);
  CHECK(world.command(World::create_command("db")).volume == VolumeId(3));
}

TEST_CASE("a held volume isn't removed; a removed one is gone at once and its node is fenced first",
          "[master]") {
  World world;
  FakeNode& node = world.add_node(1);
  const VolumeId volume = world.make_volume("db");
  const protocol::OpenAnswer opened = world.open("db");
  const auto remove = World::volume_command(VolumeVerb::remove, "db");
  const protocol::CommandAnswer refused = world.command(remove);
  CHECK(refused.status == StatusCode::busy);
  CHECK_THAT(std::string(refused.reason.view()), Catch::Contains("tester"));
  CHECK(world.close(volume, opened.gvn) == StatusCode::ok);
  node.holds_back = true;
  REQUIRE(world.client->is_up);
  const RequestId removing = world.client->send(remove);
  world.run(50ms);
  CHECK(world.open("db").status == StatusCode::not_found);  // as soon as it began
  node.release();
  std::optional<protocol::CommandAnswer> answer;
  REQUIRE(world.until(
      [&] { return (answer = world.client->take<protocol::CommandAnswer>(removing)).has_value(); }));
  CHECK(answer->status == StatusCode::ok);
  CHECK(node.quiesced == std::vector<VolumeId>{volume});
  CHECK(node.storage.empty());
  CHECK(node.fences.at(volume) == opened.gvn);
  CHECK(world.command(remove).status == StatusCode::not_found);
  // The tombstone doesn't frighten the master, and the id isn't given again.
  node.redial(world.address);
  REQUIRE(world.until([&] { return node.is_taken; }));
  CHECK(world.master->manager_version() == ManagerVersion(1));
  CHECK(world.make_volume("db") == VolumeId(2));
}

TEST_CASE("the storage of a volume that was removed while its node was away is given back later",
          "[master]") {
  World world;
  FakeNode& node = world.add_node(1);
  world.make_volume("db");
  node.peer().close();
  REQUIRE(world.until([&] { return world.has_logged("node lost"); }));
  CHECK(world.command(World::volume_command(VolumeVerb::remove, "db")).status == StatusCode::ok);
  CHECK(node.storage.size() == 1);
  node.redial(world.address);
  REQUIRE(world.until([&] { return node.storage.empty(); }));
}

TEST_CASE("a volume grows while it is held, and shrinks only when it isn't and that is meant", "[master]") {
  World world;
  FakeNode& node = world.add_node(1);
  const VolumeId volume = world.make_volume("db");
  const protocol::OpenAnswer opened = world.open("db");
  auto resize = World::volume_command(VolumeVerb::resize, "db");
  resize.size = ByteCount(2U << 30U);
  CHECK(world.command(resize).status == StatusCode::ok);
  CHECK(node.storage.at(volume).size == resize.size);
  CHECK(world.info("db").size == resize.size);
  CHECK(world.command(resize).status == StatusCode::ok);  // it has that size
  resize.size = ByteCount(4096 * 3 + 512);
  CHECK(world.command(resize).status == StatusCode::invalid_argument);
  resize.size = ByteCount(8192);
  CHECK(world.command(resize).status == StatusCode::invalid_argument);
  resize.allow_shrink = true;
  CHECK(world.command(resize).status == StatusCode::busy);
  CHECK(world.close(volume, opened.gvn) == StatusCode::ok);
  CHECK(world.command(resize).status == StatusCode::ok);
  CHECK(node.storage.at(volume).size == ByteCount(8192));
  CHECK(world.open("db", 2).size == ByteCount(8192));
  CHECK(world.store.contents().unsettled.empty());
}

TEST_CASE("a volume that its node couldn't grow keeps its size", "[master]") {
  World world;
  FakeNode& node = world.add_node(1);
  const VolumeId volume = world.make_volume("db");
  node.order_status = StatusCode::no_space;
  auto resize = World::volume_command(VolumeVerb::resize, "db");
  resize.size = ByteCount(2U << 30U);
  CHECK(world.command(resize).status == StatusCode::no_space);
  CHECK(world.info("db").size == ByteCount(1U << 30U));
  CHECK(world.store.contents().volumes.at(volume).resizing_to == ByteCount(0));
  CHECK(world.store.contents().unsettled.empty());
}

// Found by the simulation, seed 4738120622599313682: the size was committed, but not that nothing was owed
// any more. The node was asked again once it was back, and the size that the master then took over was 0.
TEST_CASE("a volume keeps its size when its node confirms a resize for a second time", "[master]") {
  World world;
  FakeNode& node = world.add_node(1);
  const VolumeId volume = world.make_volume("db");
  auto resize = World::volume_command(VolumeVerb::resize, "db");
  resize.size = ByteCount(2U << 30U);
  const auto times_ordered = [&] { return std::ranges::count(node.orders, OrderVerb::resize); };
  world.store.set_commit_hook([&](std::uint64_t) {
    const bool is_committed = world.store.contents().volumes.at(volume).size == resize.size;
    return is_committed && times_ordered() < 2 ? MemoryMetadataStore::Commit::refused
                                               : MemoryMetadataStore::Commit::done;
  });
  CHECK(world.command(resize).status == StatusCode::ok);
  REQUIRE(world.until([&] { return times_ordered() == 2; }));
  world.run(100ms);
  CHECK(world.info("db").size == resize.size);
  CHECK(node.storage.at(volume).size == resize.size);
}

TEST_CASE("a move: quiesced, copied, committed, given back, and the holder goes on at the new place",
          "[master]") {
  World world;
  FakeNode& old_node = world.add_node(1);
  FakeNode& new_node = world.add_node(2);
  const VolumeId volume = world.make_volume("db", NodeId(1));
  const protocol::OpenAnswer opened = world.open("db");
  new_node.holds_back = true;
  auto migrate = World::volume_command(VolumeVerb::migrate, "db");
  CHECK(world.command(migrate).status == StatusCode::ok);  // the only other node
  world.run(100ms);
  CHECK(old_node.quiesced == std::vector<VolumeId>{volume});
  CHECK(world.info("db").moving_to == NodeId(2));
  CHECK(world.info("db").node == NodeId(1));
  CHECK(world.open("db", 1, true).status == StatusCode::moving);
  CHECK(world.command(migrate).status == StatusCode::ok);  // asked again
  CHECK(world.command(World::volume_command(VolumeVerb::remove, "db")).status == StatusCode::busy);
  new_node.release();
  REQUIRE(world.until([&] { return old_node.storage.empty(); }));
  CHECK(new_node.storage.at(volume).is_copy);
  REQUIRE(world.until([&] { return world.store.contents().unsettled.empty(); }));
  CHECK(world.info("db").node == NodeId(2));
  CHECK(world.info("db").moving_to == NodeId(0));
  protocol::OpenRequest reopen;
  reopen.kind = protocol::OpenKind::reopen;
  reopen.volume = volume;
  reopen.client = *protocol::ClientId::from("tester");
  reopen.nonce = protocol::Nonce(1);
  reopen.previous_gvn = opened.gvn;
  const auto reopened = world.ask<protocol::OpenAnswer>(reopen);
  CHECK(reopened.status == StatusCode::ok);
  CHECK(reopened.gvn > opened.gvn);
  CHECK(reopened.node == NodeId(2));
  // And back again, though the old node has a tombstone.
  CHECK(world.close(volume, reopened.gvn) == StatusCode::ok);
  migrate.node = NodeId(1);
  CHECK(world.command(migrate).status == StatusCode::ok);
  REQUIRE(world.until([&] { return new_node.storage.empty() && world.store.contents().unsettled.empty(); }));
  CHECK(world.info("db").node == NodeId(1));
  CHECK(world.open("db", 5).gvn > reopened.gvn);
}

TEST_CASE("a volume that was never opened moves without a copy", "[master]") {
  World world;
  FakeNode& old_node = world.add_node(1);
  FakeNode& new_node = world.add_node(2);
  const VolumeId volume = world.make_volume("db", NodeId(1));
  CHECK(world.command(World::volume_command(VolumeVerb::migrate, "db")).status == StatusCode::ok);
  REQUIRE(world.until([&] { return old_node.storage.empty() && world.store.contents().unsettled.empty(); }));
  CHECK(new_node.storage.contains(volume));
  CHECK_FALSE(new_node.storage.at(volume).is_copy);
  CHECK(world.open("db").node == NodeId(2));
}

TEST_CASE("a cancelled move leaves the volume where it is, and nothing at the other place", "[master]") {
  World world;
  FakeNode& old_node = world.add_node(1);
  FakeNode& new_node = world.add_node(2);
  const VolumeId volume = world.make_volume("db", NodeId(1));
  const protocol::OpenAnswer opened = world.open("db");
  new_node.holds_back = true;
  CHECK(world.command(World::volume_command(VolumeVerb::migrate, "db")).status == StatusCode::ok);
  world.run(100ms);
  CHECK(world.command(World::volume_command(VolumeVerb::cancel_move, "db")).status == StatusCode::ok);
  CHECK(world.open("db").gvn > opened.gvn);
  CHECK(world.command(World::volume_command(VolumeVerb::migrate, "db")).status == StatusCode::busy);
  new_node.release();  // the copy, late, and then that it be given back
  REQUIRE(world.until([&] { return world.store.contents().unsettled.empty(); }));
  CHECK(new_node.storage.empty());
  CHECK(old_node.storage.contains(volume));
  CHECK(world.info("db").node == NodeId(1));
}

TEST_CASE("a move to a node that can't take the volume is given up, and the volume usable where it is",
          "[master]") {
  World world;
  world.add_node(1);
  FakeNode& new_node = world.add_node(2);
  world.make_volume("db", NodeId(1));
  const protocol::OpenAnswer opened = world.open("db");
  new_node.order_status = StatusCode::no_space;
  CHECK(world.command(World::volume_command(VolumeVerb::migrate, "db")).status == StatusCode::ok);
  REQUIRE(world.until([&] { return world.has_logged("move cancelled"); }));
  CHECK(world.info("db").moving_to == NodeId(0));
  CHECK(world.open("db").gvn > opened.gvn);
}

TEST_CASE("lists come in parts", "[master]") {
  World world;
  world.add_node(1);
  for (int i = 0; i < 45; ++i)
    world.make_volume("v" + std::to_string(i));
  std::vector<std::uint64_t> ids;
  VolumeId after;
  for (;;) {
    const auto list = world.ask<protocol::VolumeList>(protocol::ListVolumes{{}, after});
    REQUIRE(list.status == StatusCode::ok);
    for (const protocol::VolumeEntry& entry : list.volumes)
      ids.push_back(entry.id.value());
    if (!list.more) break;
    after = list.volumes[list.volumes.size() - 1].id;
  }
  REQUIRE(ids.size() == 45);
  for (std::size_t i = 0; i < ids.size(); ++i)
    CHECK(ids[i] == i + 1);
  CHECK(
      world.ask<protocol::VolumeList>(protocol::ListVolumes{*VolumeName::from("none"), VolumeId(0)}).status ==
      StatusCode::not_found);
}

TEST_CASE("there are no more volumes than the configuration allows", "[master]") {
  MasterConfig config;
  config.max_volumes = 2;
  World world(config);
  world.add_node(1);
  world.make_volume("a");
  world.make_volume("b");
  const protocol::CommandAnswer refused = world.command(World::create_command("c"));
  CHECK(refused.status == StatusCode::limit_reached);
  CHECK_THAT(std::string(refused.reason.view()), Catch::Contains("max_volumes"));
  CHECK(world.command(World::volume_command(VolumeVerb::remove, "a")).status == StatusCode::ok);
  CHECK(world.make_volume("c") == VolumeId(3));
}

}  // namespace sluice::master::test
