#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "storage_node/backend.h"
#include "storage_node/backends/memory_backend.h"

namespace sluice::storage_node {

/// One volume's bytes: a range of addresses of its size, of which the written parts have memory.
class MemoryVolume {
 public:
  /// Errors: no_space (no such range of addresses).
  static Result<std::unique_ptr<MemoryVolume>> create(const VolumeState& state, MemoryBudget& budget);

  MemoryVolume(const MemoryVolume&) = delete;
  MemoryVolume& operator=(const MemoryVolume&) = delete;
  ~MemoryVolume();

  [[nodiscard]] StatusCode execute(const BackendRequest& request) noexcept;
  /// Errors: no_space.
  Status resize(ByteCount size);

  VolumeState state;
  bool is_open = false;
  std::size_t in_flight = 0;

 private:
  static constexpr std::uint64_t kPieceBytes = std::uint64_t{64} * 1024;

  MemoryVolume(const VolumeState& initial, MemoryBudget& budget, std::span<std::byte> memory);

  [[nodiscard]] StatusCode write(const BackendRequest& request) noexcept;
  [[nodiscard]] bool take_pieces(std::uint64_t begin, std::uint64_t end) noexcept;
  void zero(std::uint64_t begin, std::uint64_t end) noexcept;
  void give_back_piece(std::uint64_t piece) noexcept;

  MemoryBudget& budget_;
  std::span<std::byte> memory_;
  std::vector<bool> has_memory_;  ///< by piece
};

}  // namespace sluice::storage_node
