#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "protocol/fixed_vector.h"
#include "protocol/identifiers.h"
#include "protocol/private_data.h"

namespace sluice::protocol {

/// The staging slots that a node granted to one connection of one path (R1). A slot taken for a request stays
/// taken until that request is answered on this very connection, or the connection is destroyed, which ends
/// the whole grant: one slot is never taken back alone (R3 from the client's side).
///
/// Never allocates after construction. Not thread-safe.
class SlotPool {
 public:
  SlotPool();

  /// Replaces the grant; every slot is free. `classes` has at most kMaxSlots slots.
  void grant(const FixedVector<SlotClass, kMaxSlotClasses>& classes);

  /// A free slot of at least `length` bytes, of the smallest class that has one.
  [[nodiscard]] std::optional<SlotIndex> take(std::uint32_t length);
  [[nodiscard]] bool has_free(std::uint32_t length) const;

  /// `slot` was taken from this grant.
  void release(SlotIndex slot);

  /// Bytes of the largest slot of the grant, free or not; 0 without slots.
  [[nodiscard]] std::uint32_t largest() const noexcept;

 private:
  struct Class {
    std::uint32_t slot_size = 0;
    std::uint16_t first = 0;
    std::uint16_t count = 0;
    std::uint16_t free = 0;
  };

  /// Each class keeps its free slots as a stack in its own stretch: [first, first + free).
  std::vector<SlotIndex> free_;
  FixedVector<Class, kMaxSlotClasses> classes_;  ///< by size, smallest first
};

}  // namespace sluice::protocol
