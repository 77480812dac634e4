#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "storage_node/backends/block_device.h"
#include "storage_node/backends/uring_backend.h"
#include "storage_node/backends/uring_storage.h"
#include "storage_node/backends/volume_directory.h"

namespace sluice::storage_node {

/// One volume a block device: a new one takes the smallest blank device that it fits on. Tombstones are files
/// in the data directory, since a device goes on to its next volume. Where there is a tombstone, it counts: a
/// device that still has that volume is in the middle of being given back, or of being taken again.
class BlockBackend final : public UringBackend {
 public:
  /// `devices` have been prepared (see prepare_devices). `directory` outlives it. Errors: those of
  /// UringQueue::create and VolumeDirectory::open.
  static Result<std::unique_ptr<BlockBackend>> open(const DataDirectory& directory,
                                                    std::vector<std::string> devices, ReactorShare share,
                                                    const LogSink& log);

  Result<std::vector<VolumeState>> list() override;
  Status create(const VolumeState& state) override;
  Result<std::unique_ptr<VolumeStorage>> open(VolumeId volume) override;
  Status remove(VolumeId volume) override;
  /// Free is the largest blank device: a volume has one for itself.
  Result<BackendSpace> space() override;

 private:
  class DeviceResizer final : public Resizer {
   public:
    [[nodiscard]] Status extend(const VolumeFile& file, ByteCount from, ByteCount to) const override;
    [[nodiscard]] Status cut(const VolumeFile& file, ByteCount from, ByteCount to) const override;
  };
  struct Device {
    std::string path;
    ByteCount room;                     ///< for a volume's data
    std::optional<VolumeState> volume;  ///< none: blank
  };

  BlockBackend(std::unique_ptr<UringQueue> queue, VolumeDirectory tombstones,
               std::vector<std::string> devices, ReactorShare share, LogSink log) noexcept;

  /// All that hold a volume or are blank.
  [[nodiscard]] Result<std::vector<Device>> scan() const;
  [[nodiscard]] Result<std::optional<Device>> find(VolumeId volume) const;
  /// Errors: malformed, if the file is a volume's of the file backend.
  [[nodiscard]] Result<std::optional<VolumeState>> find_tombstone(VolumeId volume) const;
  [[nodiscard]] Status create_on_one_of(const std::vector<Device>& candidates,
                                        const VolumeState& state) const;
  [[nodiscard]] Status create_on(const Device& device, const VolumeState& state) const;

  VolumeDirectory tombstones_;
  std::vector<std::string> devices_;
  ReactorShare share_;
  LogSink log_;
  DeviceResizer resizer_;
};

}  // namespace sluice::storage_node
