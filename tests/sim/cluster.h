#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/sim/client_process.h"
#include "tests/sim/disk.h"
#include "tests/sim/history.h"
#include "tests/sim/master_process.h"
#include "tests/sim/node_process.h"
#include "tests/sim/operator.h"
#include "tests/sim/process.h"
#include "tests/sim/scheduler.h"
#include "tests/sim/store.h"
#include "tests/sim/stranger.h"
#include "transport/sim/network.h"

namespace sluice::sim {

struct VolumeSetup {
  std::string name;
  std::uint64_t blocks = 32;
  std::uint32_t block_size = 4096;
  protocol::WritePolicy policy = protocol::WritePolicy::write_through;
};

/// What a cluster is made of.
struct ClusterSetup {
  std::size_t nodes = 2;
  std::size_t clients = 2;
  std::size_t paths = 2;  ///< devices of each node and client
  std::size_t reactors = 1;
  std::uint32_t window_size = 1024;
  std::uint16_t path_depth = 32;
  std::vector<VolumeSetup> volumes;
  WorkloadConfig workload;
  Duration long_path = std::chrono::microseconds(4);    ///< the last path's latency, and as much jitter
  Duration flush_delay = std::chrono::microseconds(2);  ///< of failed queue pairs
  bool fails_on_loss = false;                           ///< of the first client
  std::size_t readers = 0;                              ///< of the clients, the last ones
  bool has_stranger = false;
  bool one_client_id = false;  ///< all clients call themselves alike

  /// Which volume a client uses.
  [[nodiscard]] std::size_t volume_of(std::size_t client) const { return client / 2 % volumes.size(); }

  /// Drawn from a seed: small windows and large ones, one path or four, every policy.
  static ClusterSetup draw(std::uint64_t seed);
  [[nodiscard]] std::string describe() const;
};

/// Masters, nodes, clients and an operator, each a process on a host of its own, and what outlives them:
/// disks and the metadata store. Everything in one thread and virtual time.
class Cluster {
 public:
  static constexpr std::size_t kMasters = 2;

  Cluster(std::uint64_t seed, const ClusterSetup& setup, transport::LogSink log);
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;
  ~Cluster();

  /// Runs the next event. False: nothing will ever happen.
  bool step();
  /// False: `limit` passed before `done`, or a rule was broken.
  bool run_until(const std::function<bool()>& done, Duration limit);
  void run_for(Duration span) {
    run_until([] { return false; }, span);
  }

  // ---- Processes. One that is dead already isn't killed, one that lives isn't started.

  void start_master(std::size_t index);
  void start_node(std::size_t index);
  void start_client(std::size_t index, bool steal);
  void start_stranger();
  void kill_master(std::size_t index) { bury(masters_.at(index)); }
  void kill_node(std::size_t index) { bury(nodes_.at(index)); }
  void kill_client(std::size_t index) { bury(clients_.at(index)); }
  /// Of the host and everything on it; restore_power() before anything is started there.
  void lose_node_power(std::size_t index);
  void lose_master_power(std::size_t index);
  void restore_power(const std::string& host) { network_.restart_host(host); }
  /// The master that answers, or the first that lives; null if none does.
  [[nodiscard]] MasterProcess* master_in_charge();

  [[nodiscard]] MasterProcess* master(std::size_t index) { return live(masters_.at(index)); }
  [[nodiscard]] NodeProcess* node(std::size_t index) { return live(nodes_.at(index)); }
  [[nodiscard]] ClientProcess* client(std::size_t index) { return live(clients_.at(index)); }
  [[nodiscard]] Stranger* stranger() { return live(stranger_); }
  [[nodiscard]] Operator& console() noexcept { return *operator_; }

  /// The node that has the client's volume, as far as the masters know; nothing if there is no such volume.
  [[nodiscard]] std::optional<std::size_t> home_of(std::size_t client) const;

  /// The operator makes the volumes. False: that took too long.
  bool make_volumes();

  [[nodiscard]] const ClusterSetup& setup() const noexcept { return setup_; }
  [[nodiscard]] transport::sim::Network& network() noexcept { return network_; }
  [[nodiscard]] Scheduler& scheduler() noexcept { return scheduler_; }
  [[nodiscard]] History& history() noexcept { return history_; }
  [[nodiscard]] StoreMedium& store() noexcept { return store_; }
  [[nodiscard]] SimDisk& disk(std::size_t index) { return *disks_.at(index); }
  [[nodiscard]] Instant now() const noexcept { return network_.now(); }
  /// What nodes and clients counted, dead ones included, by name.
  [[nodiscard]] std::map<std::string, std::uint64_t> marks();

  [[nodiscard]] static std::string master_host(std::size_t index) { return "m" + std::to_string(index); }
  [[nodiscard]] static std::string node_host(std::size_t index) { return "n" + std::to_string(index); }
  [[nodiscard]] static std::string client_host(std::size_t index) { return "c" + std::to_string(index); }
  [[nodiscard]] static std::string node_address(std::size_t index, std::size_t path);
  [[nodiscard]] static std::string client_address(std::size_t index, std::size_t path);
  [[nodiscard]] std::vector<transport::Address> master_addresses() const;

 private:
  template <typename Kind>
  [[nodiscard]] static Kind* live(const std::unique_ptr<Kind>& process) {
    return process != nullptr && process->is_alive() ? process.get() : nullptr;
  }
  template <typename Kind>
  void bury(std::unique_ptr<Kind>& process) {
    if (process == nullptr) return;
    process->kill(false);
    take_marks(*process);
    graveyard_.push_back(std::move(process));
  }
  void make_volume(const VolumeSetup& volume);
  void start_again(std::function<void()> start);
  void take_marks(const Process& process);
  [[nodiscard]] std::uint64_t draw_seed() { return seeds_.next(); }
  [[nodiscard]] transport::TransportConfig transport() const;

  class OperatorProcess;

  ClusterSetup setup_;
  transport::sim::Random seeds_;
  transport::sim::Network network_;
  Scheduler scheduler_;
  History history_;
  StoreMedium store_;
  Environment environment_;
  std::vector<std::unique_ptr<SimDisk>> disks_;
  std::vector<std::unique_ptr<MasterProcess>> masters_;
  std::vector<std::unique_ptr<NodeProcess>> nodes_;
  std::vector<std::unique_ptr<ClientProcess>> clients_;
  std::unique_ptr<Stranger> stranger_;
  std::unique_ptr<OperatorProcess> operator_process_;
  Operator* operator_ = nullptr;
  std::vector<std::unique_ptr<Process>> graveyard_;
  std::map<std::string, std::uint64_t> marks_;
};

}  // namespace sluice::sim
