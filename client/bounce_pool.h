#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "client/registered_memory.h"
#include "protocol/base/status.h"
#include "transport/slab.h"

namespace sluice::client {

/// Registered memory that stands in for callers' memory that isn't. In slots of three sizes, all of them made
/// at the start; taking one never allocates. One thread.
class BouncePool {
 public:
  /// Slots of `bytes` altogether, registered through `memory`, which outlives the pool. Errors:
  /// out_of_memory.
  static Result<BouncePool> create(std::size_t bytes, RegisteredMemory& memory);

  /// The smallest free slot that holds `length` bytes, at most a MiB; null if there is none now.
  [[nodiscard]] std::byte* take(std::uint32_t length) noexcept;
  void give_back(std::byte* slot) noexcept;

  [[nodiscard]] RegisteredRange& range() const noexcept { return *range_; }

 private:
  struct SlotClass {
    std::uint32_t slot_bytes = 0;
    std::byte* begin = nullptr;
    std::byte* end = nullptr;
    std::vector<std::byte*> free;  ///< a stack: the last one given back is the warmest
  };

  BouncePool() = default;

  transport::Slab slab_;
  RegisteredRange* range_ = nullptr;
  std::array<SlotClass, 3> classes_;  ///< smallest first
};

}  // namespace sluice::client
