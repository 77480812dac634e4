#include "storage_node/backends/node_storage.h"

#include <algorithm>
#include <utility>

#include "storage_node/backends/block_backend.h"
#include "storage_node/backends/file_backend.h"

namespace sluice::storage_node {

Result<BackendKind> parse_backend_kind(std::string_view text) {
  for (const auto kind : {BackendKind::file, BackendKind::block, BackendKind::memory}) {
    if (text == to_string(kind)) return kind;
  }
  return fail(StatusCode::invalid_argument,
              "\"" + std::string(text) + "\" is no backend: there are file, block and memory");
}

std::string_view to_string(BackendKind kind) noexcept {
  switch (kind) {
    case BackendKind::file:
      return "file";
    case BackendKind::block:
      return "block";
    case BackendKind::memory:
      return "memory";
  }
  return "unknown";
}

Result<std::unique_ptr<NodeStorage>> NodeStorage::open(const StorageConfig& config, LogSink log) {
  auto directory = DataDirectory::open(config.directory);
  if (!directory) return tl::unexpected(directory.error());
  if (config.backend == BackendKind::block) {
    if (auto ready = prepare_devices(config.devices, config.wipe, log); !ready)
      return tl::unexpected(ready.error());
  }
  return std::unique_ptr<NodeStorage>(new NodeStorage(config, std::move(*directory), std::move(log)));
}

NodeStorage::NodeStorage(StorageConfig config, std::unique_ptr<DataDirectory> directory, LogSink log)
    : config_(std::move(config)),
      directory_(std::move(directory)),
      budget_(std::make_shared<MemoryBudget>(config_.capacity)),
      log_(std::move(log)) {}

Result<std::unique_ptr<Backend>> NodeStorage::open_backend(std::size_t index, std::size_t count) {
  const ReactorShare share{.index = index, .count = count};
  switch (config_.backend) {
    case BackendKind::file:
      return FileBackend::open(*directory_, config_.reserve, share, log_);
    case BackendKind::block:
      return BlockBackend::open(*directory_, config_.devices, share, log_);
    case BackendKind::memory:
      return std::make_unique<MemoryBackend>(budget_, share);
  }
  return fail(StatusCode::invalid_argument, "no such backend");
}

}  // namespace sluice::storage_node
