#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "storage_node/backend.h"
#include "tests/contract/backend/buffers.h"
#include "tests/contract/backend/store.h"

namespace sluice::storage_node::contract {

/// A store, a backend on it with registered buffers, and calls that wait for the end.
class Stage {
 public:
  Stage() : Stage(make_store()) {}
  explicit Stage(std::unique_ptr<Store> store);
  ~Stage() { close(); }
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;

  /// The node stops, and starts again.
  void restart();
  void close();

  [[nodiscard]] Store& store() noexcept { return *store_; }
  [[nodiscard]] Backend& backend() noexcept { return *backend_; }

  /// A volume of the store's largest size, created and open.
  std::unique_ptr<VolumeStorage> create_and_open(VolumeId volume, std::uint32_t block_size);
  [[nodiscard]] VolumeState shape(VolumeId volume, std::uint32_t block_size) const;
  std::unique_ptr<VolumeStorage> open(VolumeId volume);
  [[nodiscard]] std::vector<VolumeState> list();

  StatusCode write(VolumeStorage& storage, std::uint64_t offset, std::span<const std::byte> data,
                   bool durable = true);
  [[nodiscard]] std::vector<std::byte> read(VolumeStorage& storage, std::uint64_t offset, std::size_t size);
  StatusCode range(VolumeStorage& storage, protocol::IoOp op, std::uint64_t offset, std::uint32_t length,
                   bool durable = true);
  StatusCode flush(VolumeStorage& storage);
  StatusCode store_state(VolumeStorage& storage, const VolumeState& state);

  /// Submits, and sleeps until there are that many completions.
  std::vector<BackendCompletion> complete(std::size_t count);
  /// Inside the registered buffers.
  [[nodiscard]] std::span<std::byte> buffer() const noexcept { return buffer_.bytes(); }

 private:
  StatusCode run(VolumeStorage& storage, const BackendRequest& request);

  std::unique_ptr<Store> store_;
  AlignedBuffer buffer_;
  std::unique_ptr<Backend> backend_;
  std::uint64_t next_tag_ = 1;
};

}  // namespace sluice::storage_node::contract
