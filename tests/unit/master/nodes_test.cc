// Nodes: hello, heartbeats, placement, drain, removal, rollback.

#include "tests/unit/master/world.h"

namespace sluice::master::test {

using protocol::NodeCommand;
using protocol::NodeEntry;
using protocol::NodeVerb;

namespace {

NodeEntry entry_of(World& world, NodeId id) {
  const auto list = world.ask<protocol::NodeList>(protocol::ListNodes{NodeId(id.value() - 1)});
  REQUIRE_FALSE(list.nodes.empty());
  REQUIRE(list.nodes[0].id == id);
  return list.nodes[0];
}

}  // namespace

TEST_CASE("a new volume goes to the node with most free space", "[master][nodes]") {
  World world;
  world.add_node(1).free = ByteCount(100U << 20U);
  world.add_node(2).free = ByteCount(300U << 20U);
  world.add_node(3).free = ByteCount(200U << 20U);
  world.run(2s);
  for (const char* name : {"a", "b"})
    CHECK(world.command(World::create_command(name)).node == NodeId(2));
  CHECK(world.command(World::create_command("c", NodeId(3))).node == NodeId(3));
  // Draining, it gets nothing new, asked for or not.
  CHECK(world.command(NodeCommand{NodeVerb::drain, NodeId(2)}).status == StatusCode::ok);
  CHECK(entry_of(world, NodeId(2)).draining);
  CHECK(world.command(World::create_command("d")).node == NodeId(3));
  CHECK(world.command(World::create_command("e", NodeId(2))).status == StatusCode::invalid_argument);
  CHECK(world.command(NodeCommand{NodeVerb::undrain, NodeId(2)}).status == StatusCode::ok);
  CHECK(world.command(World::create_command("e")).node == NodeId(2));
  CHECK(world.command(World::create_command("f", NodeId(9))).status == StatusCode::not_found);
}

TEST_CASE("nodes with about as much free space share the volumes", "[master][nodes]") {
  World world;
  world.add_node(1).free = ByteCount(1000U << 20U);
  world.add_node(2).free = ByteCount(1001U << 20U);
  world.run(2s);
  std::map<NodeId, int> placed;
  for (int i = 0; i < 6; ++i)
    ++placed[world.command(World::create_command("v" + std::to_string(i))).node];
  CHECK(placed[NodeId(1)] == 3);
  CHECK(placed[NodeId(2)] == 3);
}

TEST_CASE("without a node that can take it no volume is made, and the answer says so", "[master][nodes]") {
  World world;
  const protocol::CommandAnswer answer = world.command(World::create_command("db"));
  CHECK(answer.status == StatusCode::unavailable);
  CHECK_THAT(std::string(answer.reason.view()), Catch::Contains("sluice node ls"));
}

TEST_CASE("a node is listed with what it said, and as down once its connection is gone", "[master][nodes]") {
  World world;
  FakeNode& node = world.add_node(1);
  world.make_volume("db");
  world.run(2s);
  NodeEntry entry = entry_of(world, NodeId(1));
  CHECK(entry.up);
  CHECK(entry.boot == node.boot);
  CHECK(entry.capacity == node.capacity);
  CHECK(entry.free == node.free);
  CHECK(entry.volumes == 1);
  CHECK(entry.addresses[0].view() == "node1:7480");
  node.peer().close();
  REQUIRE(world.until([&] { return world.has_logged("node lost"); }));
  entry = entry_of(world, NodeId(1));
  CHECK_FALSE(entry.up);
  CHECK(entry.capacity == node.capacity);  // the last that was known
  CHECK(world.open("db").status == StatusCode::unavailable);
  node.redial(world.address);
  REQUIRE(world.until([&] { return node.is_taken; }));
  CHECK(world.open("db").status == StatusCode::ok);
}

TEST_CASE("a node whose heartbeats stay away is lost, though its connection stands", "[master][nodes]") {
  World world;
  FakeNode& node = world.add_node(1);
  world.make_volume("db");
  world.run(2s);
  node.is_mute = true;
  world.run(5s);
  CHECK(entry_of(world, NodeId(1)).up);
  REQUIRE(world.until([&] { return world.has_logged("no heartbeat any more"); }, 10s));
  CHECK(world.open("db").status == StatusCode::unavailable);
}

TEST_CASE("a node that stops altogether is lost by its keepalives", "[master][nodes]") {
  World world;
  FakeNode& node = world.add_node(1);
  world.run(2s);
  world.network.pause(node.peer().provider());
  node.is_stopped = true;
  REQUIRE(world.until([&] { return world.has_logged("no sign of life"); }, 10s));
  CHECK_FALSE(entry_of(world, NodeId(1)).up);
  world.network.resume(node.peer().provider());
}

TEST_CASE("the newest connection of a node counts, and the old one's end changes nothing",
          "[master][nodes]") {
  World world;
  FakeNode& node = world.add_node(1);
  world.make_volume("db");
  const protocol::OpenAnswer before = world.open("db");
  // Another process of the same node; the first one's connection hasn't noticed yet.
  world.nodes.push_back(std::make_unique<FakeNode>(world.network, "node1", NodeId(1), world.address));
  FakeNode& next = *world.nodes.back();
  next.boot = protocol::BootId(101);
  REQUIRE(world.until([&] { return next.is_taken; }));
  REQUIRE(world.until([&] { return node.peer().is_over; }));
  world.run(3s);
  CHECK(entry_of(world, NodeId(1)).up);
  CHECK(entry_of(world, NodeId(1)).boot == next.boot);
  const protocol::OpenAnswer after = world.open("db");  // the same opening, on the new boot
  CHECK(after.status == StatusCode::ok);
  CHECK(after.gvn > before.gvn);
}

TEST_CASE("a node that restarts says hello anew, and its sessions are given new versions",
          "[master][nodes]") {
  World world;
  FakeNode& node = world.add_node(1);
  world.make_volume("db");
  const protocol::OpenAnswer before = world.open("db");
  node.peer().close();
  REQUIRE(world.until([&] { return world.has_logged("node lost"); }));
  node.boot = protocol::BootId(102);
  node.redial(world.address);
  REQUIRE(world.until([&] { return node.is_taken; }));
  CHECK(world.open("db").gvn > before.gvn);
}

TEST_CASE("a node is forgotten only when it is down and holds nothing", "[master][nodes]") {
  World world;
  FakeNode& node = world.add_node(1);
  world.make_volume("db");
  const NodeCommand remove{NodeVerb::remove, NodeId(1)};
  CHECK(world.command(remove).status == StatusCode::busy);  // it is connected
  node.peer().close();
  REQUIRE(world.until([&] { return world.has_logged("node lost"); }));
  const protocol::CommandAnswer holds = world.command(remove);
  CHECK(holds.status == StatusCode::busy);
  CHECK_THAT(std::string(holds.reason.view()), Catch::Contains("1 volumes"));
  CHECK(world.command(World::volume_command(protocol::VolumeVerb::remove, "db")).status == StatusCode::ok);
  CHECK(world.command(remove).status == StatusCode::ok);
  CHECK(world.command(remove).status == StatusCode::not_found);
  CHECK(world.ask<protocol::NodeList>(protocol::ListNodes{}).nodes.empty());
  CHECK(world.store.contents().unsettled.empty());
}

TEST_CASE("a node that was rolled back is refused until an operator accepts it",
          "[master][nodes][attack-28]") {
  World world;
  world.redials = true;
  FakeNode& node = world.add_node(1);
  const VolumeId volume = world.make_volume("db");
  const Gvn gvn = world.open("db").gvn;
  node.fences[volume] = gvn;
  node.say_hello();  // what it has accepted is known now
  world.run(100ms);
  node.fences[volume] = Gvn(0);
  node.peer().close();
  REQUIRE(world.until([&] { return node.hello_status == StatusCode::rolled_back; }));
  CHECK(entry_of(world, NodeId(1)).rolled_back);
  CHECK(world.open("db", 2, true).status == StatusCode::rolled_back);
  CHECK(world.command(World::create_command("other", NodeId(1))).status == StatusCode::rolled_back);
  CHECK(world.command(NodeCommand{NodeVerb::accept, NodeId(1)}).status == StatusCode::ok);
  REQUIRE(world.until([&] { return node.is_taken; }));
  CHECK(world.open("db", 2, true).gvn > gvn);
  CHECK(world.command(NodeCommand{NodeVerb::accept, NodeId(1)}).status == StatusCode::not_found);
  CHECK(world.open("db", 2).status == StatusCode::ok);  // that was nothing to it
}

TEST_CASE("an order that failed for a passing reason is given again", "[master][nodes]") {
  World world;
  FakeNode& node = world.add_node(1);
  world.make_volume("db");
  node.order_status = StatusCode::io_error;
  CHECK(world.command(World::volume_command(protocol::VolumeVerb::remove, "db")).status == StatusCode::ok);
  CHECK(world.has_logged("tried again"));
  world.run(1s);
  CHECK(world.store.contents().unsettled.size() == 1);
  node.order_status = StatusCode::ok;
  REQUIRE(world.until([&] { return node.storage.empty(); }));
  REQUIRE(world.until([&] { return world.store.contents().unsettled.empty(); }));
}

}  // namespace sluice::master::test
