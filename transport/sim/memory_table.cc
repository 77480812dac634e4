#include "transport/sim/memory_table.h"

namespace sluice::transport::sim {

namespace {

/// A key: index + 1 in the upper half, a random word in the lower, and for remote use the top bit.
constexpr std::uint64_t kRemoteUse = std::uint64_t{1} << 63U;
constexpr unsigned kIndexShift = 32;
constexpr std::uint64_t kLowHalf = 0xffff'ffffU;
/// Between two regions, so that running over the end of one never reaches the next.
constexpr std::uint64_t kAddressGap = 1U << 20U;

bool has_all(Access set, Access needed) noexcept {
  return (static_cast<unsigned>(set) & static_cast<unsigned>(needed)) == static_cast<unsigned>(needed);
}

}  // namespace

MemoryTable::Grant MemoryTable::add(std::span<std::byte> memory, Access access, std::uint64_t domain) {
  std::uint32_t index = 0;
  if (free_.empty()) {
    index = static_cast<std::uint32_t>(entries_.size());
    entries_.emplace_back();
  } else {
    index = free_.back();
    free_.pop_back();
  }
  if (has(access, Access::remote_write)) access = access | Access::local_write;
  const std::uint64_t key = (std::uint64_t{index + 1} << kIndexShift) | (core_.latencies.next() & kLowHalf);
  entries_[index] = {key, next_address_, memory, access, domain};
  next_address_ += memory.size() + kAddressGap;
  ++live_;
  return {key, {key | kRemoteUse, entries_[index].address}};
}

void MemoryTable::remove(std::uint64_t local_key) noexcept {
  if (find(local_key) == nullptr) return;
  const auto index = static_cast<std::uint32_t>((local_key >> kIndexShift) - 1);
  entries_[index] = {};
  free_.push_back(index);
  --live_;
}

const MemoryTable::Entry* MemoryTable::find(std::uint64_t key) const noexcept {
  const std::uint64_t index = (key >> kIndexShift) - 1;
  if (key == 0 || index >= entries_.size() || entries_[index].key != key) return nullptr;
  return &entries_[index];
}

std::byte* MemoryTable::reach(const RemoteBuffer& remote, std::uint64_t offset, std::uint64_t length,
                              Access needed, std::uint64_t domain) const noexcept {
  if ((remote.key & kRemoteUse) == 0) return nullptr;
  const Entry* entry = find(remote.key & ~kRemoteUse);
  if (entry == nullptr || entry->domain != domain || !has_all(entry->access, needed)) return nullptr;
  if (remote.address < entry->address) return nullptr;
  const std::uint64_t start = remote.address - entry->address;
  const std::uint64_t size = entry->memory.size();
  if (start > size || offset > size - start || length > size - start - offset) return nullptr;
  return entry->memory.data() + start + offset;
}

bool MemoryTable::allows(const LocalBuffer& buffer, Access needed, std::uint64_t domain) const noexcept {
  const Entry* entry = find(buffer.key);
  if (entry == nullptr || entry->domain != domain || !has_all(entry->access, needed)) return false;
  const auto region_start = reinterpret_cast<std::uintptr_t>(entry->memory.data());
  const auto start = reinterpret_cast<std::uintptr_t>(buffer.data);
  if (start < region_start) return false;
  const std::uint64_t offset = start - region_start;
  return offset <= entry->memory.size() && buffer.length <= entry->memory.size() - offset;
}

}  // namespace sluice::transport::sim
