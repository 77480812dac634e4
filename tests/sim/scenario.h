#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/sim/cluster.h"
#include "tests/sim/traffic.h"

namespace sluice::sim {

/// A cluster with one volume of 32 blocks and a client that uses it, for a schedule that a test writes down.
/// Every rule that History knows is checked all along.
class Scene {
 public:
  explicit Scene(const ClusterSetup& setup = usual(), std::uint64_t seed = 1)
      : cluster(seed, setup, [this](transport::LogLevel, std::string_view line) { log_.emplace_back(line); }),
        traffic(cluster.network(), setup.window_size) {
    cluster.start_master(0);
    for (std::size_t i = 0; i < setup.nodes; ++i)
      cluster.start_node(i);
    REQUIRE(cluster.make_volumes());
    open(0);
    run(std::chrono::milliseconds(20));
  }

  static ClusterSetup usual() {
    ClusterSetup setup;
    setup.nodes = 2;
    setup.clients = 2;
    setup.paths = 2;
    setup.window_size = 8;
    setup.path_depth = 8;
    setup.volumes.push_back({"vol0", 32, 4096, protocol::WritePolicy::write_through});
    setup.workload.depth = 6;
    setup.workload.read_percent = 20;
    setup.workload.longest_pause = std::chrono::milliseconds(1);
    return setup;
  }
  /// Clients do nothing but what the test asks for.
  static ClusterSetup quiet() {
    ClusterSetup setup = usual();
    setup.workload.only_asked = true;
    return setup;
  }
  static ClusterSetup write_back(ClusterSetup setup) {
    setup.volumes[0].policy = protocol::WritePolicy::write_back;
    return setup;
  }

  /// The client has, or takes, the volume.
  void open(std::size_t client, bool steal = false) {
    cluster.start_client(client, steal);
    REQUIRE(until([&] { return cluster.client(client)->is_connected(); }));
  }
  void run(Duration span) {
    cluster.run_for(span);
    check_rules();
  }
  template <typename Done>
  [[nodiscard]] bool until(Done done, Duration limit = std::chrono::seconds(60)) {
    const bool is_done = cluster.run_until(done, limit);
    check_rules();
    return is_done;
  }
  /// The node that has the volume, by its index.
  [[nodiscard]] std::size_t home() {
    return static_cast<std::size_t>(cluster.store().contents().volumes.begin()->second.node.value() - 1);
  }
  [[nodiscard]] std::uint64_t outcome(std::size_t client, StatusCode status) {
    const auto& outcomes = cluster.client(client)->workload().outcomes();
    const auto found = outcomes.find(status);
    return found == outcomes.end() ? 0 : found->second;
  }
  /// It makes progress.
  void require_work(std::size_t client) {
    const std::uint64_t before = outcome(client, StatusCode::ok);
    REQUIRE(until([&] { return outcome(client, StatusCode::ok) > before + 20; }));
  }

  // ---- Operations that a test asks for

  struct Asked {
    std::size_t client = 0;
    std::size_t number = 0;
  };
  Asked ask(std::size_t client, const Wish& wish) {
    ClientProcess& process = *cluster.client(client);
    const Asked asked{client, process.workload().ask(wish)};
    process.wake_up();
    return asked;
  }
  Asked write(std::size_t client, std::uint64_t block, std::uint64_t count = 1) {
    return ask(client, {protocol::IoOp::write, block, count});
  }
  Asked read(std::size_t client, std::uint64_t block, std::uint64_t count = 1) {
    return ask(client, {protocol::IoOp::read, block, count});
  }
  Asked flush(std::size_t client) { return ask(client, {protocol::IoOp::flush, 0, 0}); }
  /// Nothing: it isn't over.
  [[nodiscard]] std::optional<StatusCode> answer(const Asked& asked) {
    return cluster.client(asked.client)->workload().answer(asked.number);
  }
  /// What comes of it.
  [[nodiscard]] StatusCode outcome(const Asked& asked) {
    REQUIRE(until([&] { return answer(asked).has_value(); }));
    return *answer(asked);
  }

  // ---- The operator, and what is said

  /// The volume moves to the other of two nodes.
  void start_move() {
    protocol::VolumeCommand migrate;
    migrate.verb = protocol::VolumeVerb::migrate;
    migrate.name = *protocol::VolumeName::from("vol0");
    migrate.node = protocol::NodeId(2 - home());
    cluster.console().ask(migrate, std::chrono::seconds(1));
  }
  /// Lines in all logs so far that have this in them.
  [[nodiscard]] std::size_t logged(std::string_view text) const {
    return static_cast<std::size_t>(std::ranges::count_if(
        log_, [text](const std::string& line) { return line.find(text) != std::string::npos; }));
  }
  [[nodiscard]] std::uint64_t mark(const std::string& name) { return cluster.marks()[name]; }

  [[nodiscard]] bool has_ended(std::size_t client) { return cluster.client(client)->has_ended(); }

  /// Nothing hangs, and everything that was acknowledged is there.
  void finish(std::size_t reader) {
    cluster.network().heal_all();
    if (cluster.client(reader) == nullptr || !cluster.client(reader)->is_connected()) {
      cluster.kill_client(reader);
      open(reader, true);
    }
    Workload& workload = cluster.client(reader)->workload();
    workload.stop();
    REQUIRE(until([&] { return workload.outstanding() == 0; }));
    workload.read_all();
    cluster.client(reader)->wake_up();
    REQUIRE(until([&] { return workload.has_read_all() && workload.outstanding() == 0; }));
    CHECK(cluster.history().counts().sectors_read > 0);
  }
  void check_rules() {
    if (const auto& violation = cluster.history().violation()) FAIL(violation->rule + ": " + violation->what);
  }

 private:
  std::vector<std::string> log_;  // before the cluster, which writes to it

 public:
  Cluster cluster;
  Traffic traffic;
};

}  // namespace sluice::sim
