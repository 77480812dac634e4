#pragma once

#include <memory>
#include <span>

#include "transport/provider.h"
#include "transport/verbs/handles.h"

namespace sluice::transport::verbs {

class VerbsRegion final : public Region {
 public:
  VerbsRegion(MemoryRegionHandle handle, std::span<std::byte> memory) noexcept
      : memory_(memory), handle_(std::move(handle)) {}

  [[nodiscard]] std::span<std::byte> memory() const noexcept override { return memory_; }
  [[nodiscard]] std::uint64_t local_key() const noexcept override { return handle_->lkey; }
  [[nodiscard]] RemoteBuffer remote(std::uint64_t offset) const noexcept override {
    return {handle_->rkey, reinterpret_cast<std::uintptr_t>(memory_.data()) + offset};
  }

 private:
  std::span<std::byte> memory_;
  MemoryRegionHandle handle_;
};

class VerbsProtectionDomain final : public ProtectionDomain {
 public:
  static Result<std::unique_ptr<VerbsProtectionDomain>> create(ibv_context& context, FaultInjector* faults);
  VerbsProtectionDomain(ProtectionDomainHandle handle, FaultInjector* faults) noexcept
      : handle_(std::move(handle)), faults_(faults) {}

  Result<std::unique_ptr<Region>> register_memory(std::span<std::byte> memory, Access access) override;
  [[nodiscard]] ibv_pd* handle() const noexcept { return handle_.get(); }

 private:
  ProtectionDomainHandle handle_;
  FaultInjector* faults_;
};

/// What to say when memory can't be registered: how RLIMIT_MEMLOCK falls short of `bytes` more, if that is
/// why.
std::string memlock_shortfall(std::size_t bytes);

}  // namespace sluice::transport::verbs
