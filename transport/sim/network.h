#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/status.h"
#include "transport/provider.h"
#include "transport/sim/core.h"
#include "transport/sim/faults.h"
#include "transport/sim/observers.h"
#include "transport/sim/trace.h"

namespace sluice::transport::sim {

struct Fabric;

/// A network of RDMA hosts in one thread and virtual time: what happens depends on the seed, the
/// configuration and the calls, and on nothing else.
///
///     Network network(seed);
///     network.add_host("node", {"10.0.0.1", "10.0.1.1"});  // two devices: two paths
///     network.add_host("client", {"10.0.0.2"});
///     auto node = network.open_provider("node", {});
///     ...
///     network.run_for(std::chrono::milliseconds(1));
///
/// Time passes in step(), the run_... calls and CompletionQueue::wait() alone. The devices then do what
/// devices do: move data, acknowledge, retransmit, give up. Processes act when their owner lets them: the
/// ready callback says that one has something to look at.
///
/// Hosts are named by their name or one of their addresses; where a device is meant, an address picks one and
/// a name stands for the first. Naming one that doesn't exist is a mistake of the caller: check().
/// Providers, and all that came from them, go before the network.
class Network {
 public:
  explicit Network(std::uint64_t seed, const NetworkConfig& config = {});
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;
  ~Network();

  void add_host(std::string name, const std::vector<std::string>& addresses);

  /// A process (or thread) of that host. `config.local_host` picks the device; empty: the host's first.
  /// Errors: address_unusable (not this host's), no_device (removed), unavailable (the host is down),
  /// out_of_memory (FaultInjector call "sim_open_device").
  Result<std::unique_ptr<Provider>> open_provider(std::string_view host, const TransportConfig& config);

  // ---- Time

  [[nodiscard]] const Clock& clock() const noexcept;
  [[nodiscard]] Instant now() const noexcept;
  /// The next event, and its time. False, and no time passes, if there is none.
  bool step();
  [[nodiscard]] std::optional<Instant> next_event_time() const noexcept;
  /// All events up to and including `when`; then it is `when`.
  void run_until(Instant when);
  void run_for(Duration span) { run_until(now() + span); }
  /// Until no event is left, or until `limit` has passed: then false.
  bool run_until_idle(Duration limit);
  [[nodiscard]] std::uint64_t events_run() const noexcept { return events_run_; }

  /// Has `call` called at that time, in the order of asking among equals: timers of the world around.
  std::uint64_t at(Instant when, std::function<void()> call);
  /// Harmless if it was called already.
  void cancel(std::uint64_t timer);

  /// Called when a running provider has something new to poll or an event. Not to call into the provider:
  /// note it and let the process run after the step.
  void set_ready_callback(Provider& provider, std::function<void()> callback);
  [[nodiscard]] bool is_ready(const Provider& provider) const;

  // ---- Paths

  /// One way; by host for all devices, or by address.
  void set_path(std::string_view from, std::string_view to, Duration latency, Duration jitter);
  /// What is sent from now on is lost; what is under way still arrives.
  void partition(std::string_view one, std::string_view other);
  void partition_one_way(std::string_view from, std::string_view to);
  void heal(std::string_view one, std::string_view other);
  void heal_all();
  /// What is sent within `span` leaves only at its end. One way.
  void stall_path(std::string_view from, std::string_view to, Duration span);

  // ---- Faults

  /// The random ones: rates, next strikes, and the counts of all.
  [[nodiscard]] Faults& faults() noexcept;

  /// A fatal error of its queue pair: of the packets under way a random prefix arrives, the completions that
  /// are due come, the rest is flushed.
  void fail_endpoint(Endpoint& endpoint);
  /// Its peer executes what it posts, and is never heard of again: retry_exceeded.
  void exhaust_retries(Endpoint& endpoint);

  /// SIGSTOP: it isn't told of anything and has nothing to poll; its device and kernel work on.
  void pause(Provider& provider);
  void resume(Provider& provider);
  /// SIGKILL: the kernel ends its connections in order. Its objects are left to be destroyed; their calls do
  /// nothing.
  void kill(Provider& provider);
  /// Power loss: all processes of the host are gone, and nobody is told.
  void crash_host(std::string_view host);
  /// It can be given processes again, and answers: peers of old connections learn nothing from it.
  void restart_host(std::string_view host);
  [[nodiscard]] bool is_up(std::string_view host) const;
  /// RDMA_CM_EVENT_DEVICE_REMOVAL at all its providers.
  void remove_device(std::string_view address);
  /// For providers that are opened from now on.
  void restore_device(std::string_view address);

  // ---- What happened

  [[nodiscard]] std::uint64_t trace_hash() const noexcept;
  void set_trace_sink(TraceSink sink);
  void set_write_sink(WriteSink sink);
  void set_arrival_sink(ArrivalSink sink);
  /// For leak checks at the end of a run.
  [[nodiscard]] std::size_t registered_regions() const noexcept;
  [[nodiscard]] std::size_t packets_under_way() const noexcept;
  [[nodiscard]] std::size_t open_connections() const noexcept;

 private:
  std::unique_ptr<Fabric> fabric_;
  std::uint64_t events_run_ = 0;
};

}  // namespace sluice::transport::sim
