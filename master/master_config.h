#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/control_link.h"
#include "transport/transport_config.h"

namespace sluice::master {

/// What a master is told.
struct MasterConfig {
  /// One control port is open at each: for clients, nodes and operators. Port 0: any.
  std::vector<transport::Address> listen{{"127.0.0.1", 7470}};
  std::uint32_t max_connections = 256;
  std::uint64_t max_volumes = 10'000;
  /// A node whose heartbeats stay away for so long is lost, though its connection stands.
  std::chrono::milliseconds heartbeat_timeout{10'000};
  /// A node that is up and hasn't answered an order for so long has failed to carry it out.
  std::chrono::milliseconds order_timeout{60'000};
  runtime::KeepaliveConfig keepalive;
};

}  // namespace sluice::master
