#include "transport/work_ring.h"

#include "protocol/base/check.h"

namespace sluice::transport {

std::uint32_t WorkRing::index_of(std::uint32_t position) const noexcept {
  const std::uint32_t index = head_ + position;
  return index < capacity() ? index : index - capacity();
}

void WorkRing::push(WorkId id) noexcept {
  check(room() > 0, "a work ring has room for what its owner posts");
  entries_[index_of(size_)] = id;
  ++size_;
}

bool WorkRing::retire_through(WorkId id) noexcept {
  for (std::uint32_t position = 0; position < size_; ++position) {
    if (entries_[index_of(position)] == id) {
      head_ = index_of(position + 1);
      size_ -= position + 1;
      return true;
    }
  }
  return false;
}

std::optional<WorkId> WorkRing::pop_oldest() noexcept {
  if (empty()) return std::nullopt;
  const WorkId oldest = entries_[head_];
  head_ = index_of(1);
  --size_;
  return oldest;
}

void WorkRing::unpush_newest() noexcept {
  check(!empty(), "only what was pushed is taken back");
  --size_;
}

}  // namespace sluice::transport
