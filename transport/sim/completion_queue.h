#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "transport/provider.h"
#include "transport/sim/sim_provider.h"

namespace sluice::transport::sim {

class SimCompletionQueue final : public CompletionQueue {
 public:
  SimCompletionQueue(SimProvider& provider, std::uint32_t depth);
  ~SimCompletionQueue() override;

  std::size_t poll(std::span<Completion> out) noexcept override;
  std::size_t wait(std::span<Completion> out, Duration timeout) noexcept override;
  Status watch(int fd) override;
  void unwatch(int fd) noexcept override;
  [[nodiscard]] int wait_fd() const noexcept override { return -1; }
  bool arm() noexcept override { return !has_entries(); }

  [[nodiscard]] SimProvider& provider() const noexcept { return provider_; }
  [[nodiscard]] bool has_entries() const noexcept { return !ready_.empty(); }
  /// Reserves room for an endpoint and gives it an index. Errors: limit_reached.
  Result<std::uint16_t> attach(SimEndpoint& endpoint, std::uint32_t entries);
  /// Forgets it and every entry of it.
  void detach(const SimEndpoint& endpoint, std::uint16_t index, std::uint32_t entries) noexcept;
  /// `number`: of the request in its queue; for the endpoint's accounts.
  void push(SimEndpoint& endpoint, std::uint64_t number, const Completion& completion);
  void clear() noexcept { ready_.clear(); }

 private:
  struct Entry {
    SimEndpoint* endpoint;
    std::uint64_t number;
    Completion completion;
  };

  SimProvider& provider_;
  std::uint32_t depth_;
  std::uint32_t reserved_ = 0;
  std::vector<SimEndpoint*> attached_;  ///< by index; null where free
  std::deque<Entry> ready_;
};

}  // namespace sluice::transport::sim
