// What the caller sees, and what the volume holds, when paths, nodes, masters and sessions go.

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/unit/client/small_cluster.h"

namespace sluice::client::test {
namespace {

using protocol::IoOp;
using protocol::SessionPhase;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::uint32_t kBlock = SmallCluster::kBlock;

bool all_paths_up(const TestClient& client) {
  const auto paths = client.core->paths();
  return paths.size() == 2 &&
         std::all_of(paths.begin(), paths.end(), [](const PathInfo& path) { return path.state == "up"; });
}

bool is_write(const protocol::IoRequest& request) {
  return request.op == IoOp::write;
}

/// Keeps a queue of writes going, each to a block of its own round, and remembers what was acknowledged.
class Writer {
 public:
  Writer(const SmallCluster& cluster, TestClient& client) : cluster_(cluster), client_(client) {}

  void keep_busy() {
    for (const Completion& completion : client_.take()) {
      ++outcomes[completion.status];
      if (completion.status == StatusCode::ok) acknowledged[completion.tag % kPlaces] = completion.tag;
    }
    if (cluster_.network.now() < next_at_) return;  // a rate that keeps the test short
    next_at_ = cluster_.network.now() + milliseconds(1);
    while (client_.core->outstanding() < 8) {
      const std::uint64_t tag = next_;
      data_[tag % kPlaces] = pattern(kBlock, tag);
      if (client_.core->submit(request(tag, (tag % kPlaces) * kBlock, data_[tag % kPlaces])) !=
          StatusCode::ok) {
        return;
      }
      ++next_;
    }
  }
  void check_disk(const SmallDisk& disk) const {
    for (const auto& [place, tag] : acknowledged) {
      // A newer one may be there, whose answer hasn't come; never an older one.
      bool is_there = false;
      for (std::uint64_t candidate = tag; candidate < next_ && !is_there; candidate += kPlaces) {
        const auto expected = pattern(kBlock, candidate);
        is_there = std::equal(expected.begin(), expected.end(),
                              disk.bytes.begin() + static_cast<std::ptrdiff_t>(place * kBlock));
      }
      INFO("place " << place << " acknowledged " << tag);
      CHECK(is_there);
    }
  }
  [[nodiscard]] std::uint64_t done() const { return acknowledged.empty() ? 0 : next_ - 8; }

  std::map<StatusCode, std::uint64_t> outcomes;
  std::map<std::uint64_t, std::uint64_t> acknowledged;

