// What nobody should send: garbage, messages for somebody else, floods. Others aren't disturbed.

#include <array>

#include "tests/unit/master/world.h"
#include "transport/channel.h"

namespace sluice::master::test {
namespace {

/// Speaks the transport's protocol and nothing else.
class RawPeer : private runtime::LinkHandler {
 public:
  RawPeer(transport::sim::Network& network, const transport::Address& master,
          std::span<const std::byte> private_data = {}) {
    rail_ = *reactor_.add_rail(std::move(*network.open_provider("client", {})), 256);
    transport::ChannelConfig config;
    config.max_send_head_bytes = 4096;
    auto link =
        reactor_.connect(rail_, **reactor_.control_domain(rail_), master, config, private_data, *this);
    REQUIRE(link);
    link_ = std::move(*link);
  }
  ~RawPeer() override { link_.reset(); }

  void turn() {
    reactor_.poll();
    reactor_.flush();
  }
  bool send(std::span<const std::byte> bytes) {
    transport::OutgoingMessage message;
    message.head = bytes;
    return link_->send(message).has_value();
  }
  bool is_up = false;
  bool is_over = false;

 private:
  void on_up(runtime::Link&, std::span<const std::byte>) override { is_up = true; }
  void on_message(runtime::Link& link, std::span<const std::byte>,
                  transport::MessageHandle message) override {
    link.release(message);
  }
  void on_sent(runtime::Link&, std::uint64_t, transport::CompletionStatus) override {}
  void on_down(runtime::Link&, const Error&, std::span<const std::byte>) override { is_up = false; }
  void on_drained(runtime::Link&) override { is_over = true; }

  runtime::Reactor reactor_;
  runtime::Rail rail_{};
  std::unique_ptr<runtime::Link> link_;
};

bool until(World& world, RawPeer& peer, const std::function<bool()>& done) {
  return world.until([&] {
    peer.turn();
    return done();
  });
}

/// Repeatable, and different in each round.
std::vector<std::byte> garbage(std::uint64_t round) {
  std::vector<std::byte> bytes(1 + round * 37 % 4096);
  std::uint64_t state = round + 1;
  for (std::byte& byte : bytes) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    byte = static_cast<std::byte>(state >> 56U);
  }
  return bytes;
}

std::vector<std::byte> encoded(const protocol::ControlMessage& message) {
  std::array<std::byte, protocol::kMaxControlSize> bytes{};
  const std::size_t length = protocol::encode({RequestId(1), message}, bytes);
  return {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length)};
}

}  // namespace

TEST_CASE("garbage ends its connection, is counted, and disturbs nobody", "[master][attack-34]") {
  World world;
  world.add_node(1);
  const VolumeId volume = world.make_volume("db");
  const Gvn gvn = world.open("db").gvn;
  std::vector<std::vector<std::byte>> messages;
  for (std::uint64_t round = 0; round < 40; ++round)
    messages.push_back(garbage(round));
  const std::vector<std::byte> good = encoded(World::create_command("evil"));
  for (std::size_t length = 0; length < good.size(); length += 7)
    messages.emplace_back(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(length));
  for (std::size_t at = 0; at < good.size(); at += 11) {
    messages.push_back(good);
    messages.back()[at] ^= std::byte{0x40};
  }
  std::uint64_t cut_off = 0;
  for (const auto& message : messages) {
    if (message.empty()) continue;  // no head, no message
    RawPeer peer(world.network, world.address);
    REQUIRE(until(world, peer, [&] { return peer.is_up; }));
    REQUIRE(peer.send(message));
    REQUIRE(until(world, peer, [&] { return peer.is_over; }));
    CHECK(world.master->counts().cut_off == ++cut_off);
  }
  CHECK(cut_off > 60);
  CHECK(world.client->is_up);
  CHECK(world.nodes[0]->is_taken);
  CHECK(world.info("db").current_gvn == gvn);
  CHECK(world.store.contents().volumes.size() == 1);
  CHECK(world.close(volume, gvn) == StatusCode::ok);
  REQUIRE(world.until([&] { return world.master->connections() == 2; }));
  // The log isn't a way to fill a disk.
  CHECK(world.log.size() < 40);
}

TEST_CASE("what is meant for a node is refused in words, what answers nothing is cut off", "[master]") {
  World world;
  const protocol::ClientId client = *protocol::ClientId::from("x");
  const std::vector<protocol::ControlMessage> requests = {
      protocol::SessionOpen{VolumeId(1), Gvn(1), client, protocol::Nonce(1)},
      protocol::VolumeStatusRequest{VolumeId(1)},
      protocol::QuiesceRequest{VolumeId(1), Gvn(1), ManagerVersion(1)}};
  for (const auto& request : requests) {
    const protocol::CommandAnswer answer = world.command(request);
    CHECK(answer.status == StatusCode::invalid_request);
    CHECK_THAT(std::string(answer.reason.view()), Catch::Contains("isn't for a master"));
  }
  protocol::OpenAnswer refused;
  refused.status = StatusCode::busy;
  const std::vector<protocol::ControlMessage> answers = {
      refused, protocol::HeartbeatAnswer{}, protocol::VolumeList{},
      protocol::QuiesceAnswer{StatusCode::ok, VolumeId(1), Gvn(1)},
      protocol::VolumeOrderAnswer{StatusCode::ok, VolumeId(1), ByteCount(0), {}}};
  std::uint64_t cut_off = 0;
  for (const auto& answer : answers) {
    Peer& peer = world.add_peer();
    peer.send(answer);
    REQUIRE(world.until([&] { return peer.is_over; }));
    CHECK(world.master->counts().cut_off == ++cut_off);
  }
  CHECK(world.client->is_up);
}

