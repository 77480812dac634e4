#include "transport/verbs/verbs_provider.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "transport/verbs/completion_queue.h"
#include "transport/verbs/connection.h"
#include "transport/verbs/memory.h"
#include "transport/verbs/provider_state.h"

namespace sluice::transport::verbs {

namespace {

/// Asking the connection manager is a system call, so a busy reactor does it only this often; while something
/// is being connected or drained, and after a wait that saw an event, it is asked at once.
constexpr Duration kEventLookInterval = std::chrono::milliseconds(1);
constexpr std::uint32_t kInlineBytesAsked = 256;
constexpr std::uint64_t kSensibleMemlockBytes = 64U << 20U;

class VerbsProvider final : public Provider {
 public:
  explicit VerbsProvider(std::unique_ptr<ProviderState> state) : state_(std::move(state)) {
    const Device& device = state_->device;
    info_.name = "verbs";
    info_.detail =
        device.name + " port " + std::to_string(device.port) + " (" + device.local.to_address().host + ")";
    info_.max_message_bytes = device.max_message_bytes;
    info_.max_queue_depth = static_cast<std::uint32_t>(device.limits.max_qp_wr) - 1;
    info_.max_inline_bytes = kInlineBytesAsked;
  }

  [[nodiscard]] const ProviderInfo& info() const noexcept override { return info_; }

  Result<std::unique_ptr<ProtectionDomain>> create_protection_domain() override {
    return VerbsProtectionDomain::create(*state_->device.context, state_->config.faults);
  }

  Result<std::unique_ptr<CompletionQueue>> create_completion_queue(std::uint32_t depth) override {
    return VerbsCompletionQueue::create(*state_, depth);
  }

  Result<std::unique_ptr<Listener>> listen(const Address& address) override {
    return VerbsListener::create(*state_, address);
  }

  Result<std::unique_ptr<Endpoint>> connect(const Address& address, const EndpointConfig& config,
                                            std::span<const std::byte> private_data) override {
    return start_connect(*state_, address, config, private_data);
  }

  Result<std::unique_ptr<Endpoint>> accept(std::unique_ptr<ConnectionRequest> request,
                                           const EndpointConfig& config,
                                           std::span<const std::byte> private_data) override {
    return accept_request(*state_, std::move(request), config, private_data);
  }

  void reject(std::unique_ptr<ConnectionRequest> request, std::span<const std::byte> private_data) override {
    auto* incoming = dynamic_cast<VerbsConnectionRequest*>(request.get());
    check(incoming != nullptr, "a provider rejects its own requests");
    incoming->reject(private_data.first(std::min(private_data.size(), kMaxRejectData)));
  }

  std::optional<ConnectionEvent> next_event() override {
    if (auto event = state_->events.pop()) return event;
    const Instant now = state_->clock.now();
    if (!state_->channel_readable && state_->deadlines.empty() && now < next_look_) return std::nullopt;
    next_look_ = now + kEventLookInterval;
    state_->channel_readable = false;
    pump_connection_events(*state_);
    state_->deadlines.run(now);
    return state_->events.pop();
  }

 private:
  std::unique_ptr<ProviderState> state_;
  ProviderInfo info_;
  Instant next_look_;
};

Result<std::unique_ptr<ProviderState>> open_state(const TransportConfig& config) {
  auto state = std::make_unique<ProviderState>();
  state->config = config;
  state->channel.reset(
      injected_failure(config.faults, "rdma_create_event_channel") ? nullptr : rdma_create_event_channel());
  if (!state->channel) {
    const int error = errno;
    if (error == ENOENT || error == ENODEV) {
      return fail(
          StatusCode::no_device,
          "this host's kernel has no RDMA connection manager (/dev/infiniband/rdma_cm is missing): load the "
          "rdma_ucm module and an RDMA driver, `soft_roce_setup.sh up` does both, or use provider ofi");
    }
    return fail_errno(error, "open /dev/infiniband/rdma_cm");
  }
  const int flags = fcntl(state->channel->fd, F_GETFL);
  if (flags < 0 || fcntl(state->channel->fd, F_SETFL, flags | O_NONBLOCK) != 0) {
    return fail_errno(errno, "make the connection manager's channel non-blocking");
  }
  Result<Device> device = find_device(config, *state->channel);
  if (!device) return tl::unexpected(device.error());
  state->device = std::move(*device);
  return state;
}

void warn_of_memlock(const TransportConfig& config) {
  rlimit limit{};
  if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return;
  if (limit.rlim_cur >= kSensibleMemlockBytes || geteuid() == 0)
    return;  // root isn't held to it (CAP_IPC_LOCK)
  log_line(
      config, LogLevel::warning,
      "RLIMIT_MEMLOCK is " + std::to_string(limit.rlim_cur) + " bytes, " +
          std::to_string(kSensibleMemlockBytes - limit.rlim_cur) +
          " below what RDMA buffers usually need: raise it (`ulimit -l unlimited`, LimitMEMLOCK=infinity)");
}

}  // namespace

Result<std::unique_ptr<Provider>> open_verbs_provider(const TransportConfig& config) {
  // Before any registration, or a child of a fork() would steal the pages under the device
  // (ibv_fork_init(3)).
  if (injected_failure(config.faults, "ibv_fork_init") || ibv_fork_init() != 0) {
    log_line(config, LogLevel::warning, "ibv_fork_init failed: don't fork from this process");
  }
  warn_of_memlock(config);
  Result<std::unique_ptr<ProviderState>> state = open_state(config);
  if (!state) return tl::unexpected(state.error());
  return std::make_unique<VerbsProvider>(std::move(*state));
}

Result<std::string> probe_verbs_device(const TransportConfig& config) {
  Result<std::unique_ptr<ProviderState>> state = open_state(config);
  if (!state) return tl::unexpected(state.error());
  const Device& device = (*state)->device;
  return device.name + " port " + std::to_string(device.port) + " (" + device.local.to_address().host + ")";
}

}  // namespace sluice::transport::verbs
