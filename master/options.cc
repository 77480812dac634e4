#include "master/options.h"

#include "runtime/transport_options.h"

namespace sluice::master {

MasterOptions::MasterOptions() {
  // Nobody waits for a master's microseconds: it had better leave the processor to others.
  transport.polling.mode = transport::PollingMode::event;
}

MasterConfig MasterOptions::master_config() const {
  MasterConfig config = master;
  config.keepalive.interval = keepalive_interval;
  config.keepalive.misses = keepalive_misses;
  return config;
}

runtime::OptionTable make_option_table(MasterOptions& options) {
  runtime::OptionTable table({.name = "sluice-master",
                              .summary =
                                  "Holds the volumes and their versions: who may open a volume, and where "
                                  "it lives.",
                              .default_file = "/etc/sluice/master.yaml"});
  table.group("Master");
  table.add("listen", options.master.listen,
            "Where clients, nodes and operators reach the master. There is no authentication yet: only "
            "addresses of a trusted network. Port 0: any");
  table.add(
      "database", options.database,
      "The file with the metadata, made if there is none; on a shared file system for a standby master");
  table.add("database_timeout_ms", options.database_timeout, {1, 60'000},
            "How long to wait for another process that has locked the database");
  table.add("port_file", options.port_file,
            "Write the ports that are listened at to this file, one a line, once they are open");

  table.group("Limits");
  table.add("max_connections", options.master.max_connections, {2, 512},
            "Connections of clients, nodes and operators at one time");
  table.add("max_volumes", options.master.max_volumes, {1, 1'000'000}, "Volumes in the cluster");
  table.add("heartbeat_timeout_ms", options.master.heartbeat_timeout, {1000, 600'000},
            "A node that hasn't given a heartbeat for so long is taken for lost");
  table.add(
      "order_timeout_ms", options.master.order_timeout, {1000, 86'400'000},
      "An order that its node hasn't answered for so long has failed: longer than storage takes to make, "
      "zero or give back a volume");
  table.add("keepalive.interval_ms", options.keepalive_interval, {10, 60'000},
            "Without a message for so long, a sign of life is asked for");
  table.add("keepalive.misses", options.keepalive_misses, {1, 100},
            "Intervals without a sign of life that end a connection");

  table.add_rule([&options]() -> Status {
    if (options.master.listen.empty()) {
      return fail(StatusCode::invalid_argument,
                  "listen: expected at least one address, such as 127.0.0.1:7470");
    }
    if (options.database.empty()) {
      return fail(StatusCode::invalid_argument, "database: expected a file");
    }
    return {};
  });

  runtime::add_transport_options(table, options.transport);
  runtime::add_log_options(table, options.log);
  return table;
}

}  // namespace sluice::master
