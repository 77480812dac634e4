#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/status.h"

namespace sluice::sim {

/// What is done to a cluster while it works.
enum class Fault : std::uint8_t {
  kill_master,
  kill_node,
  kill_client,
  power_loss,         ///< of a node's host
  master_power_loss,  ///< of a master's host: its peers are told nothing
  pause_master,       ///< SIGSTOP, and SIGCONT after `lasts`
  pause_node,
  pause_client,
  partition,  ///< between two hosts, both ways
  partition_one_way,
  cut_path,         ///< between one device of a client and one of a node
  stall_path,       ///< what is sent is held back for `lasts`
  remove_device,    ///< of a node, until its restart
  new_master,       ///< another master takes over, the old one doesn't know
  network_noise,    ///< a transport fault at a rate
  disk_noise,       ///< a disk fault at a rate
  store_noise,      ///< a fault of the metadata store at a rate
  late_threads,     ///< threads come late
  crash_in_call,    ///< a node dies within its next call that changes its disk
  crash_at_commit,  ///< a master dies just before or after its next commit
  restore_store,    ///< the masters' store is replaced by an old copy, with all masters
  restore_disk,     ///< a node's disk is replaced by an old copy, and accepted by the operator
  corruption,       ///< a sector changes by itself
  // What an operator or a caller does is no fault, but as much a part of a bad day.
  steal,  ///< another client opens the volume
  migrate,
  cancel_move,
  resize,
  close,  ///< a client closes, and opens again
};
inline constexpr std::size_t kFaults = static_cast<std::size_t>(Fault::close) + 1;
[[nodiscard]] std::string_view to_string(Fault fault) noexcept;

struct PlannedFault {
  std::uint32_t number = 0;  ///< in its plan: what --only and --without name
  Duration at{};             ///< since the cluster was up
  Fault fault = Fault::kill_master;
  std::uint64_t target = 0;  ///< which of the processes, modulo their number
  std::uint64_t detail = 0;  ///< of its kind
  std::uint32_t ppm = 0;     ///< noise
  Duration lasts{};
};
/// "#3 at 812 ms: kill_node 1, for 40 ms".
[[nodiscard]] std::string to_string(const PlannedFault& fault);

/// The faults of a seed, in the order of their times: a different mixture for each seed, so that some runs
/// see much of a few kinds.
[[nodiscard]] std::vector<PlannedFault> make_plan(std::uint64_t seed, Duration span);

/// Which faults of a plan take place. "all", "none", "only=3,7", "without=2".
class FaultFilter {
 public:
  static Result<FaultFilter> parse(std::string_view text);
  static FaultFilter only(std::set<std::uint32_t> numbers) { return {true, std::move(numbers)}; }

  [[nodiscard]] bool takes(const PlannedFault& fault) const {
    return numbers_.contains(fault.number) == only_;
  }
  [[nodiscard]] std::string describe() const;

  FaultFilter() = default;

 private:
  FaultFilter(bool only, std::set<std::uint32_t> numbers) : only_(only), numbers_(std::move(numbers)) {}

  bool only_ = false;
  std::set<std::uint32_t> numbers_;
};

}  // namespace sluice::sim
