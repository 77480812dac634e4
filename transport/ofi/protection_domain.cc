#include "transport/ofi/protection_domain.h"

#include <cerrno>

#include <sys/random.h>

#include "transport/ofi/completion_queue.h"

namespace sluice::transport::ofi {

namespace {

/// Two keys in one domain differ; with 64 random bits a second draw is never needed in practice.
constexpr int kMaxKeyDraws = 4;

std::uint64_t fabric_access(Access access) {
  std::uint64_t bits = FI_SEND | FI_WRITE;
  if (has(access, Access::local_write) || has(access, Access::remote_write)) bits |= FI_RECV | FI_READ;
  if (has(access, Access::remote_write)) bits |= FI_REMOTE_WRITE;
  if (has(access, Access::remote_read)) bits |= FI_REMOTE_READ;
  return bits;
}

Result<std::uint64_t> draw_key(const Fabric& fabric) {
  std::uint64_t key = 0;
  if (injected_failure(fabric.faults(), "getrandom") || getrandom(&key, sizeof key, 0) != sizeof key) {
    return fail_errno(errno, "getrandom");
  }
  const std::size_t bytes = fabric.info().domain_attr->mr_key_size;
  if (bytes < sizeof key) key &= (std::uint64_t{1} << (8 * bytes)) - 1;
  return key;
}

}  // namespace

Result<RegionHandle> register_with_fabric(const Fabric& fabric, const Domain& domain,
                                          std::span<std::byte> memory, Access access) {
  for (int draw = 1;; ++draw) {
    const Result<std::uint64_t> key = draw_key(fabric);
    if (!key) return tl::unexpected(key.error());
    fid_mr* region = nullptr;
    const int result = injected_failure(fabric.faults(), "fi_mr_reg")
                           ? -FI_ENOMEM
                           : fi_mr_reg(domain.handle.get(), memory.data(), memory.size(),
                                       fabric_access(access), 0, *key, 0, &region, nullptr);
    if (result == 0) return RegionHandle(region);
    if (result == -FI_ENOKEY && draw < kMaxKeyDraws) continue;
    return fail_fabric(result, "register " + std::to_string(memory.size()) + " bytes of memory: fi_mr_reg");
  }
}

std::uint64_t remote_base(const Fabric& fabric, std::span<std::byte> memory) noexcept {
  return fabric.has_mr_mode(FI_MR_VIRT_ADDR) ? reinterpret_cast<std::uintptr_t>(memory.data()) : 0;
}

OfiRegion::OfiRegion(OfiProtectionDomain& owner, RegionHandle handle, std::span<std::byte> memory,
                     Access access, std::uint64_t base)
    : owner_(owner),
      handle_(std::move(handle)),
      memory_(memory),
      access_(access),
      base_(base),
      key_(fi_mr_key(handle_.get())),
      descriptor_(fi_mr_desc(handle_.get())) {
  local_key_ = owner_.enter(*this);
}

OfiRegion::~OfiRegion() {
  owner_.leave(local_key_);
}

bool OfiRegion::covers(const LocalBuffer& buffer, bool must_be_writable) const noexcept {
  if (must_be_writable && !has(access_, Access::local_write) && !has(access_, Access::remote_write)) {
    return false;
  }
  const auto start = reinterpret_cast<std::uintptr_t>(memory_.data());
  const auto address = reinterpret_cast<std::uintptr_t>(buffer.data);
  return address >= start && address - start <= memory_.size() &&
         buffer.length <= memory_.size() - (address - start);
}

Result<std::unique_ptr<OfiProtectionDomain>> OfiProtectionDomain::create(
    const Fabric& fabric, const std::vector<OfiCompletionQueue*>& queues) {
  Result<InfoHandle> info = fabric.passive_info({});
  if (!info) return tl::unexpected(info.error());
  auto handle = open_fabric<fid_domain>(fabric.faults(), "fi_domain", [&](fid_domain** out) {
    return fi_domain(fabric.get(), info->get(), out, nullptr);
  });
  if (!handle) return fail_while("create a protection domain", handle.error());
  auto domain = std::make_shared<Domain>(Domain{std::move(*handle)});
  return std::unique_ptr<OfiProtectionDomain>(new OfiProtectionDomain(fabric, queues, std::move(domain)));
}

OfiProtectionDomain::~OfiProtectionDomain() {
  for (OfiCompletionQueue* queue : queues_)
    queue->drop(*domain_);
}

Result<std::unique_ptr<Region>> OfiProtectionDomain::register_memory(std::span<std::byte> memory,
                                                                     Access access) {
  if (memory.empty()) return fail(StatusCode::invalid_argument, "register memory: nothing to register");
  Result<RegionHandle> handle = register_with_fabric(fabric_, *domain_, memory, access);
  if (!handle) return tl::unexpected(handle.error());
  return std::make_unique<OfiRegion>(*this, std::move(*handle), memory, access, remote_base(fabric_, memory));
}

std::uint64_t OfiProtectionDomain::enter(const OfiRegion& region) {
  std::size_t slot = 0;
  while (slot < slots_.size() && slots_[slot].region != nullptr)
    ++slot;
  if (slot == slots_.size()) slots_.emplace_back();
  slots_[slot].region = &region;
  return std::uint64_t{slots_[slot].generation} << kSlotBits | slot;
}

void OfiProtectionDomain::leave(std::uint64_t local_key) noexcept {
  Slot& slot = slots_[local_key & kSlotMask];
  slot.region = nullptr;
  ++slot.generation;
}

}  // namespace sluice::transport::ofi
