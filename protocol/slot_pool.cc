#include "protocol/slot_pool.h"

#include <algorithm>

#include "protocol/base/check.h"

namespace sluice::protocol {

SlotPool::SlotPool() : free_(kMaxSlots) {}

void SlotPool::grant(const FixedVector<SlotClass, kMaxSlotClasses>& classes) {
  classes_.clear();
  std::size_t first = 0;
  for (const SlotClass& granted : classes) {
    check(first + granted.count <= kMaxSlots, "a grant has at most kMaxSlots slots");
    classes_.push_back({granted.slot_size, static_cast<std::uint16_t>(first), granted.count, granted.count});
    for (std::uint16_t i = 0; i < granted.count; ++i)
      free_[first + i] = SlotIndex(static_cast<std::uint16_t>(first + i));
    first += granted.count;
  }
  std::sort(classes_.begin(), classes_.end(),
            [](const Class& a, const Class& b) { return a.slot_size < b.slot_size; });
}

std::optional<SlotIndex> SlotPool::take(std::uint32_t length) {
  for (Class& slots : classes_) {
    if (slots.slot_size >= length && slots.free > 0) {
      --slots.free;
      return free_[std::size_t{slots.first} + slots.free];
    }
  }
  return std::nullopt;
}

bool SlotPool::has_free(std::uint32_t length) const {
  return std::any_of(classes_.begin(), classes_.end(),
                     [&](const Class& slots) { return slots.slot_size >= length && slots.free > 0; });
}

void SlotPool::release(SlotIndex slot) {
  Class* home = std::find_if(classes_.begin(), classes_.end(), [&](const Class& slots) {
    return slot.value() >= slots.first && slot.value() - slots.first < slots.count;
  });
  check(home != classes_.end() && home->free < home->count,
        "a slot goes back to the grant that it came from");
  free_[std::size_t{home->first} + home->free++] = slot;
}

std::uint32_t SlotPool::largest() const noexcept {
  std::uint32_t bytes = 0;
  for (const Class& slots : classes_) {
    if (slots.count > 0) bytes = std::max(bytes, slots.slot_size);
  }
  return bytes;
}

}  // namespace sluice::protocol