 private:
  static constexpr std::uint64_t kPlaces = 16;
  const SmallCluster& cluster_;
  TestClient& client_;
  Instant next_at_;
  std::map<std::uint64_t, std::vector<std::byte>> data_;
  std::uint64_t next_ = 0;
};

TEST_CASE("a path that dies under load costs no error: its requests go over the other one") {
  SmallCluster cluster;
  TestClient& client = cluster.open_client();
  REQUIRE(cluster.run_until([&] { return all_paths_up(client); }));
  Writer writer(cluster, client);
  const auto write_for = [&](Duration span) {
    cluster.run_until(
        [&] {
          writer.keep_busy();
          return false;
        },
        span);
  };
  write_for(milliseconds(20));
  const std::uint64_t before = writer.done();
  REQUIRE(before > 0);
  cluster.network.partition("10.0.1.10", "10.0.1.1");
  write_for(seconds(2));
  CHECK(client.core->paths()[0].state != "up");
  CHECK(writer.done() > before + 100);
  cluster.network.heal_all();
  CHECK(cluster.run_until([&] {
    writer.keep_busy();
    return all_paths_up(client);
  }));
  write_for(milliseconds(100));
  CHECK(writer.outcomes.size() == 1);  // ok, all of them
  writer.check_disk(cluster.disk);
}

/// Whether the client has said something with all of these words in it.
bool has_said(const TestClient& client, const std::vector<std::string>& words) {
  return std::ranges::any_of(client.events, [&](const std::string& text) {
    return std::ranges::all_of(words,
                               [&](const std::string& word) { return text.find(word) != std::string::npos; });
  });
}

TEST_CASE("writes longer than a node's largest slot are sent to it in pieces") {
  SmallCluster cluster;
  cluster.stop_node();
  cluster.slots.clear();
  cluster.slots.push_back({64 * 1024, 8});
  cluster.start_node();
  TestClient& client = cluster.open_client();
  CHECK(client.core->info().largest_io_bytes == 64 * 1024);
  const auto data = pattern(1U << 20U, 1);
  CHECK(cluster.write(client, 0, data) == StatusCode::ok);
  CHECK(std::equal(data.begin(), data.end(), cluster.disk.bytes.begin()));
  CHECK(cluster.node->writes_done == 16);
}

TEST_CASE("a node whose slots don't take a write that is under way is told from one that isn't there") {
  SmallCluster cluster;
  TestClient& client = cluster.open_client();
  cluster.node->holds = is_write;
  const auto data = pattern(1U << 20U, 1);
  REQUIRE(client.core->submit(request(1, 0, data)) == StatusCode::ok);
  REQUIRE(cluster.run_until([&] { return cluster.node->held() == 1; }));
  const auto long_slots = cluster.slots;
  cluster.stop_node();
  cluster.slots.clear();
  cluster.slots.push_back({64 * 1024, 8});
  cluster.start_node();
  CHECK(cluster.run_until([&] {
    return has_said(client, {"is given up", "65536", "1048576", "session.slots"});
  }));
  CHECK(client.core->describe_progress().find("session.slots") != std::string::npos);
  cluster.stop_node();
  cluster.slots = long_slots;
  cluster.start_node();
  CHECK(cluster.run_until([&] { return client.core->has_completed(); }));
  CHECK(client.take().front().status == StatusCode::ok);
  CHECK(std::equal(data.begin(), data.end(), cluster.disk.bytes.begin()));
}

TEST_CASE("a path that is given up for its silence is told of") {
  SmallCluster cluster;
  TestClient& client = cluster.open_client();
  REQUIRE(cluster.run_until([&] { return all_paths_up(client); }));
  cluster.network.partition("10.0.1.10", "10.0.1.1");
  CHECK(cluster.run_until([&] { return has_said(client, {"path 0", "is given up", "no sign of life"}); }));
}

TEST_CASE("the data of a write that was sent over both paths is written once") {
  SmallCluster cluster;
  TestClient& client = cluster.open_client();
  REQUIRE(cluster.run_until([&] { return all_paths_up(client); }));
  cluster.node->holds = is_write;
  const auto data = pattern(kBlock, 1);
  REQUIRE(client.core->submit(request(1, 0, data)) == StatusCode::ok);
  REQUIRE(cluster.run_until([&] { return cluster.node->held() == 1; }));
  // The request's path goes; the copy on the other one finds the first still executing (W6).
  const bool over_first = client.core->paths()[0].in_flight == 1;
  const std::string device = over_first ? "1" : "2";
  cluster.network.partition("10.0." + device + ".10", "10.0." + device + ".1");
  REQUIRE(cluster.run_until([&] { return client.core->paths()[over_first ? 1 : 0].in_flight == 1; }));
  cluster.run_for(milliseconds(5));
  CHECK(cluster.node->held() == 1);
  cluster.node->let_go();
  REQUIRE(cluster.run_until([&] { return client.core->has_completed(); }));
  CHECK(client.take().front().status == StatusCode::ok);
  CHECK(cluster.node->writes_done == 1);
}

TEST_CASE("a write that one path delays for 40 s doesn't land over a newer one (attack 1)") {
  SmallCluster cluster;
  TestClient& client = cluster.open_client();
  REQUIRE(cluster.run_until([&] { return all_paths_up(client); }));
  std::vector<std::byte> older(kBlock);
  std::vector<std::byte> newer(kBlock);
  std::fill_n(older.begin(), 3, std::byte{0x23});
  std::fill_n(newer.begin(), 3, std::byte{0x56});
  const auto before = cluster.node->sessions().refusals();
  // What is sent on the first path from now on arrives in 40 s, whatever becomes of its queue pair here.
  cluster.network.stall_path("10.0.1.10", "10.0.1.1", seconds(40));
  REQUIRE(cluster.write(client, 0, older) == StatusCode::ok);
  CHECK(client.core->paths()[0].state != "up");
  REQUIRE(cluster.write(client, 0, newer) == StatusCode::ok);
  CHECK(cluster.node->writes_done == 2);
  cluster.run_for(seconds(45));
  std::vector<std::byte> block(kBlock);
  REQUIRE(cluster.read(client, 0, block) == StatusCode::ok);
  CHECK(block == newer);
  CHECK(cluster.node->writes_done == 2);
  // It did arrive: the node counts it, and refused it for its number (W3).
  const auto after = cluster.node->sessions().refusals();
  CHECK(after.of(protocol::Refusal::expired) == before.of(protocol::Refusal::expired) + 1);
}

TEST_CASE("a restarted node gets a new session, and what was unanswered is sent again (C5)") {
  SmallCluster cluster;
  TestClient& client = cluster.open_client();
  const Gvn before = client.core->info().gvn;
  Writer writer(cluster, client);
  cluster.run_until(
      [&] {
        writer.keep_busy();
        return false;
      },
      milliseconds(20));
  cluster.stop_node();
  cluster.run_until(
      [&] {
        writer.keep_busy();
        return false;
      },
      seconds(1));
  CHECK(client.core->state() == ConnectionState::reconnecting);
  cluster.start_node();
  const std::uint64_t reached = writer.done();
  CHECK(cluster.run_until([&] {
    writer.keep_busy();
    return writer.done() > reached + 50;
  }));
  CHECK(client.core->info().gvn > before);
  CHECK(writer.outcomes.size() == 1);
  writer.check_disk(cluster.disk);
}

TEST_CASE("a write that a node's crash left without an answer completes in the next session") {
  SmallCluster cluster;
  TestClient& client = cluster.open_client();
  cluster.node->holds = is_write;
  const auto data = pattern(kBlock, 5);
  REQUIRE(client.core->submit(request(7, 0, data)) == StatusCode::ok);
  REQUIRE(cluster.run_until([&] { return cluster.node->held() == 1; }));
  cluster.stop_node();
  cluster.run_for(milliseconds(300));
  CHECK_FALSE(client.core->has_completed());
  cluster.start_node();
  REQUIRE(cluster.run_until([&] { return client.core->has_completed(); }));
  CHECK(client.take().front().status == StatusCode::ok);
  CHECK(std::equal(data.begin(), data.end(), cluster.disk.bytes.begin()));
}

TEST_CASE("a client finds the master in charge, and a new one when it needs it") {
  SmallCluster cluster;
  TestClient& client = cluster.open_client();
  CHECK(cluster.masters[0]->opens > 0);
  cluster.replace_master();
  // The old one still answers, not knowing; the node's restart makes the client ask.
  cluster.stop_node();
  cluster.start_node();
  std::vector<std::byte> block(kBlock);
  CHECK(cluster.read(client, 0, block) == StatusCode::ok);
  CHECK(cluster.masters[1]->opens > 0);
  CHECK(manager_version(client.core->info().gvn) == ManagerVersion(2));
}

TEST_CASE("an open is answered by the second master when the first one hangs") {
  SmallCluster cluster;
  cluster.masters[0]->is_silent = true;
  cluster.network.partition("client-0", "master-a");
  cluster.replace_master();
  TestClient& client = cluster.open_client();
  CHECK(manager_version(client.core->info().gvn) == ManagerVersion(2));
}

TEST_CASE("masters and node are asked over another device when the first one's network is gone") {
  SmallCluster cluster;
  TestClient& client = cluster.open_client();
  for (const char* host : {"node", "master-a", "master-b"})
    cluster.network.partition("10.0.1.10", host);
  cluster.stop_node();
  cluster.start_node();
  std::vector<std::byte> block(kBlock);
  CHECK(cluster.read(client, 0, block) == StatusCode::ok);
  CHECK(client.core->paths()[0].state != "up");
  CHECK(client.core->paths()[1].state == "up");
}

TEST_CASE("another client's steal fences this one: its IO fails for good, the new one's data stay") {
  SmallCluster cluster;
  TestClient& first = cluster.open_client();
  const auto old_data = pattern(kBlock, 1);
  const auto new_data = pattern(kBlock, 2);
  cluster.node->holds = is_write;
  REQUIRE(first.core->submit(request(1, 0, old_data)) == StatusCode::ok);
  REQUIRE(cluster.run_until([&] { return cluster.node->held() == 1; }));

  VolumeClientConfig config = SmallCluster::client_config("client-b");
  config.session.steal = true;
  TestClient& second = cluster.add_client(config);
  second.core->open();
  cluster.run_for(milliseconds(300));
  // F1: the first one's write is in flight, so that nobody is acknowledged yet.
  CHECK(second.core->state() == ConnectionState::reconnecting);
  cluster.node->let_go();
  REQUIRE(cluster.run_until([&] { return second.core->state() == ConnectionState::connected; }));
  REQUIRE(cluster.write(second, 0, new_data) == StatusCode::ok);

  REQUIRE(cluster.run_until([&] { return first.core->has_ended(); }));
  CHECK(first.core->end_reason() == StatusCode::stale_version);
  REQUIRE(first.core->has_completed());
  CHECK(first.take().front().status == StatusCode::outcome_unknown);
  CHECK(first.core->submit(request(2, 0, old_data)) == StatusCode::stale_version);
  cluster.run_for(seconds(2));
  CHECK(std::equal(new_data.begin(), new_data.end(), cluster.disk.bytes.begin()));
  CHECK(second.core->state() == ConnectionState::connected);
}

TEST_CASE("a held volume is busy without steal, and the holder is named") {
  SmallCluster cluster;
  cluster.open_client();
  TestClient& second = cluster.add_client(SmallCluster::client_config("client-b"));
  second.core->open();
  REQUIRE(cluster.run_until([&] { return second.core->has_ended(); }));
  CHECK(second.core->end_reason() == StatusCode::busy);
  CHECK(second.core->describe_progress().find("client=client-a holds it") != std::string::npos);
}

TEST_CASE("with LossPolicy::fail IO ends when its time is up, and comes back with the volume (C2)") {
  SmallCluster cluster;
  VolumeClientConfig config = SmallCluster::client_config("client-a");
  config.session.on_loss = protocol::OnLoss::fail;
  config.session.loss_deadline = seconds(1);
  TestClient& client = cluster.open_client(config);
  cluster.node->holds = is_write;
  const auto data = pattern(kBlock, 1);
  REQUIRE(client.core->submit(request(1, 0, data)) == StatusCode::ok);
  REQUIRE(cluster.run_until([&] { return cluster.node->held() == 1; }));
  const Instant lost = cluster.network.now();
  cluster.stop_node();
  cluster.run_for(milliseconds(700));
  CHECK_FALSE(client.core->has_completed());
  // Submitted while the volume is lost: it is never sent.
  REQUIRE(client.core->submit(request(2, kBlock, data)) == StatusCode::ok);
  std::map<std::uint64_t, StatusCode> outcomes;
  REQUIRE(cluster.run_until([&] {
    for (const Completion& completion : client.take())
      outcomes[completion.tag] = completion.status;
    return outcomes.size() == 2;
  }));
  CHECK(cluster.network.now() - lost < seconds(2));
  CHECK(outcomes[1] == StatusCode::outcome_unknown);
  CHECK(outcomes[2] == StatusCode::unavailable);
  CHECK(client.core->submit(request(3, 0, data)) == StatusCode::unavailable);
  cluster.start_node();
  REQUIRE(cluster.run_until([&] { return client.core->state() == ConnectionState::connected; }));
  CHECK(cluster.write(client, 0, data) == StatusCode::ok);
}

TEST_CASE("close finishes what was submitted, and lets the next client in without steal") {
  SmallCluster cluster;
  TestClient& first = cluster.open_client();
  const auto data = pattern(std::size_t{3} << 20U, 9);
  REQUIRE(first.core->submit(request(1, 0, data)) == StatusCode::ok);
  first.core->close();
  CHECK(first.core->submit(request(2, 0, data)) == StatusCode::shutting_down);
  REQUIRE(cluster.run_until([&] { return first.core->has_ended(); }));
  CHECK(first.core->end_reason() == StatusCode::ok);
  REQUIRE(first.core->has_completed());
  CHECK(first.take().front().status == StatusCode::ok);
  TestClient& second = cluster.open_client(SmallCluster::client_config("client-b"));
  std::vector<std::byte> into(data.size());
  REQUIRE(cluster.read(second, 0, into) == StatusCode::ok);
  CHECK(into == data);
}

TEST_CASE("close ends in time although node and master are gone") {
  SmallCluster cluster;
  TestClient& client = cluster.open_client();
  cluster.network.partition("client-0", "node");
  cluster.network.partition("client-0", "master-a");
  cluster.network.partition("client-0", "master-b");
  const auto data = pattern(kBlock, 1);
  REQUIRE(client.core->submit(request(1, 0, data)) == StatusCode::ok);
  client.core->close();
  REQUIRE(cluster.run_until([&] { return client.core->has_ended(); }, seconds(10)));
  CHECK(client.core->end_reason() == StatusCode::timed_out);
  REQUIRE(client.core->has_completed());
  CHECK(client.take().front().status == StatusCode::outcome_unknown);
}

TEST_CASE("data damaged on the way is read again over another path") {
  SmallCluster cluster;
  TestClient& client = cluster.open_client();
  const auto data = pattern(8 * kBlock, 4);
  REQUIRE(cluster.write(client, 0, data) == StatusCode::ok);
  std::vector<std::byte> into(data.size());
  cluster.node->damage_next_reads = 2;
  CHECK(cluster.read(client, 0, into) == StatusCode::ok);
  CHECK(into == data);
  cluster.node->damage_next_reads = 100;
  CHECK(cluster.read(client, 0, into) == StatusCode::bad_checksum);
}

TEST_CASE("registered memory can't go while a request uses it") {
  SmallCluster cluster;
  TestClient& client = cluster.open_client();
  std::vector<std::byte> memory = pattern(4 * kBlock, 1);
  REQUIRE(client.core->register_memory(memory));
  CHECK(client.core->register_memory(std::span(memory).subspan(kBlock)).error().code ==
        StatusCode::invalid_argument);
  REQUIRE(client.core->submit(request(1, 0, std::span(memory).subspan(kBlock, kBlock))) == StatusCode::ok);
  CHECK(client.core->unregister_memory(memory).error().code == StatusCode::busy);
  REQUIRE(cluster.run_until([&] { return client.core->has_completed(); }));
  CHECK(client.core->unregister_memory(memory));
  CHECK(client.core->unregister_memory(memory).error().code == StatusCode::not_found);
}

TEST_CASE("refused paths are tried again, and say why they were refused") {
  SmallCluster cluster;
  cluster.node->refuses_paths = true;
  TestClient& client = cluster.add_client(SmallCluster::client_config("client-a"));
  client.core->open();
  REQUIRE(cluster.run_until([&] { return client.core->session().phase() == SessionPhase::active; }));
  cluster.run_for(milliseconds(100));
  CHECK(client.core->describe_progress().find("10.0.") != std::string::npos);
  cluster.node->refuses_paths = false;
  CHECK(cluster.run_until([&] { return client.core->state() == ConnectionState::connected; }));
}

}  // namespace
}  // namespace sluice::client::test
