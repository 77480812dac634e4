#pragma once

#include <cstdint>
#include <functional>
#include <map>

#include "transport/sim/connection_manager.h"
#include "transport/sim/core.h"
#include "transport/sim/topology.h"
#include "transport/sim/wire.h"

namespace sluice::transport::sim {

class SimProvider;

/// The simulated world behind the Network's calls; what providers and their objects work with.
struct Fabric {
  Fabric(std::uint64_t seed, const NetworkConfig& config) : core(seed, config) {}

  /// Runs the next event. False: there is none.
  bool step();

  Core core;
  Topology topology{core};
  Wire wire{core, topology};
  ConnectionManager connections{core, topology};
  std::map<std::uint64_t, SimProvider*> providers;  ///< by number
  std::uint64_t next_provider = 1;
  std::uint64_t next_domain = 1;
  std::map<std::uint64_t, std::function<void()>> calls;  ///< of Network::at, by number
  std::uint64_t next_call = 1;
};

}  // namespace sluice::transport::sim
