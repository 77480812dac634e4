#include "transport/sim/topology.h"

#include <algorithm>

#include "protocol/base/check.h"

namespace sluice::transport::sim {

Host& Topology::add_host(std::string name, const std::vector<std::string>& addresses) {
  check(!addresses.empty(), "a host has an address");
  check(find_host(name) == nullptr, "a host's name is its own");
  Host& host = hosts_.emplace_back();
  host.number = static_cast<std::uint32_t>(hosts_.size() - 1);
  host.name = std::move(name);
  hosts_by_name_.emplace(host.name, host.number);
  for (const std::string& address : addresses) {
    Nic& nic = nics_.emplace_back();
    nic.number = static_cast<std::uint32_t>(nics_.size() - 1);
    nic.host = host.number;
    nic.address = address;
    check(nics_by_address_.emplace(address, nic.number).second, "an address belongs to one device");
    host.nics.push_back(nic.number);
  }
  return host;
}

Host* Topology::find_host(std::string_view name_or_address) {
  if (const auto host = hosts_by_name_.find(name_or_address); host != hosts_by_name_.end())
    return &hosts_[host->second];
  const auto nic = nics_by_address_.find(name_or_address);
  return nic == nics_by_address_.end() ? nullptr : &host_of(nics_[nic->second]);
}

Nic* Topology::find_nic(std::string_view name_or_address) {
  if (const auto nic = nics_by_address_.find(name_or_address); nic != nics_by_address_.end())
    return &nics_[nic->second];
  const auto host = hosts_by_name_.find(name_or_address);
  return host == hosts_by_name_.end() ? nullptr : &nics_[hosts_[host->second].nics.front()];
}

Path& Topology::path(std::uint32_t from, std::uint32_t to) {
  const auto [entry, is_new] = paths_.try_emplace({from, to});
  if (is_new) {
    entry->second.latency = core_.config.latency;
    entry->second.jitter = core_.config.jitter;
  }
  return entry->second;
}

std::vector<std::uint32_t> Topology::nics_of(std::string_view name_or_address) {
  if (const auto nic = nics_by_address_.find(name_or_address); nic != nics_by_address_.end())
    return {nic->second};
  const auto host = hosts_by_name_.find(name_or_address);
  check(host != hosts_by_name_.end(), "a path joins hosts or devices that exist");
  return hosts_[host->second].nics;
}

std::vector<Path*> Topology::paths(std::string_view from, std::string_view to) {
  std::vector<Path*> found;
  for (const std::uint32_t source : nics_of(from)) {
    for (const std::uint32_t target : nics_of(to))
      found.push_back(&path(source, target));
  }
  return found;
}

std::vector<Path*> Topology::all_paths() {
  std::vector<Path*> found;
  for (auto& [ends, path] : paths_)
    found.push_back(&path);
  return found;
}

Instant Topology::arrival(const Path& path) {
  return std::max(core_.now(), path.stalled_until) + path.latency + core_.latencies.up_to(path.jitter);
}

}  // namespace sluice::transport::sim
