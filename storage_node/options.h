#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/logging.h"
#include "runtime/options.h"
#include "storage_node/backends/node_storage.h"
#include "storage_node/node_core.h"
#include "transport/transport_config.h"

namespace sluice::storage_node {

/// Everything that sluice-node can be told.
struct NodeOptions {
  NodeCoreConfig core;
  StorageConfig storage;
  transport::TransportConfig transport;
  runtime::LogConfig log;
  std::vector<std::string> slots{"32x64K", "4x1M"};  ///< as written; also in core once verified
  std::vector<std::string> cpus;                     ///< one a reactor, or none
  std::string port_file;
  std::chrono::milliseconds lock_timeout{10'000};

  NodeOptions();
};

/// The table of its options, bound to `options`, which outlives it.
[[nodiscard]] runtime::OptionTable make_option_table(NodeOptions& options);

/// "32x64K": so many slots of that size. Errors: invalid_argument.
[[nodiscard]] Result<protocol::SlotClass> parse_slots(const std::string& text);

}  // namespace sluice::storage_node
