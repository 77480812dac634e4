#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "protocol/base/units.h"

namespace sluice::storage_node {

/// Hands out ranges of a row of bytes, first fit, and joins what comes back with its neighbours. For grants,
/// which come and go with paths: not the data path.
class RangeAllocator {
 public:
  explicit RangeAllocator(ByteCount size);

  /// The offset of `size` free bytes; nothing if no gap is that long.
  [[nodiscard]] std::optional<ByteCount> take(ByteCount size);
  void give_back(ByteCount offset, ByteCount size);

  [[nodiscard]] ByteCount taken() const noexcept { return taken_; }
  /// Whether all of these bytes are.
  [[nodiscard]] bool is_taken(ByteCount offset, ByteCount size) const;

 private:
  std::map<std::uint64_t, std::uint64_t> gaps_;  ///< offset to length
  ByteCount taken_;
};

}  // namespace sluice::storage_node
