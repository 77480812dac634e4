// What a master leaves undone is finished by the next one, wherever it was stopped.

#include "tests/unit/master/world.h"

namespace sluice::master::test {

using protocol::CommandAnswer;
using protocol::OpenAnswer;
using protocol::VolumeVerb;
using Commit = MemoryMetadataStore::Commit;

namespace {

/// An operator who asks again until there is an answer, and a client.
class Persistent {
 public:
  explicit Persistent(World& world) : world_(world) {}

  /// `done`: what a repetition may be told if an earlier attempt had its effect.
  void command(const protocol::VolumeCommand& command, StatusCode done) {
    const StatusCode status = ask<CommandAnswer>(command, done).status;
    CHECK((status == StatusCode::ok || status == done));
  }
  OpenAnswer open(const std::string& name, std::uint64_t nonce) {
    protocol::OpenRequest request;
    request.name = *VolumeName::from(name);
    request.client = *protocol::ClientId::from("tester");
    request.nonce = protocol::Nonce(nonce);
    request.steal = true;
    const auto answer = ask<OpenAnswer>(request, StatusCode::ok);
    REQUIRE(answer.status == StatusCode::ok);
    CHECK(answer.gvn > last_gvn_);
    last_gvn_ = answer.gvn;
    for (const auto& node : world_.nodes) {
      if (node->id() == answer.node) CHECK(node->storage.contains(answer.volume));
    }
    return answer;
  }
  void close(const OpenAnswer& opened, std::uint64_t nonce) {
    const protocol::CloseRequest request{opened.volume, opened.gvn, *protocol::ClientId::from("tester"),
                                         protocol::Nonce(nonce)};
    CHECK(ask<protocol::CloseAnswer>(request, StatusCode::ok).status == StatusCode::ok);
  }

 private:
  template <typename Answer>
  Answer ask(const protocol::ControlMessage& request, StatusCode done) {
    for (int attempt = 0; attempt < 100; ++attempt) {
      REQUIRE(world_.until([&] { return world_.client->is_up; }));
      const RequestId id = world_.client->send(request);
      std::optional<Answer> answer;
      static_cast<void>(world_.until(
          [&] {
            answer = world_.client->take<Answer>(id);
            return answer.has_value() || !world_.client->is_up;
          },
          20s));
      if (answer && (answer->status == StatusCode::ok || answer->status == done)) return *answer;
      world_.run(200ms);
    }
    FAIL("a hundred attempts came to nothing");
    return {};
  }

