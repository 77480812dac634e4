#pragma once

#include <optional>
#include <string>
#include <vector>

#include "protocol/base/log.h"
#include "protocol/base/status.h"
#include "storage_node/backends/volume_file.h"

/// System calls on one block device. All of them may wait for it.
namespace sluice::storage_node {

enum class DeviceContent : std::uint8_t {
  blank,    ///< zeroes where superblocks would be
  volume,   ///< at least one intact superblock
  unknown,  ///< anything else
};

/// For looking at it. Errors: not_found, invalid_argument (no block device), permission_denied, io_error.
Result<VolumeFile> open_device(const std::string& path);
/// For using it, alone (F2): with O_EXCL against whoever mounts or claims it, and locked. Errors: busy, and
/// those of open_device.
Result<VolumeFile> claim_device(const std::string& path);

/// Bytes. Errors: io_error.
Result<ByteCount> device_size(const VolumeFile& device);
/// What the places of its superblocks hold. Errors: io_error.
Result<DeviceContent> look_at(const VolumeFile& device);

/// Makes a range read as zeroes, durably: by discarding where the device promises zeroes afterwards, else by
/// writing them. Errors: io_error.
Status zero_durably(const VolumeFile& device, std::uint64_t offset, std::uint64_t length);
/// Gives a range back to a device that can take it; its content doesn't matter.
void discard(const VolumeFile& device, std::uint64_t offset, std::uint64_t length);

/// Before a node uses its devices: each is a block device that no other path names too, and holds a volume or
/// zeroes. One with unknown content is wiped if `wipe` has it. Errors: invalid_argument, malformed (unknown
/// content), busy, and those of open_device; each names the device.
Status prepare_devices(const std::vector<std::string>& devices, const std::vector<std::string>& wipe,
                       const LogSink& log);

}  // namespace sluice::storage_node
