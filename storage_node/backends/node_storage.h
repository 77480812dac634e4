#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "protocol/base/log.h"
#include "storage_node/backend.h"
#include "storage_node/backends/data_directory.h"
#include "storage_node/backends/memory_backend.h"

namespace sluice::storage_node {

enum class BackendKind : std::uint8_t {
  file,    ///< a sparse file a volume, in the data directory
  block,   ///< a block device a volume
  memory,  ///< for benchmarks: gone with the process
};

/// "file", "block" or "memory". Errors: invalid_argument, listing them.
Result<BackendKind> parse_backend_kind(std::string_view text);
std::string_view to_string(BackendKind kind) noexcept;

struct StorageConfig {
  BackendKind backend = BackendKind::file;
  /// The node's data directory: its volumes (file), tombstones, and what else it keeps. The one above exists.
  std::string directory{};
  /// file: room of the file system that isn't reported as free.
  ByteCount reserve{};
  /// block: the devices, by path.
  std::vector<std::string> devices{};
  /// block: those of `devices` whose content may be destroyed if it isn't a volume's. Others that hold
  /// anything but a volume or zeroes are refused.
  std::vector<std::string> wipe{};
  /// memory: for all volumes together.
  ByteCount capacity{std::uint64_t{1} << 30U};
};

/// What a node's process holds of its storage: the lock on its data directory, and what its reactors share.
class NodeStorage {
 public:
  /// Errors: those of DataDirectory::open and prepare_devices.
  static Result<std::unique_ptr<NodeStorage>> open(const StorageConfig& config, LogSink log);

  NodeStorage(const NodeStorage&) = delete;
  NodeStorage& operator=(const NodeStorage&) = delete;
  ~NodeStorage() = default;

  [[nodiscard]] const DataDirectory& directory() const noexcept { return *directory_; }

  /// A backend for reactor `index` of `count`, which goes before this. Its thread may be another than this
  /// one. Errors: those of FileBackend::open and BlockBackend::open.
  Result<std::unique_ptr<Backend>> open_backend(std::size_t index, std::size_t count);

 private:
  NodeStorage(StorageConfig config, std::unique_ptr<DataDirectory> directory, LogSink log);

  StorageConfig config_;
  std::unique_ptr<DataDirectory> directory_;
  std::shared_ptr<MemoryBudget> budget_;
  LogSink log_;
};

}  // namespace sluice::storage_node
