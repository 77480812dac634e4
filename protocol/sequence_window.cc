#include "protocol/sequence_window.h"

#include <bit>

#include "protocol/base/check.h"

namespace sluice::protocol {

SequenceWindow::SequenceWindow(std::uint32_t size, std::uint32_t max_attempts)
    : entries_(size), next_waiter_(max_attempts, kNone), mask_(size - 1) {
  check(std::has_single_bit(size), "a window's size is a power of two");
  check(size >= kMinWindowSize, "a window has at least two entries");
  check(size <= kMaxWindowSize, "a request can express the distance to low in any window");
  check(max_attempts < kNone, "an attempt's number is told from none");
}

SequenceWindow::Decision SequenceWindow::admit(Seq seq, Seq low, const RequestIdentity& identity,
                                               AttemptId attempt) noexcept {
  check(attempt.value() < next_waiter_.size(), "an attempt lies within the window's table");
  const Decision decision = decide(seq.value(), low.value(), identity, attempt.value());
  ++counts_[static_cast<std::size_t>(decision.verdict)];
  return decision;
}

SequenceWindow::Decision SequenceWindow::decide(std::uint64_t seq, std::uint64_t low,
                                                const RequestIdentity& identity,
                                                std::uint32_t attempt) noexcept {
  // W1, the part that concerns numbers: no client sends this.
  if (!is_low_possible(Seq(seq), Seq(low))) return {Verdict::bad_low};

  // W2: the base moves by the client's `low` alone. Were it to move because numbers are used up or done, a
  // number that the client still retries would fall below it or its entry would be used again.
  if (low > base_) {
    if (passes_executing(low)) return {Verdict::passes_executing};
    base_ = low;
  }

  // W3.
  if (seq < base_) return {Verdict::expired};

  // W4: nothing is left to refuse. seq - low < size by W1 and low <= base by W2.
  check(seq - base_ < entries_.size(), "W4: what W1 and W2 let pass lies below the window's end");

  Entry& entry = at(seq);
  if (entry.seq == seq && entry.state != State::free) {
    // W5.
    if (entry.identity != identity) return {Verdict::seq_misuse};
    // W6.
    if (entry.state == State::executing) {
      append_waiter(entry, attempt);
      return {Verdict::wait};
    }
    if (entry.identity.op == IoOp::read) return {Verdict::run_again};
    return {Verdict::stored_status, entry.status};
  }

  // W7, the claim.
  claim(entry, seq, identity, attempt);
  return {Verdict::execute};
}

/// Whether an entry in [base, low) is executing. One step for each number that the client has retired, so
/// that the cost of one request is constant on average and bounded by the window's size.
bool SequenceWindow::passes_executing(std::uint64_t low) const noexcept {
  if (executing_ == 0) return false;
  const std::uint64_t steps = low - base_ < entries_.size() ? low - base_ : entries_.size();
  for (std::uint64_t i = 0; i < steps; ++i) {
    if (at(base_ + i).state == State::executing) return true;
  }
  return false;
}

void SequenceWindow::claim(Entry& entry, std::uint64_t seq, const RequestIdentity& identity,
                           std::uint32_t attempt) noexcept {
  // An executing entry is never evicted: what it held lies below the base, and W2 lets nothing that executes
  // get there.
  check(entry.state != State::executing, "W2: an entry that is used again isn't executing");
  entry.seq = seq;
  entry.identity = identity;
  entry.executor = attempt;
  entry.first_waiter = kNone;
  entry.state = State::executing;
  ++executing_;
}

void SequenceWindow::append_waiter(Entry& entry, std::uint32_t attempt) noexcept {
  next_waiter_[attempt] = kNone;
  std::uint32_t* link = &entry.first_waiter;
  while (*link != kNone)
    link = &next_waiter_[*link];
  *link = attempt;
}

void SequenceWindow::complete(Seq seq, StatusCode status) noexcept {
  Entry& entry = known(seq, State::executing);
  entry.state = State::done;
  entry.status = status;
  entry.executor = kNone;
  --executing_;
}

std::optional<AttemptId> SequenceWindow::withdraw(Seq seq) noexcept {
  Entry& entry = known(seq, State::executing);
  if (entry.first_waiter != kNone) {
    entry.executor = entry.first_waiter;
    entry.first_waiter = next_waiter_[entry.executor];
    return AttemptId(entry.executor);
  }
  entry.state = State::free;
  entry.executor = kNone;
  --executing_;
  return std::nullopt;
}

std::optional<AttemptId> SequenceWindow::take_waiter(Seq seq) noexcept {
  Entry& entry = known(seq, State::done);
  if (entry.first_waiter == kNone) return std::nullopt;
  const AttemptId waiter(entry.first_waiter);
  entry.first_waiter = next_waiter_[waiter.value()];
  return waiter;
}

void SequenceWindow::drop_waiter(Seq seq, AttemptId attempt) noexcept {
  std::uint32_t* link = &known(seq, State::executing).first_waiter;
  while (*link != attempt.value()) {
    check(*link != kNone, "an attempt that is dropped waits for its entry");
    link = &next_waiter_[*link];
  }
  *link = next_waiter_[attempt.value()];
}

AttemptId SequenceWindow::executor(Seq seq) const noexcept {
  return AttemptId(known(seq, State::executing).executor);
}

std::optional<AttemptId> SequenceWindow::first_waiter(Seq seq) const noexcept {
  const std::uint32_t waiter = known(seq, State::executing).first_waiter;
  return waiter == kNone ? std::nullopt : std::optional(AttemptId(waiter));
}

std::optional<AttemptId> SequenceWindow::next_waiter(AttemptId attempt) const noexcept {
  const std::uint32_t waiter = next_waiter_[attempt.value()];
  return waiter == kNone ? std::nullopt : std::optional(AttemptId(waiter));
}

SequenceWindow::Entry& SequenceWindow::known(Seq seq, State state) noexcept {
  Entry& entry = at(seq.value());
  check(entry.seq == seq.value(), "the entry is that of the number it is taken for");
  check(entry.state == state, "the entry is in the state that its user takes it for");
  return entry;
}

const SequenceWindow::Entry& SequenceWindow::known(Seq seq, State state) const noexcept {
  const Entry& entry = at(seq.value());
  check(entry.seq == seq.value(), "the entry is that of the number it is taken for");
  check(entry.state == state, "the entry is in the state that its user takes it for");
  return entry;
}

std::string_view to_string(Verdict verdict) noexcept {
  switch (verdict) {
    case Verdict::bad_low:
      return "bad_low";
    case Verdict::passes_executing:
      return "passes_executing";
    case Verdict::expired:
      return "expired";
    case Verdict::seq_misuse:
      return "seq_misuse";
    case Verdict::wait:
      return "wait";
    case Verdict::stored_status:
      return "stored_status";
    case Verdict::run_again:
      return "run_again";
    case Verdict::execute:
      return "execute";
  }
  return "unknown_verdict";
}

}  // namespace sluice::protocol