TEST_CASE("an answer that a node wasn't asked for changes nothing", "[master]") {
  World world;
  FakeNode& node = world.add_node(1);
  FakeNode& other = world.add_node(2);
  node.holds_back = true;
  REQUIRE(world.until([&] { return world.client->is_up; }));
  const RequestId create = world.client->send(World::create_command("db", NodeId(1)));
  world.run(50ms);
  // Another node's, one of another request, one of another volume.
  for (std::uint64_t id = 0; id < 5; ++id) {
    other.peer().send(
        {RequestId(id), protocol::VolumeOrderAnswer{StatusCode::ok, VolumeId(1), ByteCount(0), {}}});
    node.peer().send(
        {RequestId(id), protocol::VolumeOrderAnswer{StatusCode::ok, VolumeId(7), ByteCount(0), {}}});
    node.peer().send(
        {RequestId(id + 100), protocol::VolumeOrderAnswer{StatusCode::ok, VolumeId(1), ByteCount(0), {}}});
    node.peer().send({RequestId(id), protocol::QuiesceAnswer{StatusCode::ok, VolumeId(1), Gvn(1)}});
  }
  world.run(200ms);
  CHECK_FALSE(world.client->take<protocol::CommandAnswer>(create));
  CHECK(world.open("db").status == StatusCode::unavailable);
}

TEST_CASE("one connection speaks for one node, and a hello has an end", "[master]") {
  World world;
  protocol::Hello hello;
  hello.node = NodeId(5);
  hello.boot = protocol::BootId(1);
  SECTION("two nodes") {
    Peer& peer = world.add_peer();
    peer.send(hello);
    hello.node = NodeId(6);
    peer.send(hello);
    REQUIRE(world.until([&] { return peer.is_over; }));
  }
  SECTION("a part that doesn't fit") {
    Peer& peer = world.add_peer();
    hello.part = 3;
    peer.send(hello);
    REQUIRE(world.until([&] { return peer.is_over; }));
  }
  SECTION("heartbeats of a stranger") {
    Peer& peer = world.add_peer();
    peer.send(protocol::Heartbeat{NodeId(5), protocol::BootId(1), ByteCount(1), ByteCount(1), 0});
    std::optional<protocol::HeartbeatAnswer> answer;
    REQUIRE(world.until([&] { return (answer = peer.take<protocol::HeartbeatAnswer>()).has_value(); }));
    CHECK(answer->status == StatusCode::no_session);
  }
}

TEST_CASE("connections beyond the limit, and paths, are refused", "[master]") {
  MasterConfig config;
  config.max_connections = 3;
  World world(config);
  world.add_node(1);
  Peer& last = world.add_peer();
  {
    RawPeer one_more(world.network, world.address);
    REQUIRE(until(world, one_more, [&] { return one_more.is_over; }));
    CHECK(world.master->counts().connections_refused == 1);
  }
  last.close();
  REQUIRE(world.until([&] { return world.master->connections() == 2; }));
  const std::array<std::byte, 8> attach{std::byte{1}};
  RawPeer path(world.network, world.address, attach);
  REQUIRE(until(world, path, [&] { return path.is_over; }));
  CHECK(world.master->counts().connections_refused == 2);
  CHECK(world.add_peer().is_up);
}

TEST_CASE("shutting down, it tells who waits, hangs up and is over", "[master]") {
  World world;
  FakeNode& node = world.add_node(1);
  node.holds_back = true;
  REQUIRE(world.until([&] { return world.client->is_up; }));
  const RequestId create = world.client->send(World::create_command("db"));
  world.run(50ms);
  world.master->shut_down();
  CHECK_FALSE(world.master->is_over());
  REQUIRE(world.until([&] { return world.master->is_over(); }));
  const auto answer = world.client->take<protocol::CommandAnswer>(create);
  REQUIRE(answer);
  CHECK(answer->status == StatusCode::shutting_down);
  CHECK_FALSE(world.master->is_deposed());
}

TEST_CASE("a refusal that is repeated is logged once, and counted", "[master]") {
  World world;
  world.add_node(1);
  world.make_volume("db");
  static_cast<void>(world.open("db"));
  for (int i = 0; i < 50; ++i)
    CHECK(world.open("db", 2).status == StatusCode::busy);
  CHECK(world.master->counts().opens_refused == 50);
  const auto is_refusal = [](const std::string& line) { return line.find("open refused") == 0; };
  CHECK(std::ranges::count_if(world.log, is_refusal) == 1);
  CHECK(world.has_logged("reason=busy holder=tester holder_gvn=1.1"));
  world.run(11s);
  CHECK(world.has_logged("(49 more like this)"));
}

}  // namespace sluice::master::test
