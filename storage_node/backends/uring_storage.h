#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "storage_node/backend.h"
#include "storage_node/backends/uring_queue.h"
#include "storage_node/backends/volume_file.h"
#include "storage_node/backends/zero_pages.h"

namespace sluice::storage_node {

/// How a file and a device differ when a volume's size changes. Called while nothing is stored.
class Resizer {
 public:
  Resizer() = default;
  Resizer(const Resizer&) = delete;
  Resizer& operator=(const Resizer&) = delete;
  virtual ~Resizer() = default;

  /// Makes room, all zeroes, for data between the two sizes, durably.
  [[nodiscard]] virtual Status extend(const VolumeFile& file, ByteCount from, ByteCount to) const = 0;
  /// Gives back what lies behind `to`: the superblock says so already.
  [[nodiscard]] virtual Status cut(const VolumeFile& file, ByteCount from, ByteCount to) const = 0;
};

/// A volume in a file or on a block device, by io_uring and O_DIRECT.
class UringStorage final : public VolumeStorage {
 public:
  /// `file` is locked, and `superblock` what both of its copies say. The references outlive it.
  UringStorage(UringQueue& queue, const ZeroPages& zeroes, const Resizer& resizer, VolumeFile file,
               const Superblock& superblock);
  ~UringStorage() override;

  [[nodiscard]] const VolumeState& state() const noexcept override { return stored_.state; }
  void start(const BackendRequest& request) noexcept override;
  void start_store(const VolumeState& state, std::uint64_t tag) noexcept override;
  Status resize(ByteCount size) override;

 private:
  /// Carries on what takes more than one piece.
  class DataHandler final : public UringHandler {
   public:
    explicit DataHandler(UringStorage& storage) noexcept : storage_(storage) {}
    std::optional<StatusCode> on_result(UringOperation& operation, int result) noexcept override;

   private:
    UringStorage& storage_;
  };
  class StoreHandler final : public UringHandler {
   public:
    explicit StoreHandler(UringStorage& storage) noexcept : storage_(storage) {}
    std::optional<StatusCode> on_result(UringOperation& operation, int result) noexcept override;

   private:
    UringStorage& storage_;
  };
  struct alignas(kSuperblockSize) StoreBuffer {
    SuperblockBytes bytes;
  };

  std::optional<StatusCode> next_piece(UringOperation& operation, int result) noexcept;
  std::optional<StatusCode> after_transfer(UringOperation& operation, int result) noexcept;
  std::optional<StatusCode> after_allocate(UringOperation& operation, int result) noexcept;
  std::optional<StatusCode> write_next_zeroes(UringOperation& operation) noexcept;

  std::optional<StatusCode> next_copy(UringOperation& operation, int result) noexcept;

  UringQueue& queue_;
  const ZeroPages& zeroes_;
  const Resizer& resizer_;
  VolumeFile file_;
  DataHandler data_handler_{*this};
  StoreHandler store_handler_{*this};

  Superblock stored_;  ///< the last one that both copies hold
  Superblock being_stored_;
  std::uint64_t last_sequence_;  ///< given to a store, whether it succeeded or not
  std::size_t stale_copy_ = 0;   ///< the one that may be damaged or older: written first
  bool storing_ = false;
  std::unique_ptr<StoreBuffer> store_buffer_;
  std::size_t in_flight_ = 0;
};

}  // namespace sluice::storage_node