  World& world_;
  Gvn last_gvn_;
};

/// A day in the life of two volumes.
void run_day(World& world) {
  world.redials = true;
  world.add_node(1);
  world.add_node(2);
  Persistent user(world);
  user.command(World::create_command("db", NodeId(1)), StatusCode::already_exists);
  user.command(World::create_command("web", NodeId(2)), StatusCode::already_exists);
  const OpenAnswer first = user.open("db", 1);
  user.close(first, 1);
  auto resize = World::volume_command(VolumeVerb::resize, "db");
  resize.size = ByteCount(2U << 30U);
  user.command(resize, StatusCode::ok);
  auto migrate = World::volume_command(VolumeVerb::migrate, "db");
  migrate.node = NodeId(2);
  user.command(migrate, StatusCode::invalid_argument);  // it is there already
  REQUIRE(world.until([&] { return world.store.contents().volumes.at(first.volume).node == NodeId(2); }));
  user.open("db", 2);
  user.command(World::volume_command(VolumeVerb::remove, "web"), StatusCode::not_found);
  REQUIRE(world.until([&] { return world.store.contents().unsettled.empty(); }, 60s));

  // What the records say is what the nodes have, neither more nor less.
  const auto& volumes = world.store.contents().volumes;
  REQUIRE(volumes.size() == 1);
  const protocol::VolumeRecord& db = volumes.begin()->second;
  CHECK(db.name.view() == "db");
  CHECK(db.has_storage);
  CHECK(db.moving_to == NodeId(0));
  CHECK(db.resizing_to == ByteCount(0));
  CHECK(world.nodes[0]->storage.empty());
  REQUIRE(world.nodes[1]->storage.size() == 1);
  CHECK(world.nodes[1]->storage.at(db.id).size == db.size);
  CHECK(db.size == ByteCount(2U << 30U));
}

}  // namespace

TEST_CASE("P1, P2: a master that is stopped at any of its commits is replaced, and everything gets done",
          "[master][takeover]") {
  const Commit fate = GENERATE(Commit::lost, Commit::unheard);
  std::uint64_t commits = 0;
  {
    World world;
    world.store.set_commit_hook([&](std::uint64_t commit) {
      commits = commit + 1;
      return Commit::done;
    });
    run_day(world);
  }
  REQUIRE(commits > 30);
  for (std::uint64_t stop_at = 1; stop_at < commits; ++stop_at) {
    INFO("stopped at commit " << stop_at << ", which had " << (fate == Commit::lost ? "no" : "its")
                              << " effect");
    World world;
    bool has_stopped = false;
    world.store.set_commit_hook([&](std::uint64_t commit) {
      if (has_stopped || commit != stop_at) return Commit::done;
      has_stopped = world.must_replace_master = true;
      return fate;
    });
    run_day(world);
    CHECK(has_stopped);
    CHECK(world.master->manager_version() >= ManagerVersion(2));
  }
}

TEST_CASE("a store that fails at any commit, but not for long, delays things and breaks nothing",
          "[master][takeover]") {
  for (std::uint64_t fails_at = 1; fails_at < 60; ++fails_at) {
    INFO("commits " << fails_at << " to " << fails_at + 2 << " are refused");
    World world;
    world.store.set_commit_hook([&](std::uint64_t commit) {
      return commit >= fails_at && commit < fails_at + 3 ? Commit::refused : Commit::done;
    });
    run_day(world);
    CHECK(world.master->manager_version() == ManagerVersion(1));
  }
}

TEST_CASE("P1: a deposed master learns it within a second, hangs up on everybody, and takes nobody",
          "[master][P1][attack-26]") {
  World world;
  world.add_node(1);
  world.make_volume("db");
  world.standby = world.start_master("standby", "10.0.0.2", world.store);
  CHECK(world.standby->manager_version() == ManagerVersion(2));
  // Asked for an open at once, it finds out by that.
  const OpenAnswer answer = world.open("db");
  CHECK(answer.status == StatusCode::not_master);
  CHECK(answer.gvn == Gvn(0));
  REQUIRE(world.until([&] { return world.master->is_over(); }, 1s));
  CHECK(world.master->is_deposed());
  REQUIRE(world.until([&] { return world.client->is_over && world.nodes[0]->peer().is_over; }));
  Peer late(world.network, "client", world.address);
  REQUIRE(world.until([&] {
    late.turn(world.network.now());
    return late.is_over;
  }));
  CHECK_FALSE(late.is_up);
}

TEST_CASE("P1: a deposed master that nobody asks anything learns it all the same",
          "[master][P1][attack-26]") {
  World world;
  REQUIRE(world.until([&] { return world.client->is_up; }));
  world.standby = world.start_master("standby", "10.0.0.2", world.store);
  REQUIRE(world.until([&] { return world.master->is_deposed(); }, 1200ms));
  // It doesn't take over again.
  world.run(5s);
  CHECK(world.standby->manager_version() == ManagerVersion(2));
  CHECK_FALSE(world.standby->is_deposed());
}

TEST_CASE("a master on an old copy of its records raises its version before it opens anything",
          "[master][attack-27]") {
  World world;
  FakeNode& node = world.add_node(1);
  const VolumeId volume = world.make_volume("db");
  const MemoryMetadataStore::Contents backup = world.store.contents();
  // After the copy was taken, the master was replaced more than once.
  world.redials = true;
  for (int i = 0; i < 3; ++i) {
    node.is_taken = false;
    world.replace_master();
    REQUIRE(world.until([&] { return node.is_taken && world.client->is_up; }));
  }
  Gvn last;
  for (std::uint64_t nonce = 1; nonce <= 4; ++nonce)
    last = world.open("db", nonce, true).gvn;
  const VolumeId lost = world.make_volume("lost");
  const Gvn of_lost = world.open("lost", 9).gvn;
  node.fences[volume] = last;
  node.fences[lost] = of_lost;
  world.master.reset();
  world.store.contents() = backup;
  node.is_taken = false;
  world.master = world.start_master("master", "10.0.0.1", world.store);
  REQUIRE(world.until([&] { return node.is_taken && world.client->is_up; }));
  CHECK(world.has_logged("old copy"));
  CHECK(world.open("db", 5).gvn > last);
  CHECK(world.make_volume("new") > lost);  // no id is given twice
}

}  // namespace sluice::master::test
