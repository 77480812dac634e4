#include "storage_node/range_allocator.h"

#include <algorithm>
#include <iterator>

#include "protocol/base/check.h"

namespace sluice::storage_node {

RangeAllocator::RangeAllocator(ByteCount size) {
  if (size > ByteCount(0)) gaps_[0] = size.value();
}

std::optional<ByteCount> RangeAllocator::take(ByteCount size) {
  const auto fits = [&](const auto& gap) { return gap.second >= size.value(); };
  const auto gap = std::find_if(gaps_.begin(), gaps_.end(), fits);
  if (gap == gaps_.end()) return std::nullopt;
  const auto [offset, length] = *gap;
  gaps_.erase(gap);
  if (length > size.value()) gaps_[offset + size.value()] = length - size.value();
  taken_ = ByteCount(taken_.value() + size.value());
  return ByteCount(offset);
}

void RangeAllocator::give_back(ByteCount offset, ByteCount size) {
  check(size <= taken_, "what is given back was taken");
  taken_ = ByteCount(taken_.value() - size.value());
  const auto [gap, is_new] = gaps_.emplace(offset.value(), size.value());
  check(is_new, "a range is given back once");
  if (const auto next = std::next(gap); next != gaps_.end() && gap->first + gap->second == next->first) {
    gap->second += next->second;
    gaps_.erase(next);
  }
  if (gap == gaps_.begin()) return;
  if (const auto before = std::prev(gap); before->first + before->second == gap->first) {
    before->second += gap->second;
    gaps_.erase(gap);
  }
}

bool RangeAllocator::is_taken(ByteCount offset, ByteCount size) const {
  const auto after = gaps_.lower_bound(offset.value() + size.value());
  if (after == gaps_.begin()) return true;
  const auto& [gap, length] = *std::prev(after);
  return gap + length <= offset.value();
}

}  // namespace sluice::storage_node
