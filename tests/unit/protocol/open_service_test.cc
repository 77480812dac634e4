#include "protocol/open_service.h"

#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include <catch2/catch.hpp>

#include "master/memory_metadata_store.h"

namespace sluice::protocol::test {
namespace {

using master::MemoryMetadataStore;

constexpr VolumeId kVolume{11};
constexpr NodeId kNode{5};
constexpr NodeId kOtherNode{6};
constexpr BootId kBoot{50};

/// A store that fails where the test wants it to.
class FaultyStore final : public OpenStore {
 public:
  enum class Fault : std::uint8_t { none, refuse, lose_answer };

  explicit FaultyStore(MemoryMetadataStore& store) : store_(store) {}

  Result<ManagerVersion> manager_version() override {
    if (fault == Fault::refuse) return fail(StatusCode::unavailable, "the store is gone");
    return store_.manager_version();
  }
  Status transact(ManagerVersion mine, const Body& body) override {
    if (fault == Fault::refuse || transactions_until_refusal == 0) {
      return fail(StatusCode::unavailable, "the store is gone");
    }
    if (transactions_until_refusal) --*transactions_until_refusal;
    Status status = store_.transact(mine, body);
    if (status && fault == Fault::lose_answer) return fail(StatusCode::outcome_unknown, "no answer");
    return status;
  }

  Fault fault = Fault::none;
  std::optional<int> transactions_until_refusal;

 private:
  MemoryMetadataStore& store_;
};

VolumeRecord make_volume(VolumeId id, const char* name) {
  VolumeRecord volume;
  volume.id = id;
  volume.name = *VolumeName::from(name);
  volume.size = ByteCount(1 << 20);
  volume.block_size = 4096;
  volume.node = kNode;
  return volume;
}

Gvn gvn_of(std::uint32_t manager, std::uint32_t open) {
  return make_gvn(ManagerVersion(manager), OpenVersion(open));
}

struct Opener {
  const char* client = "client-a";
  std::uint64_t nonce = 1;
  AccessMode mode = AccessMode::read_write;
  bool steal = false;
};

OpenRequest open_request(const Opener& opener) {
  OpenRequest request;
  request.kind = OpenKind::open;
  request.mode = opener.mode;
  request.steal = opener.steal;
  request.name = *VolumeName::from("db");
  request.client = *ClientId::from(opener.client);
  request.nonce = Nonce(opener.nonce);
  return request;
}

OpenRequest reopen_request(const Opener& opener, Gvn previous, NodeId node = NodeId(0),
                           BootId boot = BootId(0)) {
  OpenRequest request = open_request(opener);
  request.kind = OpenKind::reopen;
  request.previous_gvn = previous;
  request.node = node;
  request.boot = boot;
  return request;
}

Hello hello_of(NodeId node, BootId boot, ManagerVersion seen = {}, std::vector<FenceReport> fences = {}) {
  Hello hello;
  hello.node = node;
  hello.boot = boot;
  hello.manager_version = seen;
  hello.addresses.push_back(*NodeAddress::from("node:1"));
  for (const FenceReport& fence : fences)
    hello.fences.push_back(fence);
  return hello;
}

struct Cluster {
  Cluster() {
    store.contents().volumes[kVolume] = make_volume(kVolume, "db");
    start();
  }
  void start() {
    REQUIRE(master.take_over());
    CHECK(hello(hello_of(kNode, kBoot)) == StatusCode::ok);
  }
  StatusCode hello(const Hello& message) {
    const auto answer = master.on_hello(message);
    REQUIRE(answer.has_value());
    return answer->status;
  }
  Gvn open(const Opener& opener) {
    const OpenAnswer answer = master.on_open(open_request(opener));
    REQUIRE(answer.status == StatusCode::ok);
    return answer.gvn;
  }
  [[nodiscard]] static VerifyRequest verify_request(const Opener& opener, Gvn gvn) {
    return {kVolume, gvn, *ClientId::from(opener.client), Nonce(opener.nonce), kNode, kBoot};
  }
  StatusCode verify(const Opener& opener, Gvn gvn) {
    const VerifyAnswer answer = master.on_verify(verify_request(opener, gvn));
    CHECK(answer.is_consistent());
    return answer.status;
  }
  VolumeRecord& record() { return store.contents().volumes[kVolume]; }

