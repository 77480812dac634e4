#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "protocol/sequence_window.h"
#include "tests/unit/protocol/choices.h"
#include "tests/unit/protocol/reference_window.h"

namespace sluice::protocol::test {

/// Drives the window and the plain reference with the same requests, from clients that keep the rules or
/// don't, and requires that they agree.
class WindowWorld {
 public:
  explicit WindowWorld(std::uint32_t size) : size_(size), real_(size, kAttempts), reference_(size) {}

  void run(Choices& choices) {
    while (choices.any_left())
      step(choices);
  }

 private:
  static constexpr std::uint32_t kAttempts = 4096;
  static constexpr std::uint32_t kMostWaiters = 8;

  void step(Choices& choices) {
    switch (choices.below(8)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return admit(choices);
      case 4:
      case 5:
        return end_one(choices, false);
      case 6:
        return end_one(choices, true);
      default:
        return retire(choices);
    }
  }

  /// A request near the client's own window, or anywhere at all.
  void admit(Choices& choices) {
    std::uint64_t seq = low_ + choices.below(std::min<std::size_t>(2 * std::size_t{size_}, 256));
    std::uint64_t low = low_;
    if (choices.below(16) == 0) low = low_ > 3 ? low_ - choices.below(3) : low_;  // delayed
    if (choices.below(64) == 0) low += choices.below(256);                        // wrong
    if (choices.below(64) == 0) seq = choices.yes() ? 0 : UINT64_MAX - choices.below(4);
    const IoOp op = seq % 3 == 0 ? IoOp::read : IoOp::write;
    const RequestIdentity identity = identity_for(choices.below(64) == 0 ? seq + 1 : seq, op);
    const auto known = reference_.entries.find(seq);
    if (known != reference_.entries.end() && known->second.waiters.size() >= kMostWaiters) return;

    const std::uint32_t attempt = next_attempt_++ % kAttempts;
    const auto expected = reference_.admit(seq, low, identity, attempt);
    const auto got = real_.admit(Seq(seq), Seq(low), identity, AttemptId(attempt));
    require(in_table_words(got.verdict) == expected.answer, "the window answers what the table does");
    if (got.verdict == Verdict::stored_status) {
      require(got.stored == expected.status, "invariant 7: the original status");
    }
    if (got.verdict == Verdict::execute) executing_.push_back(seq);
    compare();
  }

  void end_one(Choices& choices, bool withdraw) {
    if (executing_.empty()) return;
    const std::size_t index = choices.below(std::min<std::size_t>(executing_.size(), 256));
    const std::uint64_t seq = executing_[index];
    if (withdraw) {
      const auto expected = reference_.withdraw(seq);
      const auto got = real_.withdraw(Seq(seq));
      require(got.has_value() == expected.has_value(), "a waiter takes over, or none");
      if (got) return require(got->value() == *expected, "the first waiter takes over");
    } else {
      const auto waiters = reference_.entries.at(seq).waiters;
      const StatusCode status = choices.yes() ? StatusCode::ok : StatusCode::io_error;
      reference_.complete(seq, status);
      real_.complete(Seq(seq), status);
      for (const std::uint32_t waiter : waiters)
        require(real_.take_waiter(Seq(seq)) == AttemptId(waiter), "the waiters, in their order");
      require(!real_.take_waiter(Seq(seq)), "no other waiters");
    }
    executing_.erase(executing_.begin() + static_cast<std::ptrdiff_t>(index));
    compare();
  }

  /// The client learns answers: its low moves over what is done, sometimes further than it may.
  void retire(Choices& choices) {
    const std::uint64_t furthest = low_ + choices.below(32);
    while (low_ < furthest) {
      const auto entry = reference_.entries.find(low_);
      const bool done = entry != reference_.entries.end() && !entry->second.executing;
      if (!done && choices.below(32) != 0) break;
      ++low_;
    }
  }

  void compare() const {
    require(real_.base().value() == reference_.base, "W2: the same base");
    require(real_.executing() == reference_.executing(), "as many executing");
  }

  std::uint32_t size_;
  SequenceWindow real_;
  ReferenceWindow reference_;
  std::vector<std::uint64_t> executing_;
  std::uint64_t low_ = 1;
  std::uint32_t next_attempt_ = 0;
};

}  // namespace sluice::protocol::test
