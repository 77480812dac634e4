#include "tests/sim/master_process.h"

#include <utility>

namespace sluice::sim {

using std::chrono::milliseconds;

MasterProcess::MasterProcess(Environment& environment, std::string host, StoreMedium& medium,
                             transport::Address address, const transport::TransportConfig& transport)
    : Process(environment, host, host), store_(medium, [this] { kill(false); }) {
  master::MasterConfig config;
  config.listen = {address};
  config.max_connections = 64;
  config.heartbeat_timeout = milliseconds(1500);
  config.order_timeout = milliseconds(2000);
  config.keepalive = {milliseconds(200), 3};
  master_ = std::make_unique<master::Master>(config, store_, environment.network.clock(), log_sink());
  transport::TransportConfig device = transport;
  device.local_host = address.host;
  std::vector<std::unique_ptr<transport::Provider>> providers;
  if (auto provider = open_provider(device)) providers.push_back(std::move(*provider));
  if (providers.empty() || !master_->start(std::move(providers))) {
    master_.reset();
    fail_to_start();
    return;
  }
  if (is_alive()) start(*this);
}

MasterProcess::~MasterProcess() {
  kill(false);
  master_.reset();
}

bool MasterProcess::turn() {
  const bool any = master_->turn();
  if (is_alive() && (master_->is_over() || master_->fatal().code != StatusCode::ok)) kill(false);
  return any;
}

}  // namespace sluice::sim
