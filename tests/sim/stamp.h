#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "protocol/base/units.h"

namespace sluice::sim {

/// A sector: the unit in which disks tear, and in which histories are kept.
inline constexpr std::size_t kSectorBytes = 512;

/// What a sector holds: the number of the write that put it there, or one of these. Every write has a number
/// of its own, so that a value tells where it came from.
using Value = std::uint64_t;
inline constexpr Value kZeroes = 0;
inline constexpr Value kGarbage = ~std::uint64_t{0};  ///< no stamp of this sector of this volume

/// Fills a sector: volume, sector, opening, number of the write, and a CRC over all of it.
void write_stamp(std::span<std::byte, kSectorBytes> sector, VolumeId volume, std::uint64_t number_of_sector,
                 std::uint64_t opening, Value write) noexcept;

/// What a sector holds, if it belongs where it was found.
[[nodiscard]] Value read_stamp(std::span<const std::byte, kSectorBytes> sector, VolumeId volume,
                               std::uint64_t number_of_sector) noexcept;

}  // namespace sluice::sim
