#pragma once

#include <optional>
#include <string>
#include <vector>

#include "protocol/base/log.h"
#include "storage_node/backends/data_directory.h"
#include "storage_node/backends/reactor_share.h"
#include "storage_node/backends/volume_file.h"
#include "storage_node/backends/volume_states.h"

namespace sluice::storage_node {

/// The volume files in a data directory, one for each volume of a reactor's share: "12.volume" for its whole
/// life and afterwards, when it is cut to its superblocks and marked as a tombstone. Nothing here needs more
/// room than the file has, but create(): on a full disk fences are stored and volumes removed all the same.
class VolumeDirectory {
 public:
  /// Errors: invalid_argument (its file system has no direct IO), system errors.
  static Result<VolumeDirectory> open(const DataDirectory& directory, ReactorShare share, LogSink log);

  /// Every volume and tombstone, in the order of their ids, locked or not; removes what an interrupted
  /// create() left. Errors: as read_superblocks, and malformed for a file under another volume's name.
  [[nodiscard]] Result<std::vector<VolumeState>> list() const;
  /// What list() says of one volume.
  [[nodiscard]] Result<std::optional<VolumeState>> find(VolumeId volume) const;

  struct Opened {
    VolumeFile file;
    Superblock superblock;
  };
  /// Opens and locks one, tombstone or not, and repairs its superblock. Errors: not_found, busy, those of
  /// read_and_repair, malformed.
  [[nodiscard]] Result<Opened> open_locked(VolumeId volume) const;

  /// Makes a volume or a tombstone's file, durably; there is none yet. Errors: no_space, io_error,
  /// invalid_argument (check_direct_io).
  [[nodiscard]] Status create(const VolumeState& state) const;
  /// Makes a tombstone a volume again: `state`, with the higher fence of both. Errors: as create().
  [[nodiscard]] Status revive(const Opened& tombstone, const VolumeState& state) const;
  /// Makes a volume a tombstone, and gives its space back. Errors: io_error.
  [[nodiscard]] Status bury(const Opened& volume) const;
  /// Takes a tombstone away. ok if there is none. Errors: io_error.
  [[nodiscard]] Status forget(VolumeId volume) const;

  [[nodiscard]] int fd() const noexcept { return directory_.get(); }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  VolumeDirectory(std::string path, FileHandle directory, ReactorShare share, LogSink log) noexcept;

  [[nodiscard]] Result<VolumeFile> open_file(const std::string& name, int flags) const;
  [[nodiscard]] Result<std::vector<VolumeId>> scan() const;
  [[nodiscard]] Status fill_new_file(const VolumeFile& file, const VolumeState& state) const;

  std::string path_;
  FileHandle directory_;
  ReactorShare share_;
  LogSink log_;
};

}  // namespace sluice::storage_node
