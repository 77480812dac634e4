#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace sluice::stamp {

/// Every block that a stamped load writes is full of its own name, so that a block read back tells which
/// write it is from, and a torn, misplaced or damaged one can't pass for any.
inline constexpr std::uint32_t kBlockBytes = 4096;

struct BlockStamp {
  std::uint64_t block = 0;    ///< its number in the volume
  std::uint64_t version = 0;  ///< counts the writes of this block, from 1; 0: never written
};

/// What is wrong with a block, or nothing.
enum class Damage : std::uint8_t { none, torn, misplaced, unknown_content };
[[nodiscard]] std::string_view to_string(Damage damage) noexcept;

struct ReadStamp {
  BlockStamp stamp;
  Damage damage = Damage::none;
};

void write_stamp(const BlockStamp& stamp, std::span<std::byte, kBlockBytes> block) noexcept;

/// A block of zeroes is version 0 of whatever block it is.
[[nodiscard]] ReadStamp read_stamp(std::uint64_t block,
                                   std::span<const std::byte, kBlockBytes> bytes) noexcept;

}  // namespace sluice::stamp
