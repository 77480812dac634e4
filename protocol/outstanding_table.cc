#include "protocol/outstanding_table.h"

#include <algorithm>
#include <bit>

#include "protocol/base/check.h"

namespace sluice::protocol {

OutstandingTable::OutstandingTable(Id capacity, std::uint32_t max_window)
    : operations_(capacity), ring_(max_window, kNone) {
  check(capacity > 0 && capacity < kNone, "an outstanding table has room for an operation");
  check(std::has_single_bit(max_window) && max_window <= kMaxWindowSize,
        "a window's size is a power of two within kMaxWindowSize");
  for (Id id = capacity; id-- > 0;) {
    operations_[id].next = first_free_;
    first_free_ = id;
  }
}

OutstandingTable::Id OutstandingTable::claim() {
  check(!full(), "an operation is only claimed while the table has room");
  const Id id = first_free_;
  first_free_ = operations_[id].next;
  operations_[id] = Operation{};
  ++size_;
  return id;
}

void OutstandingTable::release(Id id) {
  Operation& operation = operations_.at(id);
  check(operation.live == 0, "C3: an operation is released only when every attempt is retired");
  check(operation.state != OperationState::free, "an operation is released once");
  operation.state = OperationState::free;
  operation.next = first_free_;
  first_free_ = id;
  --size_;
}

void OutstandingTable::begin_numbering(std::uint32_t window) {
  std::fill(ring_.begin(), ring_.end(), kNone);
  low_ = next_ = Seq(1);
  window_ = std::min(window, static_cast<std::uint32_t>(ring_.size()));
}

void OutstandingTable::number(Id id) {
  check(may_number(), "seq never exceeds low + W - 1");
  Operation& operation = operations_.at(id);
  check(operation.seq == Seq(0), "an operation keeps its number through every retry");
  operation.seq = next_;
  entry(next_) = id;
  next_ = Seq(next_.value() + 1);
}

void OutstandingTable::answered(Seq seq) {
  check(find(seq) != kNone, "an operation is answered once");
  entry(seq) = kNone;
  while (low_ < next_ && entry(low_) == kNone)
    low_ = Seq(low_.value() + 1);
}

OutstandingTable::Id OutstandingTable::find(Seq seq) const noexcept {
  if (seq < low_ || seq >= next_) return kNone;
  return ring_[seq.value() & (ring_.size() - 1)];
}

void OperationQueue::push(OutstandingTable& table, OutstandingTable::Id id) {
  table[id].next = OutstandingTable::kNone;
  if (tail_ == OutstandingTable::kNone) {
    head_ = id;
  } else {
    table[tail_].next = id;
  }
  tail_ = id;
}

void OperationQueue::pop(const OutstandingTable& table) {
  head_ = table[head_].next;
  if (head_ == OutstandingTable::kNone) tail_ = OutstandingTable::kNone;
}

}  // namespace sluice::protocol
