#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/base/clock.h"
#include "transport/sim/core.h"

namespace sluice::transport::sim {

/// One network device of a host, with one address.
struct Nic {
  std::uint32_t number = 0;
  std::uint32_t host = 0;
  std::string address;
  bool is_present = true;
};

struct Host {
  std::uint32_t number = 0;
  std::string name;
  std::vector<std::uint32_t> nics;
  bool is_up = true;
};

/// One direction between two devices.
struct Path {
  Duration latency{};
  Duration jitter{};
  bool is_cut = false;
  Instant stalled_until{};  ///< what is sent before it leaves then
};

/// Hosts, their devices and the paths between these.
class Topology {
 public:
  explicit Topology(Core& core) : core_(core) {}

  /// A name or address that is taken already is a mistake of the caller: check().
  Host& add_host(std::string name, const std::vector<std::string>& addresses);

  /// By name, or by one of its addresses; null if there is none.
  [[nodiscard]] Host* find_host(std::string_view name_or_address);
  /// By address; a host's name stands for its first device. Null if there is none.
  [[nodiscard]] Nic* find_nic(std::string_view name_or_address);
  [[nodiscard]] Nic& nic(std::uint32_t number) { return nics_.at(number); }
  [[nodiscard]] Host& host_of(const Nic& nic) { return hosts_.at(nic.host); }
  [[nodiscard]] bool is_reachable(const Nic& nic) { return nic.is_present && host_of(nic).is_up; }

  /// Stable for the network's lifetime.
  [[nodiscard]] Path& path(std::uint32_t from, std::uint32_t to);
  /// All paths from one host's devices (or one device) to another's.
  [[nodiscard]] std::vector<Path*> paths(std::string_view from, std::string_view to);
  /// All paths that were used or changed so far.
  [[nodiscard]] std::vector<Path*> all_paths();

  /// When something sent now arrives; draws the jitter.
  [[nodiscard]] Instant arrival(const Path& path);

 private:
  [[nodiscard]] std::vector<std::uint32_t> nics_of(std::string_view name_or_address);

  Core& core_;
  std::deque<Host> hosts_;
  std::deque<Nic> nics_;
  std::map<std::string, std::uint32_t, std::less<>> hosts_by_name_;
  std::map<std::string, std::uint32_t, std::less<>> nics_by_address_;
  std::map<std::pair<std::uint32_t, std::uint32_t>, Path> paths_;
};

}  // namespace sluice::transport::sim
