#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "transport/provider.h"
#include "transport/sim/connection_manager.h"
#include "transport/sim/fabric.h"

namespace sluice::transport::sim {

class SimCompletionQueue;
class SimEndpoint;
class SimListener;

/// One simulated process's (or thread's) hold on one simulated device: the contract of transport/provider.h
/// in virtual time. Made by Network::open_provider(); goes before its Network. Nothing happens by itself:
/// the Network's calls, and CompletionQueue::wait(), let time pass.
///
/// Differences from a real provider that a user can see: wait_fd() is -1, watch() is unsupported, wait() runs
/// the whole network, and after a kill or crash every call is harmless and without effect.
class SimProvider final : public Provider, public NoticeSink {
 public:
  SimProvider(Fabric& fabric, Nic& nic, TransportConfig config);
  ~SimProvider() override;

  [[nodiscard]] const ProviderInfo& info() const noexcept override { return info_; }
  Result<std::unique_ptr<ProtectionDomain>> create_protection_domain() override;
  Result<std::unique_ptr<CompletionQueue>> create_completion_queue(std::uint32_t depth) override;
  Result<std::unique_ptr<Listener>> listen(const Address& address) override;
  Result<std::unique_ptr<Endpoint>> connect(const Address& address, const EndpointConfig& config,
                                            std::span<const std::byte> private_data) override;
  Result<std::unique_ptr<Endpoint>> accept(std::unique_ptr<ConnectionRequest> request,
                                           const EndpointConfig& config,
                                           std::span<const std::byte> private_data) override;
  void reject(std::unique_ptr<ConnectionRequest> request, std::span<const std::byte> private_data) override;
  std::optional<ConnectionEvent> next_event() override;

  /// Names it in the Network's calls; never used twice.
  [[nodiscard]] std::uint64_t number() const noexcept { return number_; }
  [[nodiscard]] bool is_paused() const noexcept { return is_paused_; }
  [[nodiscard]] bool is_dead() const noexcept { return is_dead_; }
  /// It isn't paused or dead, and poll() or next_event() may have something.
  [[nodiscard]] bool is_ready() const noexcept;
  /// Called from within the network's step when something comes up to be polled, if everything before it was
  /// looked for. It must not call the provider: note it, and let the process run after the step.
  void set_ready_callback(std::function<void()> callback) { ready_callback_ = std::move(callback); }

  // For the network:
  void pause();
  void resume();
  /// The process is gone. `tell_peers`: its kernel lives on and ends its connections in order.
  void die(bool tell_peers);
  void remove_device();
  void on_notice(Notice notice) override;

  // For the provider's objects:
  [[nodiscard]] Fabric& fabric() noexcept { return fabric_; }
  [[nodiscard]] const TransportConfig& config() const noexcept { return config_; }
  [[nodiscard]] Nic& nic() noexcept { return nic_; }
  [[nodiscard]] bool runs() const noexcept { return !is_dead_ && !is_paused_; }
  [[nodiscard]] bool has_device() const noexcept { return !is_dead_ && !device_removed_; }
  /// Errors: unavailable (dead), no_device.
  [[nodiscard]] Status check_usable(const std::string& what) const;
  [[nodiscard]] bool has_news() const noexcept { return !events_.empty() || !notices_.empty(); }
  /// It is looking, so that the next news is worth a call.
  void looked() noexcept { is_signaled_ = false; }
  void signal();
  void push_event(ConnectionEvent event);
  void add_region(std::uint64_t key) { regions_.insert(key); }
  void remove_region(std::uint64_t key) noexcept;
  void add_queue(SimCompletionQueue& queue) { queues_.push_back(&queue); }
  void remove_queue(const SimCompletionQueue& queue) noexcept;
  void add_endpoint(SimEndpoint& endpoint);
  void remove_endpoint(const SimEndpoint& endpoint) noexcept;
  void remove_listener(const SimListener& listener) noexcept;

 private:
  void handle(Notice& notice);
  void on_request(Notice& notice);
  void on_device_removed();
  [[nodiscard]] SimEndpoint* endpoint_of(const Notice& notice) noexcept;
  void forget_resources();
  [[nodiscard]] ConnectionParameters parameters_for(const SimEndpoint& endpoint) const;

  Fabric& fabric_;
  Nic& nic_;
  TransportConfig config_;
  ProviderInfo info_;
  std::uint64_t number_;
  bool is_paused_ = false;
  bool is_dead_ = false;
  bool device_removed_ = false;
  bool is_signaled_ = false;
  std::function<void()> ready_callback_;

  std::deque<Notice> notices_;  ///< what the kernel has for it
  std::deque<ConnectionEvent> events_;
  std::map<std::uint64_t, SimEndpoint*> endpoints_;      ///< by queue pair
  std::map<std::uint64_t, SimEndpoint*> by_connection_;  ///< the same, by connection
  std::map<std::uint64_t, SimListener*> listeners_;
  std::uint64_t next_listener_ = 1;
  std::vector<SimCompletionQueue*> queues_;
  std::set<std::uint64_t> regions_;
};

}  // namespace sluice::transport::sim
