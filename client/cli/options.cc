#include "client/cli/options.h"

#include <utility>

#include "protocol/identifiers.h"
#include "runtime/transport_options.h"

namespace sluice::cli {

runtime::OptionTable client_option_table(ClientOptions& options) {
  runtime::OptionTable table(
      {"sluice", "The command line client.", "/etc/sluice/client.yaml", "SLUICE_CONFIG"});
  table.group("Cluster");
  table.add("masters", options.masters,
            "Where masters listen; each is tried until the one in charge has answered");
  table.add("client_id", options.client_id,
            "Who opens volumes, as masters and logs show it; empty: the host's name",
            [](const std::string& id) {
              return protocol::ClientId::from(id)
                         ? std::nullopt
                         : std::optional<std::string>("at most 63 printable ASCII characters without spaces");
            });
  table.add("answer_timeout_ms", options.answer_timeout, {100, 3'600'000},
            "How long a command waits for a master's or a node's answer");
  table.group("Volumes");
  table.add("volume.open_timeout_ms", options.open_timeout, {100, 3'600'000},
            "How long opening a volume may take, until a session stands and a path is up");
  table.add("volume.io_timeout_ms", options.io_timeout, {10, 3'600'000},
            "A request that takes longer is sent over another path as well");
  table.add_choice("volume.on_loss", options.on_loss,
                   {{"queue", client::LossPolicy::queue}, {"fail", client::LossPolicy::fail}},
                   "While no path is up: queue waits for as long as it takes, fail gives up after "
                   "volume.loss_deadline_ms");
  table.add("volume.loss_deadline_ms", options.loss_deadline, {0, 3'600'000},
            "on_loss fail: how long to wait for a path before requests fail");
  table.add("volume.queue_depth", options.queue_depth, {1, 4096}, "Requests under way at one time");
  runtime::add_local_addresses(table, options.local_addresses);
  runtime::add_transport_options(table, options.transport);
  runtime::add_log_options(table, options.log);
  table.add_rule([&options]() -> Status {
    if (!options.masters.empty()) return {};
    return fail(StatusCode::invalid_argument, "masters is empty: expected at least one HOST:PORT");
  });
  return table;
}

client::AdminClientConfig admin_config(const ClientOptions& options, std::string peer,
                                       std::vector<transport::Address> addresses) {
  client::AdminClientConfig config;
  config.peer = std::move(peer);
  config.addresses = std::move(addresses);
  config.transport = options.transport;
  if (!options.local_addresses.empty()) config.transport.local_host = options.local_addresses.front();
  config.timeout = options.answer_timeout;
  return config;
}

client::BlockClientConfig volume_config(const ClientOptions& options, const std::string& volume) {
  client::BlockClientConfig config;
  config.masters = options.masters;
  config.volume = volume;
  config.client = options.client_id;
  config.local_hosts = options.local_addresses;
  config.transport = options.transport;
  config.open_timeout = options.open_timeout;
  config.io_timeout = options.io_timeout;
  config.on_loss = options.on_loss;
  config.loss_deadline = options.loss_deadline;
  config.queue_depth = options.queue_depth;
  config.on_event = [log = options.transport.log](const client::ClientEvent& event) {
    if (log) log(event.level, event.text);
  };
  return config;
}

}  // namespace sluice::cli
