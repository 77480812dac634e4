#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "transport/provider.h"
#include "transport/slab.h"

namespace sluice::transport {

struct SlotClass {
  std::uint32_t slot_bytes = 0;  ///< a multiple of 4096, so that a slot may serve O_DIRECT
  std::uint32_t slot_count = 0;
};

struct MemoryPoolConfig {
  /// In ascending order of slot_bytes.
  std::vector<SlotClass> classes{{.slot_bytes = 64 * 1024, .slot_count = 64},
                                 {.slot_bytes = 1024 * 1024, .slot_count = 8}};
  bool huge_pages = true;  ///< where the system grants them, else plain ones, with one log line
  Access access = Access::local_write | Access::remote_write | Access::remote_read;
};

class MemoryPool;

/// One slot on loan from a pool: gives it back when destroyed. The device must be done with it by then
/// (completion, or the endpoint drained). Movable; goes before its pool.
class PoolSlot {
 public:
  PoolSlot() = default;
  PoolSlot(PoolSlot&& other) noexcept;
  PoolSlot& operator=(PoolSlot&& other) noexcept;
  ~PoolSlot() { reset(); }

  /// False for a moved-from or default-made one, on which nothing else may be called.
  explicit operator bool() const noexcept { return pool_ != nullptr; }
  /// The slot's bytes; what they hold at first is undefined.
  [[nodiscard]] std::span<std::byte> memory() const noexcept;
  [[nodiscard]] LocalBuffer local(std::uint32_t length) const noexcept;
  /// What a peer needs to reach the slot's first byte.
  [[nodiscard]] RemoteBuffer remote() const noexcept;
  [[nodiscard]] std::uint32_t index() const noexcept { return index_; }
  /// Tells this loan of the slot from every other one.
  [[nodiscard]] std::uint32_t generation() const noexcept { return generation_; }
  void reset() noexcept;

 private:
  friend class MemoryPool;
  PoolSlot(MemoryPool* pool, std::uint32_t index, std::uint32_t generation) noexcept
      : pool_(pool), index_(index), generation_(generation) {}

  MemoryPool* pool_ = nullptr;
  std::uint32_t index_ = 0;
  std::uint32_t generation_ = 0;
};

/// Slots of fixed sizes in one slab that is registered once. Nothing allocates, locks or logs after create().
/// Under AddressSanitizer free slots are poisoned. One thread. Goes before its protection domain.
class MemoryPool {
 public:
  /// Errors: invalid_argument (no class, a size that isn't a multiple of 4096, not ascending), out_of_memory.
  static Result<std::unique_ptr<MemoryPool>> create(ProtectionDomain& domain, const MemoryPoolConfig& config,
                                                    const LogSink& log);

  MemoryPool(const MemoryPool&) = delete;
  MemoryPool& operator=(const MemoryPool&) = delete;
  /// Every slot must have come back: see leaks().
  ~MemoryPool();

  /// The smallest free slot that holds `bytes`; a larger class serves when the fitting one is used up.
  /// Nothing when all are taken, or no class is large enough. `holder` says who has it, in a leak report: a
  /// string that lives for ever (a literal).
  [[nodiscard]] std::optional<PoolSlot> take(std::uint32_t bytes, const char* holder) noexcept;

  [[nodiscard]] std::uint32_t taken() const noexcept { return taken_; }
  [[nodiscard]] std::uint32_t free_slots(std::size_t slot_class) const noexcept;
  [[nodiscard]] std::uint32_t largest_slot_bytes() const noexcept { return classes_.back().slot_bytes; }

  /// The leak check, for the moment at which nothing may be in use: what hasn't come back, one line each,
  /// with class, slot, generation and holder. Empty when all is well.
  [[nodiscard]] std::vector<std::string> leaks() const;

 private:
  friend class PoolSlot;
  struct Class {
    std::uint32_t slot_bytes;
    std::uint32_t first_slot;
    std::uint32_t slot_count;
    std::size_t first_byte;
    std::vector<std::uint32_t> free;  ///< a stack: the last one given back is the warmest
  };
  struct Slot {
    std::uint32_t slot_class = 0;
    std::uint32_t generation = 0;
    const char* holder = nullptr;  ///< null: free
  };

  MemoryPool() = default;
  void lay_out(const MemoryPoolConfig& config);
  [[nodiscard]] std::size_t offset_of(std::uint32_t index) const noexcept;
  [[nodiscard]] std::span<std::byte> memory_of(std::uint32_t index) const noexcept;
  void give_back(std::uint32_t index, std::uint32_t generation) noexcept;

  std::vector<Class> classes_;
  std::vector<Slot> slots_;
  std::uint32_t taken_ = 0;
  Slab slab_;
  std::unique_ptr<Region> region_;
};

}  // namespace sluice::transport
