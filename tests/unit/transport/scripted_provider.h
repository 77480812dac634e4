#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "transport/provider.h"

namespace sluice::transport::testing {

/// Registers nothing: the address is the key.
class ScriptedRegion final : public Region {
 public:
  explicit ScriptedRegion(std::span<std::byte> memory) : memory_(memory) {}
  [[nodiscard]] std::span<std::byte> memory() const noexcept override { return memory_; }
  [[nodiscard]] std::uint64_t local_key() const noexcept override { return 42; }
  [[nodiscard]] RemoteBuffer remote(std::uint64_t offset) const noexcept override { return {42, offset}; }

 private:
  std::span<std::byte> memory_;
};

class ScriptedDomain final : public ProtectionDomain {
 public:
  Result<std::unique_ptr<Region>> register_memory(std::span<std::byte> memory, Access) override {
    if (refuse) return fail(StatusCode::out_of_memory, "RLIMIT_MEMLOCK is too low");
    return std::make_unique<ScriptedRegion>(memory);
  }
  bool refuse = false;
};

/// Records what is posted; the test completes it by hand.
class ScriptedEndpoint final : public Endpoint {
 public:
  Status post(std::span<const WorkRequest> chain) noexcept override {
    if (state_now != EndpointState::connected) return fail(StatusCode::unavailable);
    chains.emplace_back(chain.begin(), chain.end());
    return {};
  }
  Status post_receives(std::span<const ReceiveRequest> receives) noexcept override {
    if (state_now != EndpointState::connected) return fail(StatusCode::unavailable);
    receive_batches.emplace_back(receives.begin(), receives.end());
    return {};
  }
  void close() noexcept override { state_now = EndpointState::draining; }
  [[nodiscard]] EndpointState state() const noexcept override { return state_now; }
  [[nodiscard]] const Error& failure() const noexcept override { return failure_; }
  [[nodiscard]] std::uint32_t max_inline_bytes() const noexcept override { return inline_bytes; }
  [[nodiscard]] std::uint32_t send_room() const noexcept override { return 1000; }
  [[nodiscard]] std::string peer() const override { return "script"; }

  EndpointState state_now = EndpointState::connected;
  std::uint32_t inline_bytes = 64;
  std::vector<std::vector<WorkRequest>> chains;
  std::vector<std::vector<ReceiveRequest>> receive_batches;

 private:
  Error failure_{StatusCode::ok, {}};
};

/// Hands out one scripted endpoint, already connected.
class ScriptedProvider final : public Provider {
 public:
  [[nodiscard]] const ProviderInfo& info() const noexcept override { return info_; }
  Result<std::unique_ptr<ProtectionDomain>> create_protection_domain() override {
    return fail(StatusCode::unsupported);
  }
  Result<std::unique_ptr<CompletionQueue>> create_completion_queue(std::uint32_t) override {
    return fail(StatusCode::unsupported);
  }
  Result<std::unique_ptr<Listener>> listen(const Address&) override { return fail(StatusCode::unsupported); }
  Result<std::unique_ptr<Endpoint>> connect(const Address&, const EndpointConfig& config,
                                            std::span<const std::byte>) override {
    auto made = std::make_unique<ScriptedEndpoint>();
    endpoint = made.get();
    initial_receives.assign(config.initial_receives.begin(), config.initial_receives.end());
    endpoint_config = config;
    return made;
  }
  Result<std::unique_ptr<Endpoint>> accept(std::unique_ptr<ConnectionRequest>, const EndpointConfig&,
                                           std::span<const std::byte>) override {
    return fail(StatusCode::unsupported);
  }
  void reject(std::unique_ptr<ConnectionRequest>, std::span<const std::byte>) override {}
  std::optional<ConnectionEvent> next_event() override { return std::nullopt; }

  ScriptedEndpoint* endpoint = nullptr;
  std::vector<ReceiveRequest> initial_receives;
  EndpointConfig endpoint_config;

 private:
  ProviderInfo info_;
};

/// Completes nothing by itself.
class ScriptedQueue final : public CompletionQueue {
 public:
  std::size_t poll(std::span<Completion>) noexcept override { return 0; }
  std::size_t wait(std::span<Completion>, Duration) noexcept override { return 0; }
  Status watch(int) override { return {}; }
  void unwatch(int) noexcept override {}
  [[nodiscard]] int wait_fd() const noexcept override { return -1; }
  bool arm() noexcept override { return true; }
};

}  // namespace sluice::transport::testing
