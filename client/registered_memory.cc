#include "client/registered_memory.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace sluice::client {
namespace {

/// Pointers into different objects are ordered by std::less alone.
bool is_before(const std::byte* a, const std::byte* b) noexcept {
  return std::less<>{}(a, b);
}

const std::byte* end_of(std::span<const std::byte> memory) noexcept {
  return memory.data() + memory.size();
}

}  // namespace

bool RegisteredRange::contains(std::span<const std::byte> part) const noexcept {
  return !is_before(part.data(), memory_.data()) && !is_before(end_of(memory_), end_of(part));
}

transport::LocalBuffer RegisteredRange::local(runtime::Rail rail, const std::byte* at,
                                              std::uint32_t length) const noexcept {
  return region(rail).local(offset_of(at), length);
}

transport::RemoteBuffer RegisteredRange::remote(runtime::Rail rail, const std::byte* at) const noexcept {
  return region(rail).remote(offset_of(at));
}

Result<RegisteredRange*> RegisteredMemory::add(std::span<std::byte> memory) {
  if (memory.empty()) return fail(StatusCode::invalid_argument, "there is no memory to register");
  // The first range that ends after the new one begins: it must begin after the new one ends.
  const auto next = std::find_if(ranges_.begin(), ranges_.end(), [&](const auto& range) {
    return is_before(memory.data(), end_of(range->memory()));
  });
  if (next != ranges_.end() && is_before((*next)->memory().data(), end_of(memory))) {
    return fail(StatusCode::invalid_argument, "the memory overlaps what is registered already");
  }
  std::vector<std::unique_ptr<transport::Region>> regions;
  for (transport::ProtectionDomain* const domain : domains_) {
    auto region = domain->register_memory(memory, transport::Access::remote_write);
    if (!region) return tl::unexpected(region.error());
    regions.push_back(std::move(*region));
  }
  const auto added = ranges_.insert(next, std::make_unique<RegisteredRange>(memory, std::move(regions)));
  return added->get();
}

Status RegisteredMemory::remove(std::span<std::byte> memory) {
  const auto found = std::find_if(ranges_.begin(), ranges_.end(), [&](const auto& range) {
    return range->memory().data() == memory.data() && range->memory().size() == memory.size();
  });
  if (found == ranges_.end()) return fail(StatusCode::not_found, "no such memory is registered");
  if ((*found)->in_use()) {
    return fail(StatusCode::busy, "requests use the memory: wait for their completions first");
  }
  ranges_.erase(found);
  return {};
}

RegisteredRange* RegisteredMemory::find(std::span<const std::byte> part) const noexcept {
  const auto after = std::upper_bound(
      ranges_.begin(), ranges_.end(), part.data(),
      [](const std::byte* at, const auto& range) { return is_before(at, range->memory().data()); });
  if (after == ranges_.begin()) return nullptr;
  RegisteredRange& candidate = **std::prev(after);
  return candidate.contains(part) ? &candidate : nullptr;
}

}  // namespace sluice::client
