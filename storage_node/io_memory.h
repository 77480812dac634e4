#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "protocol/base/status.h"
#include "protocol/base/units.h"
#include "storage_node/range_allocator.h"
#include "transport/slab.h"
#include "transport/transport_config.h"

namespace sluice::storage_node {

class IoMemory;

/// A buffer on loan: gives itself back. Device and backend must be done with it by then.
class IoBuffer {
 public:
  IoBuffer() = default;
  IoBuffer(IoBuffer&& other) noexcept;
  IoBuffer& operator=(IoBuffer&& other) noexcept;
  ~IoBuffer() { reset(); }

  explicit operator bool() const noexcept { return memory_ != nullptr; }
  [[nodiscard]] std::byte* data() const noexcept { return data_; }
  void reset() noexcept;

 private:
  friend class IoMemory;
  IoBuffer(IoMemory* memory, std::byte* data, std::uint8_t size_class) noexcept
      : memory_(memory), data_(data), size_class_(size_class) {}

  IoMemory* memory_ = nullptr;
  std::byte* data_ = nullptr;
  std::uint8_t size_class_ = 0;
};

/// The memory of one path's slots, on loan: gives itself back. R4: not before its region is deregistered.
class StagingRange {
 public:
  StagingRange() = default;
  StagingRange(StagingRange&& other) noexcept;
  StagingRange& operator=(StagingRange&& other) noexcept;
  ~StagingRange() { reset(); }

  [[nodiscard]] std::span<std::byte> memory() const noexcept { return bytes_; }
  void reset() noexcept;

 private:
  friend class IoMemory;
  StagingRange(IoMemory* memory, std::span<std::byte> bytes) noexcept : memory_(memory), bytes_(bytes) {}

  IoMemory* memory_ = nullptr;
  std::span<std::byte> bytes_;
};

struct IoMemoryConfig {
  ByteCount limit;         ///< all memory that IO data may take, at least kMinIoMemory
  bool huge_pages = true;  ///< where the system grants them, else plain ones, with one log line
};
inline constexpr ByteCount kMinIoMemory{std::uint64_t{16} * 1024 * 1024};

/// A reactor's memory for data, in one slab that the backend registers once:
///
///     | 4 KiB buffers | 64 KiB buffers | 1 MiB buffers |  staging ranges: a path's slots each ...  |
///
/// The buffers are the node's own: what is read goes through them, and what came in a capsule; no peer can
/// reach them. Staging ranges are what peers WRITE into. Taking and giving back a buffer neither allocates
/// nor locks. One thread. Goes after everything that it lent.
class IoMemory {
 public:
  /// Errors: invalid_argument (too little to work with), out_of_memory.
  static Result<std::unique_ptr<IoMemory>> create(const IoMemoryConfig& config,
                                                  const transport::LogSink& log);

  IoMemory(const IoMemory&) = delete;
  IoMemory& operator=(const IoMemory&) = delete;
  ~IoMemory();

  /// The smallest free buffer that holds `bytes`, at most kMaxDataLength; a larger one serves when the
  /// fitting ones are used up. Empty when there is none now.
  [[nodiscard]] IoBuffer take(std::uint32_t bytes) noexcept;
  /// Whether take() would give one.
  [[nodiscard]] bool has(std::uint32_t bytes) const noexcept;
  /// Errors: limit_reached.
  [[nodiscard]] Result<StagingRange> take_staging(ByteCount size);

  /// All of it, for the backend.
  [[nodiscard]] std::span<std::byte> all() const noexcept { return slab_.memory(); }
  /// The part that the buffers lie in, for sessions' protection domains.
  [[nodiscard]] std::span<std::byte> buffers() const noexcept { return buffers_; }

  /// What is on loan: 0 once everything has come back.
  [[nodiscard]] std::size_t buffers_on_loan() const noexcept { return on_loan_; }
  [[nodiscard]] ByteCount staging_on_loan() const noexcept { return staging_.taken(); }
  /// Whether all of these bytes of this memory are paths' slots.
  [[nodiscard]] bool is_on_loan_to_paths(std::span<const std::byte> bytes) const;

 private:
  friend class IoBuffer;
  friend class StagingRange;
  struct SizeClass {
    std::uint32_t bytes = 0;
    std::vector<std::byte*> free;  ///< a stack: the last one given back is the warmest
  };

  IoMemory(transport::Slab slab, std::size_t buffer_bytes);
  void give_back(std::byte* data, std::uint8_t size_class) noexcept;
  void give_back(std::span<std::byte> range);

  transport::Slab slab_;
  std::span<std::byte> buffers_;
  std::array<SizeClass, 3> classes_;
  std::size_t on_loan_ = 0;
  RangeAllocator staging_;
};

}  // namespace sluice::storage_node
