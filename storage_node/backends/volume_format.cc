#include "storage_node/backends/volume_format.h"

#include <cstring>
#include <optional>

#include "protocol/base/crc32c.h"
#include "protocol/wire_table.h"

namespace sluice::storage_node {
namespace {

constexpr std::size_t kChecksumOffset = 8;
constexpr std::size_t kChecksummedFrom = 12;

std::uint32_t checksum_of(const SuperblockBytes& bytes) noexcept {
  return crc32c(std::span(bytes).subspan(kChecksummedFrom));
}

disk::RawSuperblock read_raw(const SuperblockBytes& bytes) noexcept {
  disk::RawSuperblock raw;
  protocol::wire::Reader reader(bytes);
  disk::RawSuperblock::fields(raw, reader);
  return raw;
}

bool is_consistent(const disk::RawSuperblock& raw) {
  if (raw.volume == 0 || (raw.flags & ~disk::kKnownFlags) != 0) return false;
  if (raw.data_offset != kDataOffset.value()) return false;
  if ((raw.flags & disk::kRemoved) != 0) return raw.size == 0 && raw.block_size == 0;
  return check_shape(
             {.volume = VolumeId(raw.volume), .size = ByteCount(raw.size), .block_size = raw.block_size})
      .has_value();
}

Result<Superblock> interpret(const disk::RawSuperblock& raw, std::string_view where) {
  const std::string place(where);
  if (raw.format_version != disk::kFormatVersion) {
    return fail(StatusCode::version_mismatch,
                place + ": on-disk format version " + std::to_string(raw.format_version) +
                    "; this version of sluice knows " + std::to_string(disk::kFormatVersion) +
                    ": use the version that wrote it, or a later one");
  }
  if ((raw.incompatible_features & ~disk::kKnownIncompatibleFeatures) != 0) {
    return fail(StatusCode::unsupported,
                place + ": uses on-disk features that this version of sluice doesn't know (bits " +
                    std::to_string(raw.incompatible_features) +
                    "): use the version that wrote it, or a later one");
  }
  if (!is_consistent(raw)) {
    return fail(StatusCode::malformed, place + ": a superblock with a good checksum but impossible contents");
  }
  return Superblock{.sequence = raw.sequence,
                    .state = {.volume = VolumeId(raw.volume),
                              .size = ByteCount(raw.size),
                              .block_size = raw.block_size,
                              .fence = Gvn(raw.fence),
                              .manager_version = ManagerVersion(raw.manager_version),
                              .write_back_open = (raw.flags & disk::kWriteBackOpen) != 0,
                              .incomplete = (raw.flags & disk::kIncomplete) != 0,
                              .removed = (raw.flags & disk::kRemoved) != 0}};
}

}  // namespace

SuperblockBytes encode(const Superblock& superblock) noexcept {
  const VolumeState& state = superblock.state;
  disk::RawSuperblock raw;
  raw.sequence = superblock.sequence;
  raw.volume = state.volume.value();
  raw.size = state.size.value();
  raw.data_offset = kDataOffset.value();
  raw.fence = state.fence.value();
  raw.manager_version = state.manager_version.value();
  raw.block_size = state.block_size;
  raw.flags = (state.write_back_open ? disk::kWriteBackOpen : 0) |
              (state.incomplete ? disk::kIncomplete : 0) | (state.removed ? disk::kRemoved : 0);

  SuperblockBytes bytes{};
  protocol::wire::Writer writer(bytes);
  disk::RawSuperblock::fields(raw, writer);
  const std::uint32_t checksum = checksum_of(bytes);
  std::memcpy(bytes.data() + kChecksumOffset, &checksum, sizeof checksum);
  return bytes;
}

bool is_intact(const SuperblockBytes& copy) noexcept {
  const disk::RawSuperblock raw = read_raw(copy);
  return raw.magic == disk::RawSuperblock::kMagic && raw.checksum == checksum_of(copy);
}

Result<SuperblockPair> decode_superblocks(std::span<const SuperblockBytes, 2> copies,
                                          std::string_view where) {
  const bool first = is_intact(copies[0]);
  const bool second = is_intact(copies[1]);
  if (!first && !second) {
    return fail(
        StatusCode::malformed,
        std::string(where) +
            ": both copies of the superblock are damaged, so that the volume's fence isn't known; restore it "
            "from a backup, or move it away and remove the volume");
  }
  const bool second_is_newer =
      second && (!first || read_raw(copies[1]).sequence > read_raw(copies[0]).sequence);
  auto newest = interpret(read_raw(copies[second_is_newer ? 1 : 0]), where);
  if (!newest) return tl::unexpected(newest.error());
  return SuperblockPair{.newest = *newest,
                        .same = first && second && copies[0] == copies[1],
                        .stale = second_is_newer ? std::size_t{0} : std::size_t{1}};
}

std::string describe_on_disk_format() {
  return R"(# On-disk format

This page is generated from the field list that the storage node reads and writes with, and a test compares the two.
Numbers are little-endian without padding. Checksums are CRC32C (Castagnoli).

A volume has one file (the `file` backend: `volumes/ID.volume` in the node's data directory) or one block device (the
`block` backend) for itself, laid out alike:

| offset | what |
| --- | --- |
| )" + std::to_string(kSuperblockOffsets[0]) +
         " | superblock, copy A: " + std::to_string(kSuperblockSize) + R"( bytes |
| )" + std::to_string(kSuperblockOffsets[1]) +
         " | superblock, copy B: " + std::to_string(kSuperblockSize) + R"( bytes |
| )" + std::to_string(kDataOffset.value()) +
         R"( | the volume's data: `size` bytes |

What lies between is zeroes, for later use.

## Superblock

)" + protocol::wire::describe_fields<disk::RawSuperblock>() +
         R"(The rest of the copy is zeroes. `magic`, `checksum` and `format_version` keep their places, and `sequence` its
meaning, in every later version.

## How it is stored and read

A store writes one copy, waits until it is durable, and then writes the other: it counts when both are. The copy that is
written first is the older or damaged one, if they differ. Whenever a store is cut off, one intact copy is left, with the
state before or after; and if one copy of a finished store is damaged later, the other one holds the same state. So a fence
that was acknowledged is lost only with both.

A copy with a wrong magic or checksum is damaged. The intact copy with the higher `sequence` counts; opening the volume
repairs the other. If neither is intact the volume is refused, and so is a newer copy of an unknown format version or
with unknown incompatible features, even if the other one is older and known.

## Tombstones

A volume that was removed, or moved to another node, leaves its superblock with the tombstone's flag: its fence outlives
it, so that no session older than that is ever let in again. With the `file` backend it is the volume's own file, cut to
1 MiB of which two superblocks are allocated. With the `block` backend the device is wiped for the next volume, and the
tombstone is a file in the node's data directory.
)";
}

}  // namespace sluice::storage_node
