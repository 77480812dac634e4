#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "storage_node/backends/node_storage.h"
#include "tests/contract/backend/store.h"
#include "tests/contract/backend/temporary_directory.h"

namespace sluice::storage_node::contract {

class FileStore final : public Store {
 public:
  FileStore() = default;
  /// On a directory of the caller's.
  explicit FileStore(std::string path) : path_(std::move(path)) {}

  using Store::open;
  std::unique_ptr<Backend> open(std::size_t reactor, std::size_t reactors) override;
  [[nodiscard]] bool is_durable() const noexcept override { return true; }
  [[nodiscard]] std::size_t volume_count() const noexcept override { return 16; }
  [[nodiscard]] ByteCount volume_size() const noexcept override {
    return ByteCount(std::uint64_t{16} << 20U);
  }
  [[nodiscard]] std::uint32_t smallest_block() const noexcept override { return 512; }

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] std::string volume_path(VolumeId volume) const {
    return path_ + "/volumes/" + std::to_string(volume.value()) + ".volume";
  }
  /// What the backends said.
  [[nodiscard]] const std::vector<std::string>& log() const noexcept { return log_; }

 private:
  TemporaryDirectory temporary_;
  std::string path_ = temporary_.path() + "/data";
  std::vector<std::string> log_;
  std::unique_ptr<NodeStorage> storage_;
};

}  // namespace sluice::storage_node::contract