  MemoryMetadataStore store;
  FaultyStore faulty{store};
  OpenService master{faulty};
};

const Opener kA{"client-a", 1};
const Opener kB{"client-b", 2};
Opener stealing(Opener opener) {
  opener.steal = true;
  return opener;
}
Opener reading(Opener opener) {
  opener.mode = AccessMode::read_only;
  return opener;
}

}  // namespace

TEST_CASE("P1: a master answers nothing before its own manager version is committed", "[P1]") {
  MemoryMetadataStore store;
  store.contents().volumes[kVolume] = make_volume(kVolume, "db");
  OpenService master(store);
  CHECK(master.on_open(open_request(kA)).status == StatusCode::not_master);
  CHECK(master.on_verify(Cluster::verify_request(kA, gvn_of(1, 1))).status == StatusCode::not_master);
  CHECK(master.on_close({kVolume, gvn_of(1, 1), *ClientId::from("a"), Nonce(1)}).status ==
        StatusCode::not_master);
  REQUIRE(master.take_over());
  CHECK(master.manager_version() == ManagerVersion(1));
  CHECK(store.contents().manager_version == ManagerVersion(1));
}

TEST_CASE("P1: a takeover whose commit fails, or whose outcome is unknown, puts no one in charge", "[P1]") {
  Cluster cluster;
  cluster.faulty.fault = GENERATE(FaultyStore::Fault::refuse, FaultyStore::Fault::lose_answer);
  CHECK_FALSE(cluster.master.take_over());
  CHECK(cluster.master.manager_version() == ManagerVersion(0));
  CHECK(cluster.master.on_open(open_request(kA)).status == StatusCode::not_master);
  cluster.faulty.fault = FaultyStore::Fault::none;
  const ManagerVersion stored = cluster.store.contents().manager_version;
  REQUIRE(cluster.master.take_over());
  CHECK(cluster.master.manager_version() > stored);
}

TEST_CASE("P2: version, holder and node are committed when an open is answered", "[P2]") {
  Cluster cluster;
  const OpenAnswer answer = cluster.master.on_open(open_request(kA));
  CHECK(answer.is_consistent());
  CHECK(answer.gvn == gvn_of(1, 1));
  CHECK(answer.node == kNode);
  CHECK(answer.boot == kBoot);
  CHECK(answer.addresses.size() == 1);
  const VolumeRecord& record = cluster.record();
  CHECK(record.current_gvn == answer.gvn);
  REQUIRE(record.holders.size() == 1);
  CHECK(record.holders[0] == Holder{*ClientId::from("client-a"), Nonce(1), answer.gvn, kNode, kBoot});
}

TEST_CASE("P2: an open whose commit fails is answered by no version", "[P2]") {
  Cluster cluster;
  cluster.faulty.fault = FaultyStore::Fault::refuse;
  CHECK(cluster.master.on_open(open_request(kA)).status == StatusCode::unavailable);
  CHECK(cluster.record().holders.empty());
}

TEST_CASE("attack 29: an open whose answer was lost is answered again with the same version", "[attack]") {
  Cluster cluster;
  cluster.faulty.fault = FaultyStore::Fault::lose_answer;
  const OpenAnswer lost = cluster.master.on_open(open_request(kA));
  CHECK(lost.status == StatusCode::unavailable);
  CHECK(lost.gvn == Gvn(0));
  cluster.faulty.fault = FaultyStore::Fault::none;
  CHECK(cluster.open(kA) == gvn_of(1, 1));
  CHECK(cluster.open(kA) == gvn_of(1, 1));
  // The master crashed after the commit, and another answers.
  OpenService next(cluster.store);
  REQUIRE(next.take_over());
  CHECK(next.on_open(open_request(kA)).status == StatusCode::unavailable);  // the node hasn't said hello
  REQUIRE(next.on_hello(hello_of(kNode, kBoot)));
  CHECK(next.on_open(open_request(kA)).gvn == gvn_of(1, 1));
  CHECK(next.on_verify(Cluster::verify_request(kA, gvn_of(1, 1))).status == StatusCode::ok);
}

TEST_CASE("an open of a held volume is busy and tells the holder; the larger version wins a steal",
          "[open]") {
  Cluster cluster;
  const Gvn first = cluster.open(kA);
  const OpenAnswer busy = cluster.master.on_open(open_request(kB));
  CHECK(busy.status == StatusCode::busy);
  CHECK(busy.holder.view() == "client-a");
  CHECK(busy.holder_gvn == first);
  const Gvn second = cluster.open(stealing(kB));
  CHECK(second > first);
  CHECK(cluster.verify(kB, second) == StatusCode::ok);
  CHECK(cluster.verify(kA, first) == StatusCode::stale_version);
}

TEST_CASE("attack 30: one client id started twice is two openings", "[attack]") {
  Cluster cluster;
  const Gvn first = cluster.open(kA);
  const Opener again{"client-a", 9};
  CHECK(cluster.master.on_open(open_request(again)).status == StatusCode::busy);
  CHECK(cluster.master.on_open(reopen_request(again, first, kNode, kBoot)).status ==
        StatusCode::stale_version);
  CHECK(cluster.verify(again, first) == StatusCode::stale_version);
}

TEST_CASE("attack 31, C4: a reopen by an opening that is no longer the holder fails, however often",
          "[C4][attack]") {
  Cluster cluster;
  const Gvn first = cluster.open(kA);
  const Gvn second = cluster.open(stealing(kB));
  for (int i = 0; i < 3; ++i)
    CHECK(cluster.master.on_open(reopen_request(kA, first)).status == StatusCode::stale_version);
  CHECK(cluster.record().current_gvn == second);
  CHECK(cluster.master.on_open(reopen_request(kB, second, kNode, kBoot)).gvn == second);
}

TEST_CASE("C4: a reopen keeps its version on the same node and boot, and gets a newer one otherwise",
          "[C4]") {
  Cluster cluster;
  const Gvn first = cluster.open(kA);
  CHECK(cluster.master.on_open(reopen_request(kA, first, kNode, kBoot)).gvn == first);
  const Gvn second =
      cluster.master.on_open(reopen_request(kA, first)).gvn;  // the session is known to be gone
  CHECK(second > first);
  // The answer was lost: asked again with the version before.
  CHECK(cluster.master.on_open(reopen_request(kA, first, kNode, kBoot)).gvn == second);
  CHECK(cluster.hello(hello_of(kNode, BootId(51))) == StatusCode::ok);
  const Gvn third = cluster.master.on_open(reopen_request(kA, second, kNode, kBoot)).gvn;
  CHECK(third > second);
}

TEST_CASE("attack 11: a delayed session open, or one on another boot or node, isn't verified", "[attack]") {
  Cluster cluster;
  const Gvn gvn = cluster.open(kA);
  VerifyRequest request = Cluster::verify_request(kA, gvn);
  CHECK(cluster.master.on_verify(request).status == StatusCode::ok);
  SECTION("another boot") {
    request.boot = BootId(51);
  }
  SECTION("another node") {
    request.node = kOtherNode;
  }
  SECTION("another opening") {
    request.nonce = Nonce(9);
  }
  SECTION("an older version") {
    request.gvn = gvn_of(1, 0);
  }
  const VerifyAnswer answer = cluster.master.on_verify(request);
  CHECK(answer.status == StatusCode::stale_version);
  CHECK(answer.current_gvn == gvn);
  request.volume = VolumeId(99);
  CHECK(cluster.master.on_verify(request).status == StatusCode::not_found);
}

TEST_CASE("attack 25, P1: the deposed master verifies nothing and opens nothing", "[P1][attack]") {
  Cluster cluster;
  const Gvn gvn = cluster.open(kA);
  OpenService next(cluster.store);
  REQUIRE(next.take_over());
  CHECK(cluster.verify(kA, gvn) == StatusCode::not_master);
  CHECK(cluster.master.manager_version() == ManagerVersion(0));
  CHECK(cluster.master.on_open(open_request(stealing(kB))).status == StatusCode::not_master);
  CHECK(cluster.record().current_gvn == gvn);
}

TEST_CASE("attack 26, P1: of two masters that take over at once only one is in charge", "[P1][attack]") {
  Cluster cluster;
  OpenService other(cluster.store);
  REQUIRE(other.take_over());
  REQUIRE(cluster.master.take_over());
  CHECK(cluster.master.manager_version() > other.manager_version());
  CHECK(other.on_open(open_request(kA)).status == StatusCode::not_master);

  // A candidate that read the manager version before the other committed.
  const ManagerVersion read = cluster.store.contents().manager_version;
  REQUIRE(other.take_over());
  const Status late = cluster.store.transact(read, [](OpenTransaction& transaction) -> Status {
    transaction.put_manager_version(ManagerVersion(99));
    return {};
  });
  REQUIRE_FALSE(late);
  CHECK(late.error().code == StatusCode::not_master);
}

TEST_CASE("attack 27, P1: a master restored from an old copy goes above all that the nodes have seen",
          "[P1][attack]") {
  Cluster cluster;
  MemoryMetadataStore backup(cluster.store.contents());
  const Gvn first = cluster.open(kA);
  const Gvn second = cluster.open(stealing(kB));
  OpenService restored(backup);
  backup.contents().volumes[kVolume].holders.push_back(
      {*ClientId::from("client-a"), Nonce(1), first, kNode, kBoot});

  SECTION("the nodes have seen a higher manager version") {
    REQUIRE(restored.take_over());
    CHECK(restored.on_open(open_request(kA)).status ==
          StatusCode::unavailable);  // nothing before their hello
    REQUIRE(restored.on_hello(hello_of(kNode, kBoot, ManagerVersion(7), {{kVolume, second}})));
    CHECK(restored.manager_version() == ManagerVersion(8));
  }
  SECTION("a node has a fence of the same manager version") {
    REQUIRE(restored.take_over());
    REQUIRE(restored.on_hello(hello_of(kNode, kBoot, ManagerVersion(2), {{kVolume, gvn_of(2, 9)}})));
    CHECK(restored.manager_version() == ManagerVersion(3));
  }
  SECTION("a node has met another master that gave itself the same version") {
    REQUIRE(restored.take_over());
    REQUIRE(restored.on_hello(hello_of(kNode, kBoot, ManagerVersion(2), {{kVolume, second}})));
    CHECK(restored.manager_version() == ManagerVersion(3));
    // Met again, after this master has told it that version: nothing new.
    REQUIRE(restored.on_hello(hello_of(kNode, kBoot, ManagerVersion(3), {{kVolume, second}})));
    CHECK(restored.manager_version() == ManagerVersion(3));
  }
  SECTION("a node has a fence of a volume that the copy doesn't know") {
    REQUIRE(restored.take_over());
    REQUIRE(restored.on_hello(
        hello_of(kNode, kBoot, ManagerVersion(2), {{kVolume, second}, {VolumeId(99), gvn_of(2, 1)}})));
    CHECK(restored.manager_version() == ManagerVersion(3));
  }
  CHECK(backup.contents().manager_version == restored.manager_version());
  // C4: whoever the old copy has as the holder was fenced since.
  CHECK(restored.on_open(reopen_request(kA, first)).status == StatusCode::stale_version);
  const OpenAnswer opened = restored.on_open(open_request(kB));
  REQUIRE(opened.status == StatusCode::ok);
  CHECK(opened.gvn > std::max(second, gvn_of(2, 9)));
}

TEST_CASE("attack 27, P1: a holder that has seen more than a restored master makes it go above that",
          "[P1][attack]") {
  Cluster cluster;
  const Gvn first = cluster.open(kA);
  // Given by the master before the restore, and never accepted by a node.
  const OpenAnswer answer = cluster.master.on_open(reopen_request(kA, gvn_of(1, 5)));
  REQUIRE(answer.status == StatusCode::ok);
  CHECK(answer.gvn > gvn_of(1, 5));
  CHECK(answer.gvn > first);
  CHECK(cluster.master.manager_version() == ManagerVersion(2));
  // A claim of a higher manager version isn't taken from a client.
  CHECK(cluster.master.on_open(reopen_request(kA, gvn_of(9, 1))).status == StatusCode::unavailable);
  CHECK(cluster.master.manager_version() == ManagerVersion(2));
}

TEST_CASE(
    "attack 27, P1: a master that learned of a newer version, and couldn't go above it, does so at the open",
    "[P1][attack]") {
  Cluster cluster;
  REQUIRE(cluster.master.on_hello(hello_of(kOtherNode, BootId(60))));
  const Gvn first = cluster.open(kA);
  // Another node, where the volume once was, has a newer fence; the store fails as that is acted on.
  cluster.faulty.transactions_until_refusal = 1;
  const FenceReport newer{kVolume, gvn_of(1, 9)};
  CHECK(cluster.hello(hello_of(kOtherNode, BootId(60), ManagerVersion(1), {newer})) ==
        StatusCode::unavailable);
  CHECK(cluster.master.manager_version() == ManagerVersion(1));
  CHECK(cluster.record().current_gvn == newer.fence);
  CHECK(cluster.master.on_open(open_request(kB)).status == StatusCode::unavailable);
  cluster.faulty.transactions_until_refusal.reset();

  CHECK(cluster.master.on_open(reopen_request(kA, first)).status == StatusCode::stale_version);
  CHECK(cluster.open(kB) > newer.fence);
  CHECK(cluster.master.manager_version() == ManagerVersion(2));
}

TEST_CASE("attack 28: a node whose disk was restored from an old copy is refused until an operator decides",
          "[attack]") {
  Cluster cluster;
  const Gvn gvn = cluster.open(kA);
  CHECK(cluster.hello(hello_of(kNode, kBoot, ManagerVersion(1), {{kVolume, gvn}})) == StatusCode::ok);
  std::vector<FenceReport> fences;
  SECTION("a lower fence") {
    fences.push_back({kVolume, gvn_of(0, 1)});
  }
  SECTION("none at all") {}
  const BootId boot{51};
  CHECK(cluster.hello(hello_of(kNode, boot, ManagerVersion(1), fences)) == StatusCode::rolled_back);
  CHECK(cluster.master.on_open(reopen_request(kA, gvn)).status == StatusCode::rolled_back);
  CHECK(cluster.verify(kA, gvn) == StatusCode::rolled_back);
  // It can't talk itself out of it, and neither can another master.
  CHECK(cluster.hello(hello_of(kNode, boot, ManagerVersion(1), {{kVolume, gvn}})) == StatusCode::rolled_back);
  OpenService next(cluster.store);
  REQUIRE(next.take_over());
  CHECK(next.on_hello(hello_of(kNode, boot, ManagerVersion(1), fences))->status == StatusCode::rolled_back);

  REQUIRE(next.accept_rolled_back(kNode));
  CHECK_FALSE(next.accept_rolled_back(kNode));
  CHECK(next.on_hello(hello_of(kNode, boot, ManagerVersion(1), fences))->status == StatusCode::ok);
  const OpenAnswer answer = next.on_open(reopen_request(kA, gvn, kNode, kBoot));
  CHECK(answer.status == StatusCode::ok);
  CHECK(answer.gvn > gvn);
}

TEST_CASE("attack 34: counters at their maximum are exhausted, not wrapped", "[attack]") {
  Cluster cluster;
  SECTION("the open version") {
    cluster.record().open_version = OpenVersion(std::numeric_limits<std::uint32_t>::max());
    CHECK(cluster.master.on_open(open_request(kA)).status == StatusCode::exhausted);
    CHECK(cluster.record().holders.empty());
  }
  SECTION("the manager version, at a takeover") {
    cluster.store.contents().manager_version = ManagerVersion(std::numeric_limits<std::uint32_t>::max());
    const Status status = cluster.master.take_over();
    REQUIRE_FALSE(status);
    CHECK(status.error().code == StatusCode::exhausted);
  }
  SECTION("the manager version, at a hello") {
    const ManagerVersion last(std::numeric_limits<std::uint32_t>::max());
    CHECK(cluster.hello(hello_of(kNode, kBoot, last)) == StatusCode::exhausted);
    CHECK(cluster.master.on_open(open_request(kA)).status == StatusCode::unavailable);
  }
  SECTION("the manager version, in one fence: it isn't taken in, and the volume goes on") {
    const Gvn gvn = cluster.open(kA);
    const FenceReport damaged{kVolume, Gvn(UINT64_MAX)};
    CHECK(cluster.hello(hello_of(kNode, kBoot, ManagerVersion(1), {damaged})) == StatusCode::exhausted);
    CHECK(cluster.record().current_gvn == gvn);
    CHECK(cluster.hello(hello_of(kNode, kBoot, ManagerVersion(1), {{kVolume, gvn}})) == StatusCode::ok);
    CHECK(cluster.open(kA) == gvn);
  }
}

TEST_CASE("readers share an era, up to a limit, and a writer's open ends it", "[open]") {
  Cluster cluster;
  const Gvn first = cluster.open(reading(kA));
  const Gvn second = cluster.open(reading(kB));
  CHECK(second > first);
  for (const auto& [opener, gvn] : {std::pair{kA, first}, std::pair{kB, second}}) {
    const VerifyAnswer answer = cluster.master.on_verify(Cluster::verify_request(opener, gvn));
    CHECK(answer.status == StatusCode::ok);
    CHECK(answer.era == first);
    CHECK(answer.mode == AccessMode::read_only);
    CHECK(answer.is_consistent());
  }
  for (std::uint64_t nonce = 3; nonce <= kMaxVolumeSessions; ++nonce)
    cluster.open(reading({"reader", nonce}));
  CHECK(cluster.master.on_open(open_request(reading({"reader", 99}))).status == StatusCode::limit_reached);
  CHECK(cluster.open(reading(kB)) == second);
  const Gvn again = cluster.master.on_open(reopen_request(reading(kB), second)).gvn;  // takes its own place
  CHECK(again > second);

  const Gvn writer = cluster.open({"writer", 50});
  CHECK(cluster.verify(kA, first) == StatusCode::stale_version);
  CHECK(cluster.verify({"writer", 50}, writer) == StatusCode::ok);
  CHECK(cluster.master.on_open(open_request(reading(kA))).status == StatusCode::busy);
  const Gvn thief = cluster.open(stealing(reading(kA)));
  CHECK(cluster.record().era == thief);
  const Gvn alone = cluster.open(stealing(reading(kB)));
  CHECK(cluster.record().era == alone);
  CHECK(cluster.record().holders.size() == 1);
}

TEST_CASE("close gives the volume up, again without harm, and never another's", "[close]") {
  Cluster cluster;
  const Gvn gvn = cluster.open(kA);
  const CloseRequest request{kVolume, gvn, *ClientId::from("client-a"), Nonce(1)};
  CHECK(cluster.master.on_close(request).status == StatusCode::ok);
  CHECK(cluster.master.on_close(request).status == StatusCode::ok);
  const Gvn next = cluster.open(kB);
  CHECK(next > gvn);
  CHECK(cluster.master.on_close(request).status == StatusCode::ok);
  CHECK(cluster.verify(kB, next) == StatusCode::ok);
  CHECK(cluster.master.on_close({VolumeId(99), gvn, *ClientId::from("x"), Nonce(1)}).status ==
        StatusCode::not_found);
}

TEST_CASE("locate tells place and holder and changes nothing", "[open]") {
  Cluster cluster;
  OpenRequest request;
  request.kind = OpenKind::locate;
  request.volume = kVolume;
  CHECK(cluster.master.on_open(request).holder.empty());
  const Gvn gvn = cluster.open(kA);
  cluster.master.on_node_lost(kNode);
  cluster.master.on_node_lost(kOtherNode);
  const OpenAnswer answer = cluster.master.on_open(request);
  CHECK(answer.status == StatusCode::ok);
  CHECK(answer.is_consistent());
  CHECK(answer.holder.view() == "client-a");
  CHECK(answer.holder_gvn == gvn);
  CHECK(answer.boot == kBoot);
  CHECK_FALSE(answer.node_up);
  CHECK(cluster.master.on_open(open_request(kA)).status == StatusCode::unavailable);
  request.volume = VolumeId(99);
  CHECK(cluster.master.on_open(request).status == StatusCode::not_found);
  request.volume = VolumeId(0);
  CHECK(cluster.master.on_open(request).status == StatusCode::invalid_request);
}

TEST_CASE("a hello of several parts counts once it is whole", "[hello]") {
  Cluster cluster;
  Hello first = hello_of(kOtherNode, kBoot, ManagerVersion(4));
  first.last_part = false;
  CHECK_FALSE(cluster.master.on_hello(first).has_value());
  Hello second = hello_of(kOtherNode, kBoot);
  second.part = 1;
  SECTION("whole") {
    CHECK(cluster.master.on_hello(second)->status == StatusCode::ok);
    CHECK(cluster.master.manager_version() == ManagerVersion(5));
  }
  SECTION("a part is missing") {
    second.part = 2;
    CHECK(cluster.master.on_hello(second)->status == StatusCode::invalid_request);
  }
  SECTION("of another boot") {
    second.boot = BootId(51);
    CHECK(cluster.master.on_hello(second)->status == StatusCode::invalid_request);
  }
  SECTION("the store fails") {
    cluster.faulty.fault = FaultyStore::Fault::refuse;
    CHECK(cluster.master.on_hello(second)->status == StatusCode::unavailable);
  }
}

TEST_CASE("P1: a manager version that can't be raised leaves the node absent", "[P1]") {
  Cluster cluster;
  cluster.faulty.fault = FaultyStore::Fault::lose_answer;
  CHECK(cluster.hello(hello_of(kNode, kBoot, ManagerVersion(4))) == StatusCode::unavailable);
  cluster.faulty.fault = FaultyStore::Fault::none;
  CHECK(cluster.master.on_open(open_request(kA)).status == StatusCode::unavailable);
}

TEST_CASE("a move: moving, quiesced, then the new place, and the holder reopens there", "[move]") {
  Cluster cluster;
  const Gvn gvn = cluster.open(kA);
  CHECK(cluster.hello(hello_of(kOtherNode, BootId(60))) == StatusCode::ok);
  auto order = cluster.master.start_move(kVolume, kOtherNode);
  REQUIRE(order);
  REQUIRE(order->has_value());
  CHECK((*order)->node == kNode);
  CHECK((*order)->request == QuiesceRequest{kVolume, gvn, ManagerVersion(1)});
  CHECK(cluster.master.on_open(reopen_request(kA, gvn)).status == StatusCode::moving);
  CHECK(cluster.verify(kA, gvn) == StatusCode::moving);
  CHECK(cluster.master.start_move(kVolume, kOtherNode)->has_value());
  CHECK(cluster.master.start_move(kVolume, NodeId(7)).error().code == StatusCode::moving);

  // The master is replaced in the middle: the move goes on.
  OpenService next(cluster.store);
  REQUIRE(next.take_over());
  REQUIRE(next.on_hello(hello_of(kOtherNode, BootId(60))));
  const auto unfinished = next.unfinished_moves();
  REQUIRE(unfinished);
  REQUIRE(unfinished->size() == 1);
  CHECK((*unfinished)[0].request.manager_version == ManagerVersion(2));

  CHECK_FALSE(next.on_quiesced(kNode, {StatusCode::timed_out, kVolume, gvn}));
  CHECK_FALSE(next.on_quiesced(kNode, {StatusCode::ok, kVolume, gvn_of(0, 1)}));
  CHECK_FALSE(next.on_quiesced(kOtherNode, {StatusCode::ok, kVolume, gvn}));
  CHECK_FALSE(next.on_quiesced(kNode, {StatusCode::ok, VolumeId(99), gvn}));
  REQUIRE(next.on_quiesced(kNode, {StatusCode::ok, kVolume, gvn}));
  CHECK_FALSE(next.on_quiesced(kNode, {StatusCode::ok, kVolume, gvn}));  // once
  const OpenAnswer answer = next.on_open(reopen_request(kA, gvn, kNode, kBoot));
  CHECK(answer.status == StatusCode::ok);
  CHECK(answer.node == kOtherNode);
  CHECK(answer.gvn > gvn);
  CHECK(next.unfinished_moves()->empty());
}

TEST_CASE("attack 22: a volume doesn't leave a node that is cut off from the master, and may still write",
          "[move][attack]") {
  Cluster cluster;
  const Gvn gvn = cluster.open(kA);
  CHECK(cluster.hello(hello_of(kOtherNode, BootId(60))) == StatusCode::ok);
  cluster.master.on_node_lost(kNode);
  CHECK(cluster.master.on_open(open_request(stealing(kB))).status == StatusCode::unavailable);
  // Neither a move nor another master makes up for the old node's own word that it is quiesced.
  REQUIRE(cluster.master.start_move(kVolume, kOtherNode));
  CHECK_FALSE(cluster.master.on_quiesced(kNode, {StatusCode::timed_out, kVolume, gvn}));
  CHECK_FALSE(cluster.master.on_quiesced(kOtherNode, {StatusCode::ok, kVolume, gvn}));
  CHECK(cluster.master.on_open(open_request(stealing(kB))).status == StatusCode::moving);
  OpenService next(cluster.store);
  REQUIRE(next.take_over());
  REQUIRE(next.on_hello(hello_of(kOtherNode, BootId(60))));
  CHECK(next.on_open(open_request(stealing(kB))).status == StatusCode::moving);
  CHECK(cluster.record().node == kNode);
}

TEST_CASE("a move of a volume that was never opened ends no session, and senseless ones are refused",
          "[move]") {
  Cluster cluster;
  CHECK(cluster.master.start_move(kVolume, kNode).error().code == StatusCode::invalid_argument);
  CHECK(cluster.master.start_move(VolumeId(99), kOtherNode).error().code == StatusCode::not_found);
  const auto order = cluster.master.start_move(kVolume, kOtherNode);
  REQUIRE(order);
  CHECK_FALSE(order->has_value());
  CHECK(cluster.master.unfinished_moves()->empty());
  CHECK(cluster.master.on_open(open_request(kA)).status == StatusCode::moving);
  REQUIRE(cluster.master.on_quiesced(kNode, {StatusCode::ok, kVolume, Gvn(0)}));
  CHECK(cluster.record().node == kOtherNode);
  CHECK_FALSE(cluster.master.cancel_move(kVolume));
  CHECK_FALSE(cluster.master.cancel_move(VolumeId(99)));
  cluster.faulty.fault = FaultyStore::Fault::refuse;
  CHECK_FALSE(cluster.master.unfinished_moves());
}

TEST_CASE("after a cancelled move the holder gets a newer version, above the tombstone", "[move]") {
  Cluster cluster;
  const Gvn gvn = cluster.open(kA);
  REQUIRE(cluster.master.start_move(kVolume, kOtherNode));
  REQUIRE(cluster.master.cancel_move(kVolume));
  CHECK(cluster.master.on_open(reopen_request(kA, gvn, kNode, kBoot)).gvn > gvn);
}

TEST_CASE("a volume isn't opened before its storage is there", "[open]") {
  Cluster cluster;
  cluster.store.contents().volumes[kVolume].has_storage = false;
  CHECK(cluster.master.on_open(open_request(kA)).status == StatusCode::unavailable);
  cluster.store.contents().volumes[kVolume].has_storage = true;
  CHECK(cluster.master.on_open(open_request(kA)).status == StatusCode::ok);
}

TEST_CASE("the tombstone of a removed volume isn't taken for a sign of an old copy", "[hello]") {
  Cluster cluster;
  cluster.store.contents().highest_volume_id = VolumeId(20);
  const ManagerVersion before = cluster.master.manager_version();
  CHECK(cluster.hello(hello_of(kNode, kBoot, before, {{VolumeId(20), gvn_of(1, 3)}})) == StatusCode::ok);
  CHECK(cluster.master.manager_version() == before);
  // One that was never given is: its id isn't given again either.
  CHECK(cluster.hello(
            hello_of(kNode, kBoot, before, {{VolumeId(20), gvn_of(1, 3)}, {VolumeId(21), gvn_of(1, 3)}})) ==
        StatusCode::ok);
  CHECK(cluster.master.manager_version() > before);
  CHECK(cluster.store.contents().highest_volume_id == VolumeId(21));
}

TEST_CASE("P1: what else the master keeps depends on its being in charge, too", "[P1]") {
  Cluster cluster;
  OpenService other(cluster.store);
  const auto nothing = [](OpenTransaction&) -> Status { return {}; };
  const auto step = [&](ManagerVersion mine) { return cluster.store.transact(mine, nothing); };
  CHECK(cluster.master.while_in_charge(step));
  REQUIRE(other.take_over());
  CHECK(cluster.master.while_in_charge(step).error().code == StatusCode::not_master);
  CHECK(cluster.master.manager_version() == ManagerVersion(0));
  CHECK(cluster.master.while_in_charge(step).error().code == StatusCode::not_master);
}

}  // namespace sluice::protocol::test
