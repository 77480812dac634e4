#pragma once

#include "transport/provider.h"
#include "transport/sim/sim_provider.h"

namespace sluice::transport::sim {

class SimRegion final : public Region {
 public:
  SimRegion(SimProvider& provider, std::span<std::byte> memory, const MemoryTable::Grant& grant);
  ~SimRegion() override;

  [[nodiscard]] std::span<std::byte> memory() const noexcept override { return memory_; }
  [[nodiscard]] std::uint64_t local_key() const noexcept override { return grant_.local_key; }
  [[nodiscard]] RemoteBuffer remote(std::uint64_t offset) const noexcept override {
    return {grant_.remote.key, grant_.remote.address + offset};
  }

 private:
  SimProvider& provider_;
  std::span<std::byte> memory_;
  MemoryTable::Grant grant_;
};

class SimProtectionDomain final : public ProtectionDomain {
 public:
  SimProtectionDomain(SimProvider& provider, std::uint64_t number) : provider_(provider), number_(number) {}

  Result<std::unique_ptr<Region>> register_memory(std::span<std::byte> memory, Access access) override;
  [[nodiscard]] std::uint64_t number() const noexcept { return number_; }
  [[nodiscard]] SimProvider& provider() const noexcept { return provider_; }

 private:
  SimProvider& provider_;
  std::uint64_t number_;
};

}  // namespace sluice::transport::sim
