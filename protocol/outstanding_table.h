#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/status.h"
#include "protocol/base/units.h"
#include "protocol/flush_ledger.h"
#include "protocol/io_frame.h"
#include "protocol/io_submission.h"
#include "protocol/limits.h"
#include "protocol/path_set.h"

namespace sluice::protocol {

/// Where an outstanding operation is; each state says what moves it on.
enum class OperationState : std::uint8_t {
  free,       ///< no operation
  waiting,    ///< C1: overlaps an earlier one; moved on when that one completes
  ready,      ///< to be sent, or sent again, as soon as window and paths have room
  sent,       ///< has an attempt on a path that is up; moved on by an answer or that path's loss
  answered,   ///< has its definitive answer; completes when its other attempts are retired (C3)
  abandoned,  ///< the caller's policy gave up (C2); completes when its attempts are retired (C3)
};

/// One try of an operation on one path's connection.
struct Attempt {
  Instant posted_at;
  SlotIndex slot = kNoSlot;
};

struct Operation {
  IoSubmission io;
  OperationState state = OperationState::free;
  StatusCode status = StatusCode::ok;  ///< its definitive answer
  std::uint32_t data_crc = 0;          ///< of a read's answer
  Seq seq;                             ///< in the present session; 0: not numbered yet
  bool ever_sent = false;              ///< in this session or an earlier one
  Gvn lost_attempt_in;                 ///< the last session in which an attempt ended without an answer
  std::uint8_t bad_checksums = 0;
  PathMask live = 0;  ///< paths with an attempt that isn't retired
  std::array<Attempt, kMaxPaths> attempts;
  FlushLedger::Mark flush;
  std::uint32_t next = UINT32_MAX;  ///< in its queue, or in the list of free entries
};

/// The outstanding operations of a client session, and their numbers. An operation is numbered when it is
/// first sent, from 1 in each session, and keeps its number through every retry on every path. `low` is the
/// lowest number without a definitive answer; the highest never exceeds low + W - 1.
///
/// Fixed memory. Not thread-safe.
class OutstandingTable {
 public:
  using Id = std::uint32_t;
  static constexpr Id kNone = UINT32_MAX;

  /// Room for `capacity` operations and a window of at most `max_window` entries, a power of two.
  OutstandingTable(Id capacity, std::uint32_t max_window);

  [[nodiscard]] Id capacity() const noexcept { return static_cast<Id>(operations_.size()); }
  [[nodiscard]] Id size() const noexcept { return size_; }
  [[nodiscard]] bool full() const noexcept { return first_free_ == kNone; }

  /// An entry for a new operation; the table isn't full.
  Id claim();
  void release(Id id);
  [[nodiscard]] Operation& operator[](Id id) { return operations_[id]; }
  [[nodiscard]] const Operation& operator[](Id id) const { return operations_[id]; }

  /// Forgets all numbers: a new session counts from 1. `window` is the node's; the smaller of both counts.
  void begin_numbering(std::uint32_t window);
  /// Whether the window has room for another number.
  [[nodiscard]] bool may_number() const noexcept { return next_.value() - low_.value() < window_; }
  void number(Id id);
  /// The operation of this number has its definitive answer: moves `low` over all that have.
  void answered(Seq seq);
  /// The unanswered operation of this number, or kNone.
  [[nodiscard]] Id find(Seq seq) const noexcept;

  [[nodiscard]] Seq low() const noexcept { return low_; }
  /// The number that the next operation gets.
  [[nodiscard]] Seq next() const noexcept { return next_; }
  [[nodiscard]] std::uint32_t window() const noexcept { return window_; }

 private:
  [[nodiscard]] Id& entry(Seq seq) noexcept { return ring_[seq.value() & (ring_.size() - 1)]; }

  std::vector<Operation> operations_;
  std::vector<Id> ring_;  ///< by number, from low_ up to next_: the operation, or kNone once answered
  Id first_free_ = kNone;
  Id size_ = 0;
  Seq low_{1};
  Seq next_{1};
  std::uint32_t window_ = 0;
};

/// A queue through `Operation::next`; an operation is in at most one.
class OperationQueue {
 public:
  [[nodiscard]] bool empty() const noexcept { return head_ == OutstandingTable::kNone; }
  [[nodiscard]] OutstandingTable::Id front() const noexcept { return head_; }
  void push(OutstandingTable& table, OutstandingTable::Id id);
  void pop(const OutstandingTable& table);
  void clear() noexcept { head_ = tail_ = OutstandingTable::kNone; }

 private:
  OutstandingTable::Id head_ = OutstandingTable::kNone;
  OutstandingTable::Id tail_ = OutstandingTable::kNone;
};

}  // namespace sluice::protocol
