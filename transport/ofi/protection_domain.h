#pragma once

#include <memory>
#include <vector>

#include "transport/ofi/fabric.h"
#include "transport/ofi/handles.h"
#include "transport/provider.h"

namespace sluice::transport::ofi {

/// A fabric domain. Keys are looked up in the domain of the endpoint on which a request comes, which is what
/// keeps protection domains apart. Shared by its protection domain and the completion queues that serve it.
struct Domain {
  DomainHandle handle;
};

class OfiProtectionDomain;
class OfiCompletionQueue;

/// Registers memory with the fabric under a key that can't be guessed.
Result<RegionHandle> register_with_fabric(const Fabric& fabric, const Domain& domain,
                                          std::span<std::byte> memory, Access access);

/// The address by which a peer reaches the first byte of a region.
std::uint64_t remote_base(const Fabric& fabric, std::span<std::byte> memory) noexcept;

class OfiRegion final : public Region {
 public:
  OfiRegion(OfiProtectionDomain& owner, RegionHandle handle, std::span<std::byte> memory, Access access,
            std::uint64_t base);
  ~OfiRegion() override;

  [[nodiscard]] std::span<std::byte> memory() const noexcept override { return memory_; }
  [[nodiscard]] std::uint64_t local_key() const noexcept override { return local_key_; }
  [[nodiscard]] RemoteBuffer remote(std::uint64_t offset) const noexcept override {
    return {key_, base_ + offset};
  }

  /// Whether the buffer lies inside and, where `must_be_writable`, may be written.
  [[nodiscard]] bool covers(const LocalBuffer& buffer, bool must_be_writable) const noexcept;
  /// libfabric's word for the region in a local buffer.
  [[nodiscard]] void* descriptor() const noexcept { return descriptor_; }

 private:
  OfiProtectionDomain& owner_;
  RegionHandle handle_;
  std::span<std::byte> memory_;
  Access access_;
  std::uint64_t base_;
  std::uint64_t key_;
  void* descriptor_;
  std::uint64_t local_key_ = 0;
};

class OfiProtectionDomain final : public ProtectionDomain {
 public:
  /// `queues`: the provider's completion queues, which let go of the domain when it goes.
  static Result<std::unique_ptr<OfiProtectionDomain>> create(const Fabric& fabric,
                                                             const std::vector<OfiCompletionQueue*>& queues);
  ~OfiProtectionDomain() override;

  Result<std::unique_ptr<Region>> register_memory(std::span<std::byte> memory, Access access) override;

  [[nodiscard]] const std::shared_ptr<Domain>& domain() const noexcept { return domain_; }

  /// The region of a local key, or null.
  [[nodiscard]] const OfiRegion* find(std::uint64_t local_key) const noexcept {
    const std::uint64_t slot = local_key & kSlotMask;
    if (slot >= slots_.size()) return nullptr;
    const Slot& entry = slots_[slot];
    return entry.generation == local_key >> kSlotBits ? entry.region : nullptr;
  }

 private:
  friend class OfiRegion;

  static constexpr unsigned kSlotBits = 32;
  static constexpr std::uint64_t kSlotMask = 0xffff'ffff;

  struct Slot {
    std::uint32_t generation = 1;  // so that no key is 0
    const OfiRegion* region = nullptr;
  };

  OfiProtectionDomain(const Fabric& fabric, const std::vector<OfiCompletionQueue*>& queues,
                      std::shared_ptr<Domain> domain)
      : fabric_(fabric), queues_(queues), domain_(std::move(domain)) {}

  std::uint64_t enter(const OfiRegion& region);
  void leave(std::uint64_t local_key) noexcept;

  const Fabric& fabric_;
  const std::vector<OfiCompletionQueue*>& queues_;
  std::shared_ptr<Domain> domain_;
  std::vector<Slot> slots_;
};

}  // namespace sluice::transport::ofi
