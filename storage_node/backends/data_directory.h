#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "protocol/base/status.h"
#include "storage_node/backends/file_handle.h"

namespace sluice::storage_node {

/// What a node keeps of its own, on a file system that survives it:
///
///     lock             held by the node's process, whose id it contains
///     volumes/ID.volume  a volume, or a tombstone (see volume_directory.h)
///
/// One process a directory: the lock goes with the process. It keeps two nodes apart, not a dead process's
/// unfinished IO from a new one: that is what each volume's own lock is for. After open() any thread.
class DataDirectory {
 public:
  /// Makes the directory if it isn't there (not the ones above it). Errors: busy, naming the process that has
  /// it; not_found (no parent directory), permission_denied and other system errors, each naming the path.
  static Result<std::unique_ptr<DataDirectory>> open(const std::string& path);

  DataDirectory(const DataDirectory&) = delete;
  DataDirectory& operator=(const DataDirectory&) = delete;
  ~DataDirectory() = default;

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] int fd() const noexcept { return directory_.get(); }

  /// A small file's content; nothing if there is none. Errors: io_error.
  [[nodiscard]] Result<std::optional<std::string>> read(const std::string& name) const;
  /// Replaces a small file, durably and in one step: after a crash it has the old content or the new.
  /// Errors: io_error, no_space.
  [[nodiscard]] Status write(const std::string& name, std::string_view content) const;

 private:
  DataDirectory(std::string path, FileHandle directory, FileHandle lock) noexcept;

  std::string path_;
  FileHandle directory_;
  FileHandle lock_;
};

/// Makes what was created, renamed or removed in the directory `fd` durable. `name` is for words.
Status sync_directory(int fd, std::string_view name);

}  // namespace sluice::storage_node
