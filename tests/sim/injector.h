#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/cluster.h"
#include "tests/sim/fault_plan.h"
#include "transport/sim/random.h"

namespace sluice::sim {

/// Does to a cluster what a plan says, undoes it when its time is over, and puts everything right in the end.
class Injector {
 public:
  Injector(Cluster& cluster, std::uint64_t seed) : cluster_(cluster), random_(seed) {}

  /// Everything that `filter` takes of the plan, from now on.
  void schedule(const std::vector<PlannedFault>& plan, const FaultFilter& filter);
  /// Starts clients that have ended again, as people do; some steal.
  void supervise();
  /// Faults stop: what is broken is repaired, what is dead is started.
  void heal();

  [[nodiscard]] std::uint64_t count(Fault fault) const noexcept {
    return counts_[static_cast<std::size_t>(fault)];
  }

 private:
  void inject(const PlannedFault& planned);
  void strike_process(const PlannedFault& planned);
  void strike_network(const PlannedFault& planned);
  void strike_storage(const PlannedFault& planned);
  void command(const PlannedFault& planned);
  void make_noise(const PlannedFault& planned);
  void pause(Process* process, Duration lasts);
  void remove_device(std::size_t node, std::size_t path, Duration lasts);
  void restore_store();
  void restore_disk(std::size_t node);
  void accept_rolled_back(std::size_t node);
  void watch_masters();
  void when_busy(std::size_t node, std::function<void()> call, unsigned tries = 300);
  void crash_in_call(std::size_t node);
  void keep_copies();
  void after(Duration delay, std::function<void()> call);
  [[nodiscard]] std::string host(std::uint64_t index) const;
  [[nodiscard]] const std::string& volume_name(std::uint64_t index) const;

  Cluster& cluster_;
  transport::sim::Random random_;
  bool is_healed_ = false;
  std::array<std::uint64_t, kFaults> counts_{};
  std::map<std::size_t, std::optional<std::uint64_t>> calls_to_crash_;  ///< by node: those before it
  std::set<std::string> removed_devices_;
  std::vector<StoreMedium::Contents> store_copies_;
  std::vector<std::vector<std::shared_ptr<const SimDisk::Copy>>> disk_copies_;  ///< by node
};

}  // namespace sluice::sim
