#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "protocol/base/log.h"
#include "protocol/base/status.h"
#include "storage_node/backends/file_handle.h"
#include "storage_node/backends/volume_format.h"

/// System calls on one volume's file or device. All of them may wait for the disk.
namespace sluice::storage_node {

/// An open file or block device that holds, or may hold, a volume.
struct VolumeFile {
  FileHandle fd;     ///< O_DIRECT
  std::string name;  ///< its path, for words
};

/// Takes the exclusive lock on the open file description (F2). It stays until the last reference to the
/// description is gone, and the kernel's unfinished IO for a dead process holds one. Errors: busy, naming the
/// process that took it where the system tells.
Status lock_exclusively(const VolumeFile& file);

/// Both copies' bytes; zeroes where the file has none. Errors: io_error.
Result<std::array<SuperblockBytes, 2>> read_copies(const VolumeFile& file);
/// What they say. Errors: io_error, and those of decode_superblocks.
Result<SuperblockPair> read_superblocks(const VolumeFile& file);

/// Writes one copy, durably. Errors: io_error, no_space.
Status write_superblock(const VolumeFile& file, const Superblock& superblock, std::size_t copy);

/// Writes both copies, one after the other, `first` first. Errors: io_error, no_space.
Status write_superblocks(const VolumeFile& file, const Superblock& superblock, std::size_t first);

/// Reads the superblocks of a locked volume, and makes the damaged or older copy like the other one. Errors:
/// as both.
Result<Superblock> read_and_repair(const VolumeFile& file, const LogSink& log);

/// Errors: invalid_argument, if blocks of this size can't be read and written directly, without the page
/// cache: 512 bytes on a disk whose sectors have 4096.
Status check_direct_io(const VolumeFile& file, std::uint32_t block_size);

}  // namespace sluice::storage_node
