#pragma once

#include <cstdint>
#include <vector>

#include "protocol/base/check.h"
#include "protocol/base/units.h"

namespace sluice::protocol {

/// Bytes `begin` up to but not including `end` of a volume; never empty.
struct ByteRange {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;

  [[nodiscard]] constexpr bool overlaps(const ByteRange& other) const noexcept {
    return begin < other.end && other.begin < end;
  }
};

/// Reads share a range; writes, discards and writes of zeroes need it for themselves.
enum class Access : std::uint8_t { shared, exclusive };

/// C1: overlapping operations are serialised when either one writes.
///
/// Operations start in order of arrival: one waits while any earlier overlapping operation that conflicts
/// with it is there, started or itself waiting. So nothing starves, and nothing waits for a later arrival,
/// so that there are no cycles. Without a conflict, order is free.
///
/// An interval tree (a treap, keyed by begin and arrival) whose nodes carry the furthest end and the earliest
/// arrival of their subtree. A waiting operation hangs on one of its blockers, not on all: when that one
/// leaves, the next is searched. Adding searches in O(log n) however many operations overlap; removing does
/// so once for each operation that hung on the one removed. A hundred writes to one block form a chain
/// in which each removal looks at one waiter.
///
/// Fixed memory: `capacity` operations, named by the caller's ids below it. Not thread-safe.
class OverlapIndex {
 public:
  using Id = std::uint32_t;

  explicit OverlapIndex(Id capacity);

  /// Adds an operation. True: it may start now. False: it waits, and a later `remove` hands it out.
  [[nodiscard]] bool add(Id id, ByteRange range, Access access);

  /// Takes out an operation that has started and is over; calls `start(Id)` for each that may start now,
  /// earliest hung on first. `start` must not add or remove.
  template <typename Start>
  void remove(Id id, Start&& start) {
    Id waiter = take_out(id);
    while (waiter != kNone) {
      const Id next = nodes_[waiter].next_waiter;
      if (wait_or_start(waiter)) start(waiter);
      waiter = next;
    }
  }

  /// Forgets every operation.
  void clear() noexcept;

  [[nodiscard]] bool empty() const noexcept { return root_ == kNone; }
  [[nodiscard]] bool contains(Id id) const { return nodes_.at(id).present; }
  [[nodiscard]] bool is_waiting(Id id) const { return nodes_.at(id).waiting; }

  /// Tree nodes looked at since construction: what the cost tests measure.
  [[nodiscard]] std::uint64_t nodes_visited() const noexcept { return visited_; }

 private:
  static constexpr Id kNone = UINT32_MAX;

  /// Over a subtree: of all operations, or of the exclusive ones alone.
  struct Bounds {
    std::uint64_t max_end = 0;
    std::uint64_t min_arrival = UINT64_MAX;
  };
  struct Node {
    ByteRange range;
    std::uint64_t arrival = 0;
    Bounds all;
    Bounds exclusive;
    Id left = kNone;
    Id right = kNone;
    std::uint32_t priority = 0;
    Id first_waiter = kNone;
    Id last_waiter = kNone;
    Id next_waiter = kNone;
    Access access = Access::shared;
    bool present = false;
    bool waiting = false;
  };
  struct Halves {
    Id below = kNone;
    Id above = kNone;
  };

  Id take_out(Id id);
  bool wait_or_start(Id id);
  [[nodiscard]] Id find_blocker(Id root, const Node& waiter);
  [[nodiscard]] static bool conflicts(const Node& earlier, const Node& waiter) noexcept;

  [[nodiscard]] bool key_below(Id a, Id b) const noexcept;
  void insert(Id id);
  [[nodiscard]] Id erase(Id root, Id id);
  [[nodiscard]] Halves split(Id root, Id key);
  [[nodiscard]] Id merge(Id below, Id above);
  static void widen(Node& node, const Node& arrived) noexcept;
  void update(Id id) noexcept;

  std::vector<Node> nodes_;
  Id root_ = kNone;
  std::uint64_t next_arrival_ = 0;
  std::uint64_t visited_ = 0;
};

}  // namespace sluice::protocol
