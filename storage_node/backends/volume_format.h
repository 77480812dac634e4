#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "protocol/base/status.h"
#include "protocol/wire_codec.h"
#include "storage_node/backend.h"

/// How a volume lies in a file or on a block device: two copies of its superblock in the first MiB, its data
/// behind. docs/on_disk_format.md shows it. Pure: bytes in, bytes out.
namespace sluice::storage_node {

inline constexpr std::size_t kSuperblockSize = 4096;
/// Far apart, so that nothing that goes wrong around one block reaches both.
inline constexpr std::array<std::uint64_t, 2> kSuperblockOffsets{0, std::uint64_t{512} * 1024};
inline constexpr ByteCount kDataOffset{std::uint64_t{1024} * 1024};

using SuperblockBytes = std::array<std::byte, kSuperblockSize>;

struct Superblock {
  /// Rises with every store: of two intact copies the higher one is the newer.
  std::uint64_t sequence = 0;
  VolumeState state;

  friend constexpr bool operator==(const Superblock&, const Superblock&) = default;
};

/// `superblock` as one copy's bytes, in format version 1.
[[nodiscard]] SuperblockBytes encode(const Superblock& superblock) noexcept;

/// Reads both copies' bytes; `where` names the file or device in errors.
///
/// A copy is damaged if its magic or checksum is wrong: a store that was cut off leaves one like that, and
/// the other one as it was. The newer intact copy counts, even if it is of a later format and the older one
/// isn't: falling back to it would lower the fence.
///
/// Errors: malformed (no intact copy, or contents that no version of sluice wrote: never a fence of 0),
/// version_mismatch (a later format version), unsupported (a feature that this version doesn't know).
struct SuperblockPair {
  Superblock newest;
  bool same = false;      ///< both copies are intact and equal
  std::size_t stale = 0;  ///< if not: which one is the older or damaged one
};
[[nodiscard]] Result<SuperblockPair> decode_superblocks(std::span<const SuperblockBytes, 2> copies,
                                                        std::string_view where);

/// Whether the bytes are an intact copy of any format version.
[[nodiscard]] bool is_intact(const SuperblockBytes& copy) noexcept;

/// docs/on_disk_format.md, written from the field list that encode and decode work on.
[[nodiscard]] std::string describe_on_disk_format();

namespace disk {

inline constexpr std::uint32_t kFormatVersion = 1;

/// Features that software must know to use the volume at all: none yet.
inline constexpr std::uint64_t kKnownIncompatibleFeatures = 0;

inline constexpr std::uint32_t kWriteBackOpen = 1U << 0U;
inline constexpr std::uint32_t kIncomplete = 1U << 1U;
inline constexpr std::uint32_t kRemoved = 1U << 2U;
inline constexpr std::uint32_t kKnownFlags = kWriteBackOpen | kIncomplete | kRemoved;

/// A superblock as it is on the disk. The first three fields have their places in every format version, and
/// the checksum covers the whole copy behind it, whatever a version keeps there.
struct RawSuperblock {
  static constexpr std::uint64_t kMagic = 0x314c'4f56'4543'4c53;  ///< "SLCEVOL1" in memory

  std::uint64_t magic = kMagic;
  std::uint32_t checksum = 0;
  std::uint32_t format_version = kFormatVersion;
  std::uint64_t sequence = 0;
  std::uint64_t compatible_features = 0;
  std::uint64_t incompatible_features = 0;
  std::uint64_t volume = 0;
  std::uint64_t size = 0;
  std::uint64_t data_offset = 0;
  std::uint64_t fence = 0;
  std::uint32_t manager_version = 0;
  std::uint32_t block_size = 0;
  std::uint32_t flags = 0;

  template <typename Self, typename Visitor>
  static constexpr void fields(Self& self, Visitor& visit) {
    visit("magic", self.magic, "\"SLCEVOL1\"");
    visit("checksum", self.checksum, "CRC32C of the 4084 bytes behind it");
    visit("format_version", self.format_version, "1");
    visit("sequence", self.sequence, "rises with every store; of two intact copies the higher one counts");
    visit("compatible_features", self.compatible_features,
          "0; software that doesn't know a bit ignores it, and clears it when it stores");
    visit("incompatible_features", self.incompatible_features,
          "0; software that doesn't know a bit refuses the volume (checksums at rest, snapshots: later)");
    visit("volume", self.volume, "the volume's id");
    visit("size", self.size, "bytes; 0 in a tombstone");
    visit("data_offset", self.data_offset, "where the data starts: 1048576");
    visit("fence", self.fence, "the highest GVN accepted here, or 0");
    visit("manager_version", self.manager_version, "the highest seen when the fence was stored");
    visit("block_size", self.block_size, "bytes: 512 or 4096; 0 in a tombstone");
    visit("flags", self.flags,
          "bit 0: written back, and not closed since; bit 1: a copy into it hasn't finished; "
          "bit 2: a tombstone; others 0");
  }
};
static_assert(protocol::wire::max_size<RawSuperblock>() <= protocol::kMinBlockSize,
              "all of it lies in one sector, so that no torn write mixes two of them");

}  // namespace disk
}  // namespace sluice::storage_node
