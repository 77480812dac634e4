#pragma once

#include <string>
#include <vector>

#include "runtime/options.h"
#include "transport/transport_config.h"

namespace sluice::runtime {

/// The options that every program has for its connections: `transport.*` and `polling.*`. `local_host` isn't
/// among them: a daemon's follows from where it listens, a client's from add_local_addresses().
void add_transport_options(OptionTable& table, transport::TransportConfig& config);

/// `transport.local_addresses`: one rail each. Empty: one rail, on the first usable device.
void add_local_addresses(OptionTable& table, std::vector<std::string>& local_addresses);

}  // namespace sluice::runtime
