#include "client/bounce_pool.h"

#include <algorithm>
#include <utility>

#include "protocol/base/check.h"
#include "protocol/limits.h"

namespace sluice::client {

Result<BouncePool> BouncePool::create(std::size_t bytes, RegisteredMemory& memory) {
  // Half of it for the longest requests; of the rest most for those of file systems, some for pages.
  constexpr std::array<std::uint32_t, 3> kSlotBytes{4096, 64 * 1024, protocol::kMaxDataLength};
  constexpr std::array<std::size_t, 3> kEighths{1, 3, 4};

  BouncePool pool;
  auto slab = transport::Slab::map(bytes, transport::Slab::Pages::huge);
  if (!slab) return tl::unexpected(slab.error());
  pool.slab_ = std::move(*slab);
  auto range = memory.add(pool.slab_.memory().first(bytes));
  if (!range) return tl::unexpected(range.error());
  pool.range_ = *range;

  std::byte* next = pool.slab_.memory().data();
  for (std::size_t i = 0; i < kSlotBytes.size(); ++i) {
    const std::size_t count = bytes / 8 * kEighths.at(i) / kSlotBytes.at(i);
    SlotClass& slots = pool.classes_.at(i);
    slots.slot_bytes = kSlotBytes.at(i);
    slots.begin = next;
    next += count * slots.slot_bytes;
    slots.end = next;
    for (std::size_t slot = count; slot > 0; --slot)
      slots.free.push_back(slots.begin + (slot - 1) * slots.slot_bytes);
  }
  return pool;
}

std::byte* BouncePool::take(std::uint32_t length) noexcept {
  for (SlotClass& slots : classes_) {
    if (slots.slot_bytes < length || slots.free.empty()) continue;
    std::byte* const slot = slots.free.back();
    slots.free.pop_back();
    return slot;
  }
  return nullptr;
}

void BouncePool::give_back(std::byte* slot) noexcept {
  for (SlotClass& slots : classes_) {
    if (slot < slots.begin || slot >= slots.end) continue;
    slots.free.push_back(slot);  // never more than there were
    return;
  }
  check(false, "a slot goes back to the pool that it came from");
}

}  // namespace sluice::client
