#include "transport/memory_pool.h"

#include <algorithm>
#include <utility>

#include "protocol/base/check.h"

#if defined(__SANITIZE_ADDRESS__)
#define SLUICE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLUICE_ASAN 1
#endif
#endif
#ifdef SLUICE_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace sluice::transport {

namespace {

constexpr std::uint32_t kSlotGranularityBytes = 4096;

void poison([[maybe_unused]] std::span<std::byte> memory) noexcept {
#ifdef SLUICE_ASAN
  __asan_poison_memory_region(memory.data(), memory.size());
#endif
}

void unpoison([[maybe_unused]] std::span<std::byte> memory) noexcept {
#ifdef SLUICE_ASAN
  __asan_unpoison_memory_region(memory.data(), memory.size());
#endif
}

Status checked(const MemoryPoolConfig& config) {
  if (config.classes.empty()) return fail(StatusCode::invalid_argument, "a memory pool needs a slot class");
  std::uint32_t previous_bytes = 0;
  for (const SlotClass& slot_class : config.classes) {
    const std::string what = "slot class of " + std::to_string(slot_class.slot_count) + " x " +
                             std::to_string(slot_class.slot_bytes) + " bytes";
    if (slot_class.slot_count == 0 || slot_class.slot_bytes == 0 ||
        slot_class.slot_bytes % kSlotGranularityBytes != 0) {
      return fail(StatusCode::invalid_argument, what + ": needs slots, of a multiple of 4096 bytes");
    }
    if (slot_class.slot_bytes <= previous_bytes) {
      return fail(StatusCode::invalid_argument, what + ": classes must be in ascending order of size");
    }
    previous_bytes = slot_class.slot_bytes;
  }
  return {};
}

std::size_t total_bytes(const MemoryPoolConfig& config) {
  std::size_t total = 0;
  for (const SlotClass& slot_class : config.classes)
    total += std::size_t{slot_class.slot_bytes} * slot_class.slot_count;
  return total;
}

}  // namespace

// ---- PoolSlot

PoolSlot::PoolSlot(PoolSlot&& other) noexcept
    : pool_(std::exchange(other.pool_, nullptr)), index_(other.index_), generation_(other.generation_) {}

PoolSlot& PoolSlot::operator=(PoolSlot&& other) noexcept {
  if (this != &other) {
    reset();
    pool_ = std::exchange(other.pool_, nullptr);
    index_ = other.index_;
    generation_ = other.generation_;
  }
  return *this;
}

std::span<std::byte> PoolSlot::memory() const noexcept {
  return pool_->memory_of(index_);
}

LocalBuffer PoolSlot::local(std::uint32_t length) const noexcept {
  check(length <= memory().size(), "a local buffer lies inside its slot");
  return pool_->region_->local(pool_->offset_of(index_), length);
}

RemoteBuffer PoolSlot::remote() const noexcept {
  return pool_->region_->remote(pool_->offset_of(index_));
}

void PoolSlot::reset() noexcept {
  if (MemoryPool* const pool = std::exchange(pool_, nullptr)) pool->give_back(index_, generation_);
}

// ---- MemoryPool

Result<std::unique_ptr<MemoryPool>> MemoryPool::create(ProtectionDomain& domain,
                                                       const MemoryPoolConfig& config, const LogSink& log) {
  if (auto status = checked(config); !status) return tl::unexpected(status.error());
  const std::size_t bytes = total_bytes(config);
  auto slab = Slab::map(bytes, config.huge_pages ? Slab::Pages::huge : Slab::Pages::plain);
  if (!slab) return tl::unexpected(slab.error());
  if (config.huge_pages && !slab->is_huge() && log) {
    log(LogLevel::info, "memory pool: no huge pages for " + std::to_string(bytes) +
                            " bytes (see /proc/sys/vm/nr_hugepages): using plain pages");
  }
  auto region = domain.register_memory(slab->memory(), config.access);
  if (!region) return tl::unexpected(region.error());
  std::unique_ptr<MemoryPool> pool(new MemoryPool);
  pool->slab_ = std::move(*slab);
  pool->region_ = std::move(*region);
  pool->lay_out(config);
  return pool;
}

void MemoryPool::lay_out(const MemoryPoolConfig& config) {
  std::size_t next_byte = 0;
  for (const SlotClass& wanted : config.classes) {
    const auto first_slot = static_cast<std::uint32_t>(slots_.size());
    Class& made =
        classes_.emplace_back(Class{wanted.slot_bytes, first_slot, wanted.slot_count, next_byte, {}});
    slots_.resize(slots_.size() + wanted.slot_count,
                  Slot{.slot_class = static_cast<std::uint32_t>(classes_.size() - 1)});
    for (std::uint32_t i = 0; i < wanted.slot_count; ++i)
      made.free.push_back(first_slot + wanted.slot_count - 1 - i);
    next_byte += std::size_t{wanted.slot_bytes} * wanted.slot_count;
  }
  poison(slab_.memory());
}

MemoryPool::~MemoryPool() {
  check(taken_ == 0, "every slot comes back before its pool goes");
  // Deregistered before it is freed; and munmap doesn't lift the poison from addresses that come back.
  region_.reset();
  unpoison(slab_.memory());
}

std::optional<PoolSlot> MemoryPool::take(std::uint32_t bytes, const char* holder) noexcept {
  check(holder != nullptr, "a slot's holder has a name");
  for (Class& candidate : classes_) {
    if (candidate.slot_bytes < bytes || candidate.free.empty()) continue;
    const std::uint32_t index = candidate.free.back();
    candidate.free.pop_back();
    Slot& slot = slots_[index];
    slot.holder = holder;
    ++slot.generation;
    ++taken_;
    unpoison(memory_of(index));
    return PoolSlot(this, index, slot.generation);
  }
  return std::nullopt;
}

void MemoryPool::give_back(std::uint32_t index, std::uint32_t generation) noexcept {
  Slot& slot = slots_[index];
  check(slot.holder != nullptr && slot.generation == generation, "a slot is given back once, by its holder");
  slot.holder = nullptr;
  --taken_;
  poison(memory_of(index));
  // Never allocates: the stack was full once.
  classes_[slot.slot_class].free.push_back(index);
}

std::size_t MemoryPool::offset_of(std::uint32_t index) const noexcept {
  const Class& owner = classes_[slots_[index].slot_class];
  return owner.first_byte + std::size_t{index - owner.first_slot} * owner.slot_bytes;
}

std::span<std::byte> MemoryPool::memory_of(std::uint32_t index) const noexcept {
  return slab_.memory().subspan(offset_of(index), classes_[slots_[index].slot_class].slot_bytes);
}

std::uint32_t MemoryPool::free_slots(std::size_t slot_class) const noexcept {
  check(slot_class < classes_.size(), "a slot class's index is in range");
  return static_cast<std::uint32_t>(classes_[slot_class].free.size());
}

std::vector<std::string> MemoryPool::leaks() const {
  std::vector<std::string> lines;
  for (std::uint32_t index = 0; index < slots_.size(); ++index) {
    const Slot& slot = slots_[index];
    if (slot.holder == nullptr) continue;
    const Class& owner = classes_[slot.slot_class];
    lines.push_back(std::to_string(owner.slot_bytes) + "-byte slot " +
                    std::to_string(index - owner.first_slot) + ", generation " +
                    std::to_string(slot.generation) + ", held by " + slot.holder);
  }
  return lines;
}

}  // namespace sluice::transport
