#pragma once

#include <chrono>
#include <string>

#include "master/master_config.h"
#include "runtime/logging.h"
#include "runtime/options.h"
#include "transport/transport_config.h"

namespace sluice::master {

/// All that sluice-master is told, by file and command line.
struct MasterOptions {
  MasterOptions();

  std::string database = "/var/lib/sluice/master.db";
  std::chrono::milliseconds database_timeout{2000};
  std::string port_file;
  std::chrono::milliseconds keepalive_interval{1000};
  std::uint32_t keepalive_misses = 3;
  MasterConfig master;
  transport::TransportConfig transport;
  runtime::LogConfig log;

  /// The master's part, with what the options give in other units.
  [[nodiscard]] MasterConfig master_config() const;
};

/// The table of the options, bound to `options`, which outlives it.
[[nodiscard]] runtime::OptionTable make_option_table(MasterOptions& options);

}  // namespace sluice::master
