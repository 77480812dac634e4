#include "transport/work_ring.h"

namespace sluice::transport {

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
