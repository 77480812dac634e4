#include "transport/sim/network.h"

#include <algorithm>
#include <utility>

#include "transport/sim/endpoint.h"
#include "transport/sim/fabric.h"
#include "transport/sim/sim_provider.h"

namespace sluice::transport::sim {

namespace {

SimProvider& as_sim(Provider& provider) {
  auto* sim = dynamic_cast<SimProvider*>(&provider);
  check(sim != nullptr, "the provider is a simulated one");
  return *sim;
}

SimEndpoint& as_sim(Endpoint& endpoint) {
  auto* sim = dynamic_cast<SimEndpoint*>(&endpoint);
  check(sim != nullptr, "the endpoint is a simulated one");
  return *sim;
}

Host& existing_host(Fabric& fabric, std::string_view name) {
  Host* host = fabric.topology.find_host(name);
  check(host != nullptr, "the host exists");
  return *host;
}

Nic& existing_nic(Fabric& fabric, std::string_view address) {
  Nic* nic = fabric.topology.find_nic(address);
  check(nic != nullptr, "the device exists");
  return *nic;
}

}  // namespace

Network::Network(std::uint64_t seed, const NetworkConfig& config)
    : fabric_(std::make_unique<Fabric>(seed, config)) {}

Network::~Network() {
  check(fabric_->providers.empty(), "providers go before their network");
}

void Network::add_host(std::string name, const std::vector<std::string>& addresses) {
  fabric_->topology.add_host(std::move(name), addresses);
}

Result<std::unique_ptr<Provider>> Network::open_provider(std::string_view host,
                                                         const TransportConfig& config) {
  const std::string what = "open the simulated device of host " + std::string(host);
  Host* const found = fabric_->topology.find_host(host);
  if (found == nullptr) return fail(StatusCode::address_unusable, what + ": no such host in the network");
  if (!found->is_up) return fail(StatusCode::unavailable, what + ": the host is down");
  Nic* nic = config.local_host.empty() ? fabric_->topology.find_nic(host)
                                       : fabric_->topology.find_nic(config.local_host);
  if (nic == nullptr || nic->host != found->number) {
    return fail(StatusCode::address_unusable, what + ": it has no address " + config.local_host);
  }
  if (!nic->is_present) return fail(StatusCode::no_device, what + ": " + nic->address + " was removed");
  if (injected_failure(config.faults, "sim_open_device"))
    return fail(StatusCode::out_of_memory, what + ": no room");
  return std::make_unique<SimProvider>(*fabric_, *nic, config);
}

// ---- Time

const Clock& Network::clock() const noexcept {
  return fabric_->core;
}

Instant Network::now() const noexcept {
  return fabric_->core.now();
}

bool Network::step() {
  if (!fabric_->step()) return false;
  ++events_run_;
  return true;
}

std::optional<Instant> Network::next_event_time() const noexcept {
  return fabric_->core.next_event_time();
}

void Network::run_until(Instant when) {
  for (auto next = fabric_->core.next_event_time(); next && *next <= when;
       next = fabric_->core.next_event_time()) {
    step();
  }
  fabric_->core.advance_to(when);
}

bool Network::run_until_idle(Duration limit) {
  const Instant deadline = now() + limit;
  for (auto next = fabric_->core.next_event_time(); next; next = fabric_->core.next_event_time()) {
    if (*next > deadline) {
      fabric_->core.advance_to(deadline);
      return false;
    }
    step();
  }
  return true;
}

std::uint64_t Network::at(Instant when, std::function<void()> call) {
  const std::uint64_t number = fabric_->next_call++;
  fabric_->calls.emplace(number, std::move(call));
  fabric_->core.schedule(when, EventKind::call, number);
  return number;
}

void Network::cancel(std::uint64_t timer) {
  fabric_->calls.erase(timer);
}

void Network::set_ready_callback(Provider& provider, std::function<void()> callback) {
  as_sim(provider).set_ready_callback(std::move(callback));
}

bool Network::is_ready(const Provider& provider) const {
  const auto* sim = dynamic_cast<const SimProvider*>(&provider);
  check(sim != nullptr, "the provider is a simulated one");
  return sim->is_ready();
}

// ---- Paths

void Network::set_path(std::string_view from, std::string_view to, Duration latency, Duration jitter) {
  for (Path* path : fabric_->topology.paths(from, to)) {
    path->latency = latency;
    path->jitter = jitter;
  }
}

void Network::partition(std::string_view one, std::string_view other) {
  partition_one_way(one, other);
  partition_one_way(other, one);
}

void Network::partition_one_way(std::string_view from, std::string_view to) {
  for (Path* path : fabric_->topology.paths(from, to))
    path->is_cut = true;
  fabric_->core.count_fault(FaultKind::partition, fabric_->topology.find_nic(from)->number);
}

void Network::heal(std::string_view one, std::string_view other) {
  for (Path* path : fabric_->topology.paths(one, other))
    path->is_cut = false;
  for (Path* path : fabric_->topology.paths(other, one))
    path->is_cut = false;
  fabric_->core.count_fault(FaultKind::heal, fabric_->topology.find_nic(one)->number);
}

void Network::heal_all() {
  for (Path* path : fabric_->topology.all_paths())
    path->is_cut = false;
  fabric_->core.count_fault(FaultKind::heal, 0);
}

void Network::stall_path(std::string_view from, std::string_view to, Duration span) {
  for (Path* path : fabric_->topology.paths(from, to))
    path->stalled_until = std::max(path->stalled_until, now() + span);
  fabric_->core.count_fault(FaultKind::path_stall, fabric_->topology.find_nic(from)->number);
}

// ---- Faults

Faults& Network::faults() noexcept {
  return fabric_->core.faults;
}

void Network::fail_endpoint(Endpoint& endpoint) {
  QueuePair& queue_pair = as_sim(endpoint).queue_pair();
  fabric_->core.count_fault(FaultKind::queue_pair_error, queue_pair.number());
  queue_pair.break_down();
}

void Network::exhaust_retries(Endpoint& endpoint) {
  QueuePair& queue_pair = as_sim(endpoint).queue_pair();
  fabric_->core.count_fault(FaultKind::retry_exhaustion, queue_pair.number());
  queue_pair.lose_acknowledgements();
}

void Network::pause(Provider& provider) {
  fabric_->core.count_fault(FaultKind::provider_pause, as_sim(provider).number());
  as_sim(provider).pause();
}

void Network::resume(Provider& provider) {
  fabric_->core.count_fault(FaultKind::provider_resume, as_sim(provider).number());
  as_sim(provider).resume();
}

void Network::kill(Provider& provider) {
  fabric_->core.count_fault(FaultKind::provider_kill, as_sim(provider).number());
  as_sim(provider).die(true);
}

void Network::crash_host(std::string_view name) {
  Host& host = existing_host(*fabric_, name);
  if (!host.is_up) return;
  fabric_->core.count_fault(FaultKind::host_crash, host.number);
  host.is_up = false;
  for (auto& [number, provider] : fabric_->providers) {
    if (provider->nic().host == host.number) provider->die(false);
  }
  for (const std::uint32_t nic : host.nics)
    fabric_->connections.forget_device(nic);
}

void Network::restart_host(std::string_view name) {
  Host& host = existing_host(*fabric_, name);
  if (host.is_up) return;
  fabric_->core.count_fault(FaultKind::host_restart, host.number);
  host.is_up = true;
}

bool Network::is_up(std::string_view host) const {
  return existing_host(*fabric_, host).is_up;
}

void Network::remove_device(std::string_view address) {
  Nic& nic = existing_nic(*fabric_, address);
  if (!nic.is_present) return;
  fabric_->core.count_fault(FaultKind::device_removal, nic.number);
  nic.is_present = false;
  for (auto& [number, provider] : fabric_->providers) {
    if (provider->nic().number == nic.number) provider->remove_device();
  }
  fabric_->connections.forget_device(nic.number);
}

void Network::restore_device(std::string_view address) {
  existing_nic(*fabric_, address).is_present = true;
}

// ---- What happened

std::uint64_t Network::trace_hash() const noexcept {
  return fabric_->core.trace.hash();
}

void Network::set_trace_sink(TraceSink sink) {
  fabric_->core.trace.set_sink(std::move(sink));
}

void Network::set_write_sink(WriteSink sink) {
  fabric_->wire.on_write = std::move(sink);
}

void Network::set_arrival_sink(ArrivalSink sink) {
  fabric_->wire.on_arrival = std::move(sink);
}

std::size_t Network::registered_regions() const noexcept {
  return fabric_->wire.memory.size();
}

std::size_t Network::packets_under_way() const noexcept {
  return fabric_->wire.packets.in_use();
}

std::size_t Network::open_connections() const noexcept {
  return fabric_->connections.size();
}

}  // namespace sluice::transport::sim
