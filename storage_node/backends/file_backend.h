#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "storage_node/backends/data_directory.h"
#include "storage_node/backends/reactor_share.h"
#include "storage_node/backends/uring_backend.h"
#include "storage_node/backends/uring_storage.h"
#include "storage_node/backends/volume_directory.h"

namespace sluice::storage_node {

/// One sparse file a volume, in the node's data directory.
class FileBackend final : public UringBackend {
 public:
  /// `reserve` isn't reported as free: what the file system keeps for others. `directory` outlives it.
  /// Errors: those of UringQueue::create and VolumeDirectory::open.
  static Result<std::unique_ptr<FileBackend>> open(const DataDirectory& directory, ByteCount reserve,
                                                   ReactorShare share, const LogSink& log);

  Result<std::vector<VolumeState>> list() override { return volumes_.list(); }
  Status create(const VolumeState& state) override;
  Result<std::unique_ptr<VolumeStorage>> open(VolumeId volume) override;
  Status remove(VolumeId volume) override;
  Result<BackendSpace> space() override;

 private:
  class FileResizer final : public Resizer {
   public:
    [[nodiscard]] Status extend(const VolumeFile& file, ByteCount from, ByteCount to) const override;
    [[nodiscard]] Status cut(const VolumeFile& file, ByteCount from, ByteCount to) const override;
  };

  FileBackend(std::unique_ptr<UringQueue> queue, VolumeDirectory volumes, ByteCount reserve) noexcept
      : UringBackend(std::move(queue)), volumes_(std::move(volumes)), reserve_(reserve) {}

  VolumeDirectory volumes_;
  ByteCount reserve_;
  FileResizer resizer_;
};

}  // namespace sluice::storage_node
