#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "protocol/base/status.h"
#include "protocol/base/units.h"
#include "protocol/io_frame.h"

namespace sluice::protocol {

/// Names one attempt at one IO in the tables of its session: 0 .. the tables' size - 1.
using AttemptId = Quantity<struct AttemptIdTag, std::uint32_t>;

/// What makes two attempts attempts at the same request (W5). FUA belongs to the operation: the stored status
/// of a write that wasn't durable must never answer one that has to be.
struct RequestIdentity {
  IoOp op = IoOp::flush;
  bool fua = false;
  ByteCount offset;
  std::uint32_t length = 0;
  std::uint32_t data_crc = 0;

  friend constexpr bool operator==(const RequestIdentity&, const RequestIdentity&) noexcept = default;
};
[[nodiscard]] constexpr RequestIdentity identity_of(const IoRequest& request) noexcept {
  return {request.op, request.fua, request.offset, request.length, request.data_crc};
}

/// What the window says about an attempt. The order of the first four is that of the checks.
enum class Verdict : std::uint8_t {
  bad_low,           ///< W1: no low of this window's client: the path is killed
  passes_executing,  ///< W2: low would pass an executing entry: the session is fenced
  expired,           ///< W3: below the window: already answered for good
  seq_misuse,        ///< W5: another request under a known number: the session is fenced
  wait,              ///< W6: executing: the attempt waits for it
  stored_status,     ///< W6: done, and not a read: the stored status again
  run_again,         ///< W6: a done read: run it again for this attempt
  execute,           ///< W7: claimed; whoever submits must check again that the session is active
};
inline constexpr std::size_t kVerdictCount = 8;

/// The window of one session: which sequence numbers are executing, which are done and with what status.
/// What makes delayed, repeated and reordered requests harmless. A pure function of its inputs in fixed
/// memory; nothing allocates after construction. Not thread-safe: one thread owns a session.
///
/// `base` is the lowest number that can still be asked for. Numbers from `base` to `base + size - 1` have an
/// entry each; what lies below has been answered for good.
class SequenceWindow {
 public:
  struct Decision {
    Verdict verdict = Verdict::bad_low;
    StatusCode stored = StatusCode::ok;  ///< with Verdict::stored_status
  };

  /// `size`: entries, a power of two, kMinWindowSize .. kMaxWindowSize. `max_attempts`: every AttemptId given
  /// lies below it.
  SequenceWindow(std::uint32_t size, std::uint32_t max_attempts);

  /// W1, its part about `low`: whether a client of this window can have sent these numbers together.
  [[nodiscard]] bool is_low_possible(Seq seq, Seq low) const noexcept {
    return low >= Seq(1) && low <= seq && seq.value() - low.value() < entries_.size();
  }

  /// Checks W1 (its part about `low`) to W7, in this order, for one attempt. After `execute` the attempt is
  /// the entry's executor, after `wait` one of its waiters; otherwise the window keeps nothing of it.
  Decision admit(Seq seq, Seq low, const RequestIdentity& identity, AttemptId attempt) noexcept;

  /// The executor's operation has a definitive outcome. The waiters are then to be taken, all of them.
  void complete(Seq seq, StatusCode status) noexcept;

  /// The executor never started: nothing happened under this number. If an attempt waits, it is the new
  /// executor and returned; else the number is free again.
  std::optional<AttemptId> withdraw(Seq seq) noexcept;

  /// The next waiter of a done entry, in the order of arrival; nothing when there is none left.
  std::optional<AttemptId> take_waiter(Seq seq) noexcept;

  /// The attempt no longer waits: its path died. It must be a waiter of `seq`.
  void drop_waiter(Seq seq, AttemptId attempt) noexcept;

  /// The executor of an executing entry.
  [[nodiscard]] AttemptId executor(Seq seq) const noexcept;

  /// First waiter of an entry, and the waiter after another one.
  [[nodiscard]] std::optional<AttemptId> first_waiter(Seq seq) const noexcept;
  [[nodiscard]] std::optional<AttemptId> next_waiter(AttemptId attempt) const noexcept;

  [[nodiscard]] Seq base() const noexcept { return Seq(base_); }
  [[nodiscard]] std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(entries_.size()); }
  [[nodiscard]] std::uint32_t executing() const noexcept { return executing_; }

  /// How often each verdict was given.
  [[nodiscard]] std::uint64_t count(Verdict verdict) const noexcept {
    return counts_[static_cast<std::size_t>(verdict)];
  }

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;

  enum class State : std::uint8_t { free, executing, done };

  struct Entry {
    std::uint64_t seq = 0;  ///< 0: never used; else it may lie below the window, and then means nothing
    RequestIdentity identity;
    std::uint32_t executor = kNone;
    std::uint32_t first_waiter = kNone;
    State state = State::free;
    StatusCode status = StatusCode::ok;
  };

  Decision decide(std::uint64_t seq, std::uint64_t low, const RequestIdentity& identity,
                  std::uint32_t attempt) noexcept;
  [[nodiscard]] bool passes_executing(std::uint64_t low) const noexcept;
  void claim(Entry& entry, std::uint64_t seq, const RequestIdentity& identity,
             std::uint32_t attempt) noexcept;
  void append_waiter(Entry& entry, std::uint32_t attempt) noexcept;

  [[nodiscard]] Entry& at(std::uint64_t seq) noexcept { return entries_[seq & mask_]; }
  [[nodiscard]] const Entry& at(std::uint64_t seq) const noexcept { return entries_[seq & mask_]; }
  [[nodiscard]] Entry& known(Seq seq, State state) noexcept;
  [[nodiscard]] const Entry& known(Seq seq, State state) const noexcept;

  std::vector<Entry> entries_;
  std::vector<std::uint32_t> next_waiter_;  ///< by attempt
  std::uint64_t mask_;
  std::uint64_t base_ = 1;
  std::uint32_t executing_ = 0;
  std::array<std::uint64_t, kVerdictCount> counts_{};
};

[[nodiscard]] std::string_view to_string(Verdict verdict) noexcept;

}  // namespace sluice::protocol
