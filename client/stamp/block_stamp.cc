#include "client/stamp/block_stamp.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "protocol/base/crc32c.h"

namespace sluice::stamp {
namespace {

// A stamp stands in each sector of 512 bytes, the smallest piece that a disk writes whole.
constexpr std::size_t kSectorBytes = 512;
constexpr std::size_t kSectors = kBlockBytes / kSectorBytes;
constexpr std::uint64_t kMagic = 0x504d'4154'5343'4c53;  // "SLCSTAMP"

struct Sector {
  std::uint64_t magic = kMagic;
  std::uint64_t block = 0;
  std::uint64_t version = 0;
  std::uint32_t sector = 0;
  std::uint32_t crc = 0;  ///< of the whole sector with 0 here
};

std::uint32_t crc_of(std::span<const std::byte> sector) noexcept {
  std::array<std::byte, kSectorBytes> copy;
  std::memcpy(copy.data(), sector.data(), kSectorBytes);
  std::memset(copy.data() + offsetof(Sector, crc), 0, sizeof(std::uint32_t));
  return crc32c(copy);
}

/// The rest of a sector: a pattern of its own, so that it can't be another one's.
void fill(const Sector& head, std::span<std::byte> rest) noexcept {
  std::uint64_t state =
      head.block * 0x9e37'79b9'7f4a'7c15U + head.version * 0xbf58'476d'1ce4'e5b9U + head.sector;
  for (std::byte& byte : rest) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    byte = static_cast<std::byte>(state >> 56U);
  }
}

}  // namespace

std::string_view to_string(Damage damage) noexcept {
  switch (damage) {
    case Damage::none:
      return "none";
    case Damage::torn:
      return "torn";
    case Damage::misplaced:
      return "misplaced";
    case Damage::unknown_content:
      return "unknown content";
  }
  return "unknown";
}

void write_stamp(const BlockStamp& stamp, std::span<std::byte, kBlockBytes> block) noexcept {
  for (std::uint32_t i = 0; i < kSectors; ++i) {
    const std::span<std::byte> sector = block.subspan(i * kSectorBytes, kSectorBytes);
    Sector head{kMagic, stamp.block, stamp.version, i, 0};
    fill(head, sector.subspan(sizeof head));
    std::memcpy(sector.data(), &head, sizeof head);
    head.crc = crc_of(sector);
    std::memcpy(sector.data(), &head, sizeof head);
  }
}

ReadStamp read_stamp(std::uint64_t block, std::span<const std::byte, kBlockBytes> bytes) noexcept {
  if (std::ranges::all_of(bytes, [](std::byte byte) { return byte == std::byte{0}; }))
    return {{block, 0}, Damage::none};
  Sector first;
  std::memcpy(&first, bytes.data(), sizeof first);
  const BlockStamp stamp{first.block, first.version};
  for (std::uint32_t i = 0; i < kSectors; ++i) {
    const std::span<const std::byte> sector = bytes.subspan(i * kSectorBytes, kSectorBytes);
    Sector head;
    std::memcpy(&head, sector.data(), sizeof head);
    const bool is_stamp = head.magic == kMagic && head.sector == i && head.crc == crc_of(sector);
    if (!is_stamp) return {stamp, i == 0 ? Damage::unknown_content : Damage::torn};
    if (head.block != first.block || head.version != first.version) return {stamp, Damage::torn};
  }
  return {stamp, first.block == block ? Damage::none : Damage::misplaced};
}

}  // namespace sluice::stamp
