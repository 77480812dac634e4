#include "tests/sim/injector.h"

#include <algorithm>
#include <utility>

namespace sluice::sim {

using std::chrono::milliseconds;
using transport::sim::FaultKind;

namespace {

constexpr Duration kSupervision = milliseconds(200);
/// The operator's, with one command.
constexpr Duration kPatience = std::chrono::seconds(1);
constexpr Duration kCopyInterval = milliseconds(400);

}  // namespace

/// Nothing of it happens any more once everything was put right.
void Injector::after(Duration delay, std::function<void()> call) {
  cluster_.network().at(cluster_.now() + delay, [this, call = std::move(call)] {
    if (!is_healed_) call();
  });
}

void Injector::schedule(const std::vector<PlannedFault>& plan, const FaultFilter& filter) {
  for (const PlannedFault& planned : plan) {
    if (!filter.takes(planned)) continue;
    after(planned.at, [this, planned] { inject(planned); });
    if (planned.fault == Fault::restore_store || planned.fault == Fault::restore_disk) keep_copies();
  }
}

void Injector::supervise() {
  after(kSupervision, [this] {
    for (std::size_t i = 0; i < cluster_.setup().clients; ++i) {
      ClientProcess* const client = cluster_.client(i);
      if (client != nullptr && client->has_ended() && random_.below(3) == 0) cluster_.kill_client(i);
      if (cluster_.client(i) == nullptr && random_.below(3) == 0)
        cluster_.start_client(i, random_.below(3) == 0);
    }
    supervise();
  });
}

std::string Injector::host(std::uint64_t index) const {
  const ClusterSetup& setup = cluster_.setup();
  index %= Cluster::kMasters + setup.nodes + setup.clients;
  if (index < Cluster::kMasters) return Cluster::master_host(index);
  index -= Cluster::kMasters;
  return index < setup.nodes ? Cluster::node_host(index) : Cluster::client_host(index - setup.nodes);
}

const std::string& Injector::volume_name(std::uint64_t index) const {
  const auto& volumes = cluster_.setup().volumes;
  return volumes[index % volumes.size()].name;
}

void Injector::inject(const PlannedFault& planned) {
  ++counts_[static_cast<std::size_t>(planned.fault)];
  switch (planned.fault) {
    case Fault::kill_master:
    case Fault::kill_node:
    case Fault::kill_client:
    case Fault::power_loss:
    case Fault::master_power_loss:
    case Fault::pause_master:
    case Fault::pause_node:
    case Fault::pause_client:
    case Fault::new_master:
      return strike_process(planned);
    case Fault::partition:
    case Fault::partition_one_way:
    case Fault::cut_path:
    case Fault::stall_path:
    case Fault::remove_device:
    case Fault::late_threads:
      return strike_network(planned);
    case Fault::network_noise:
    case Fault::disk_noise:
    case Fault::store_noise:
      return make_noise(planned);
    case Fault::crash_in_call:
    case Fault::crash_at_commit:
    case Fault::restore_store:
    case Fault::restore_disk:
    case Fault::corruption:
      return strike_storage(planned);
    case Fault::steal:
    case Fault::migrate:
    case Fault::cancel_move:
    case Fault::resize:
    case Fault::close:
      return command(planned);
  }
}

// ---- Processes

void Injector::strike_process(const PlannedFault& planned) {
  const std::size_t node = planned.target % cluster_.setup().nodes;
  const std::size_t client = planned.target % cluster_.setup().clients;
  const std::size_t master = planned.target % Cluster::kMasters;
  switch (planned.fault) {
    case Fault::kill_master:
      for (std::size_t i = 0; i < Cluster::kMasters; ++i)
        cluster_.kill_master(i);
      return after(planned.lasts, [this, master] { cluster_.start_master(master); });
    case Fault::master_power_loss:
      for (std::size_t i = 0; i < Cluster::kMasters; ++i)
        cluster_.lose_master_power(i);
      return after(planned.lasts, [this, master] {
        for (std::size_t i = 0; i < Cluster::kMasters; ++i)
          cluster_.restore_power(Cluster::master_host(i));
        cluster_.start_master(master);
      });
    case Fault::new_master:
      // The other one, so that both live for a while.
      for (std::size_t i = 0; i < Cluster::kMasters; ++i) {
        if (cluster_.master(i) == nullptr) return cluster_.start_master(i);
      }
      cluster_.kill_master(master);
      return cluster_.start_master(master);
    case Fault::kill_node:
      return when_busy(node, [this, node, lasts = planned.lasts] {
        cluster_.kill_node(node);
        after(lasts, [this, node] { cluster_.start_node(node); });
      });
    case Fault::power_loss:
      return when_busy(node, [this, node, lasts = planned.lasts] {
        cluster_.lose_node_power(node);
        after(lasts, [this, node] {
          cluster_.restore_power(Cluster::node_host(node));
          cluster_.start_node(node);
        });
      });
    case Fault::kill_client:
      return cluster_.kill_client(client);  // the supervisor starts it again
    case Fault::pause_master:
      return pause(cluster_.master_in_charge(), planned.lasts);
    case Fault::pause_node:
      return pause(cluster_.node(node), planned.lasts);
    default:
      return pause(cluster_.client(client), planned.lasts);
  }
}

/// When it hurts: while the node's disk works on something, and takes its time; but not for ever.
void Injector::when_busy(std::size_t node, std::function<void()> call, unsigned tries) {
  if (tries == 300) cluster_.disk(node).strike_next(DiskFault::slow);
  if (tries == 0 || cluster_.disk(node).operations_under_way() > 0) return call();
  after(std::chrono::microseconds(100),
        [this, node, call = std::move(call), tries] { when_busy(node, call, tries - 1); });
}

void Injector::pause(Process* process, Duration lasts) {
  if (process == nullptr) return;
  process->pause();
  // It may be gone by then: found again by what is left of it.
  const std::string host_name = process->host();
  after(lasts, [this, host_name] {
    for (std::size_t i = 0; i < Cluster::kMasters; ++i) {
      if (Process* const each = cluster_.master(i); each != nullptr && each->host() == host_name)
        each->resume();
    }
    for (std::size_t i = 0; i < cluster_.setup().nodes; ++i) {
      if (Process* const each = cluster_.node(i); each != nullptr && each->host() == host_name)
        each->resume();
    }
    for (std::size_t i = 0; i < cluster_.setup().clients; ++i) {
      if (Process* const each = cluster_.client(i); each != nullptr && each->host() == host_name)
        each->resume();
    }
  });
}

// ---- The network

void Injector::strike_network(const PlannedFault& planned) {
  transport::sim::Network& network = cluster_.network();
  const std::string one = host(planned.target);
  const std::string other = host(planned.target + 1 + planned.detail % 5);
  const std::size_t path = planned.detail % cluster_.setup().paths;
  const std::size_t client = planned.detail / 7 % cluster_.setup().clients;
  // A path that is used.
  const std::size_t node = cluster_.home_of(client).value_or(planned.target % cluster_.setup().nodes);
  switch (planned.fault) {
    case Fault::partition:
    case Fault::partition_one_way:
      if (one == other) return;
      if (planned.fault == Fault::partition) {
        network.partition(one, other);
      } else {
        network.partition_one_way(one, other);
      }
      return after(planned.lasts, [this, one, other] { cluster_.network().heal(one, other); });
    case Fault::cut_path: {
      const std::string from = Cluster::client_address(client, path);
      const std::string to = Cluster::node_address(node, path);
      network.partition(from, to);
      return after(planned.lasts, [this, from, to] { cluster_.network().heal(from, to); });
    }
    case Fault::stall_path:
      if (planned.detail % 2 == 0)
        return network.stall_path(Cluster::client_address(client, path), Cluster::node_address(node, path),
                                  planned.lasts);
      return network.stall_path(Cluster::node_address(node, path), Cluster::client_address(client, path),
                                planned.lasts);
    case Fault::remove_device:
      return remove_device(node, path, planned.lasts);
    default:
      cluster_.scheduler().stall_ppm = 20'000;
      return after(planned.lasts, [this] { cluster_.scheduler().stall_ppm = 0; });
  }
}

void Injector::remove_device(std::size_t node, std::size_t path, Duration lasts) {
  const std::string address = Cluster::node_address(node, path);
  removed_devices_.insert(address);
  cluster_.network().remove_device(address);
  after(lasts, [this, node, address] {
    cluster_.network().restore_device(address);
    removed_devices_.erase(address);
    cluster_.kill_node(node);  // a device comes back with a restart
    cluster_.start_node(node);
  });
}

void Injector::make_noise(const PlannedFault& planned) {
  const std::uint32_t ppm = planned.ppm;
  if (planned.fault == Fault::network_noise) {
    const auto kind = static_cast<FaultKind>(planned.detail);
    cluster_.network().faults().latency_spike_max = milliseconds(planned.target % 2 == 0 ? 450 : 1500);
    cluster_.network().faults().set_rate(kind, ppm);
    return after(planned.lasts, [this, kind] { cluster_.network().faults().set_rate(kind, 0); });
  }
  if (planned.fault == Fault::disk_noise) {
    const auto kind = static_cast<DiskFault>(planned.detail);
    const std::size_t node = planned.target % cluster_.setup().nodes;
    cluster_.disk(node).set_rate(kind, ppm);
    if (kind == DiskFault::call_error) cluster_.disk(node).strike_next(kind);  // there may be none for long
    return after(planned.lasts, [this, kind, node] { cluster_.disk(node).set_rate(kind, 0); });
  }
  const auto kind = static_cast<StoreFault>(planned.detail);
  if (kind == StoreFault::unreadable) {  // only a master that takes over reads it
    cluster_.store().strike_next(kind);
    cluster_.kill_master(planned.target % Cluster::kMasters);
    return cluster_.start_master(planned.target % Cluster::kMasters);
  }
  cluster_.store().set_rate(kind, ppm);
  after(planned.lasts, [this, kind] { cluster_.store().set_rate(kind, 0); });
}

// ---- Disks and the store

void Injector::strike_storage(const PlannedFault& planned) {
  const std::size_t node = planned.target % cluster_.setup().nodes;
  switch (planned.fault) {
    case Fault::crash_in_call:
      calls_to_crash_[node] = planned.detail % 3;
      cluster_.disk(node).call_hook = [this, node] { crash_in_call(node); };
      return;
    case Fault::crash_at_commit:
      cluster_.store().strike_next(planned.detail % 2 == 0 ? StoreFault::crash_before
                                                           : StoreFault::crash_after);
      // The supervisor of the master.
      return after(planned.lasts, [this, master = planned.target % Cluster::kMasters] {
        if (cluster_.master_in_charge() == nullptr) cluster_.start_master(master);
      });
    case Fault::restore_store:
      return restore_store();
    case Fault::restore_disk:
      return restore_disk(node);
    default:
      cluster_.disk(node).corrupt_something();
  }
}

void Injector::crash_in_call(std::size_t node) {
  std::optional<std::uint64_t>& calls = calls_to_crash_[node];
  if (!calls || (*calls)-- > 0) return;
  calls.reset();
  cluster_.kill_node(node);
  after(milliseconds(50), [this, node] { cluster_.start_node(node); });
}

/// A backup now and then, to be put back later.
void Injector::keep_copies() {
  disk_copies_.resize(cluster_.setup().nodes);
  store_copies_.push_back(cluster_.store().contents());
  for (std::size_t i = 0; i < cluster_.setup().nodes; ++i)
    disk_copies_[i].push_back(cluster_.disk(i).copy());
  if (store_copies_.size() < 8) after(kCopyInterval, [this] { keep_copies(); });
}

void Injector::restore_store() {
  for (std::size_t i = 0; i < Cluster::kMasters; ++i)
    cluster_.kill_master(i);
  cluster_.store().restore(store_copies_[random_.below(store_copies_.size())]);
  cluster_.start_master(random_.below(Cluster::kMasters));
}

void Injector::restore_disk(std::size_t node) {
  cluster_.lose_node_power(node);
  if (!cluster_.network().is_up(Cluster::node_host(node))) cluster_.restore_power(Cluster::node_host(node));
  cluster_.disk(node).restore(*disk_copies_[node][random_.below(disk_copies_[node].size())]);
  cluster_.start_node(node);
  accept_rolled_back(node);
}

/// The operator looks at nodes that were found rolled back, and lets them go on.
void Injector::accept_rolled_back(std::size_t node) {
  const protocol::NodeId id(node + 1);
  if (cluster_.store().contents().rolled_back.contains(id) && cluster_.console().is_idle()) {
    protocol::NodeCommand command;
    command.verb = protocol::NodeVerb::accept;
    command.node = id;
    cluster_.console().ask(command, kPatience);
  }
  cluster_.network().at(cluster_.now() + milliseconds(300), [this, node] { accept_rolled_back(node); });
}

// ---- Callers and the operator

void Injector::command(const PlannedFault& planned) {
  const std::size_t client = planned.target % cluster_.setup().clients;
  protocol::VolumeCommand command;
  command.name = *protocol::VolumeName::from(volume_name(planned.target));
  switch (planned.fault) {
    case Fault::steal:
      cluster_.kill_client(client);
      return when_busy(planned.detail % cluster_.setup().nodes,
                       [this, client] { cluster_.start_client(client, true); });
    case Fault::close:
      if (ClientProcess* const each = cluster_.client(client)) each->close();
      return;
    case Fault::migrate:
      command.verb = protocol::VolumeVerb::migrate;
      command.node = protocol::NodeId(1 + planned.detail % cluster_.setup().nodes);
      break;
    case Fault::cancel_move:
      command.verb = protocol::VolumeVerb::cancel_move;
      break;
    default: {
      command.verb = protocol::VolumeVerb::resize;
      const VolumeSetup& volume = cluster_.setup().volumes[planned.target % cluster_.setup().volumes.size()];
      command.size = ByteCount((volume.blocks + 64 + planned.detail % 16) * volume.block_size);
      break;
    }
  }
  cluster_.console().ask(command, kPatience);
}

// ---- The end of the bad day

void Injector::heal() {
  is_healed_ = true;
  transport::sim::Network& network = cluster_.network();
  network.faults().calm();
  network.heal_all();
  cluster_.store().calm();
  cluster_.scheduler().stall_ppm = 0;
  for (const std::string& address : removed_devices_)
    network.restore_device(address);
  for (std::size_t i = 0; i < Cluster::kMasters; ++i) {
    cluster_.restore_power(Cluster::master_host(i));
    if (MasterProcess* const master = cluster_.master(i)) master->resume();
  }
  for (std::size_t i = 0; i < cluster_.setup().nodes; ++i) {
    cluster_.disk(i).calm();
    cluster_.disk(i).call_hook = nullptr;
    cluster_.restore_power(Cluster::node_host(i));
    if (!removed_devices_.empty()) cluster_.kill_node(i);
    cluster_.start_node(i);
    if (NodeProcess* const node = cluster_.node(i)) node->resume();
  }
  for (std::size_t i = 0; i < cluster_.setup().clients; ++i) {
    if (ClientProcess* const client = cluster_.client(i)) client->resume();
  }
  watch_masters();
}

/// Whoever supervises the masters sees to it that there is one.
void Injector::watch_masters() {
  if (cluster_.master_in_charge() == nullptr) cluster_.start_master(0);
  cluster_.network().at(cluster_.now() + kSupervision, [this] { watch_masters(); });
}

}  // namespace sluice::sim
