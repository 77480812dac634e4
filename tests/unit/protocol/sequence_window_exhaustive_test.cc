#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <unordered_set>
#include <vector>

#include <catch2/catch.hpp>

#include "protocol/sequence_window.h"
#include "tests/unit/protocol/reference_window.h"

// The window against the plain reference model, to exhaustion. Two searches through all reachable states,
// each state visited once:
//
// - a client that keeps its rules, up to six requests in two copies of which each takes one of two paths:
//   every order of sending, delivery, duplication, loss, completion and lost or late answers;
// - a client that keeps no rule at all: every request with any number and any low, in every order.
namespace sluice::protocol {
namespace {

using test::identity_for;
using test::in_table_words;
using test::ReferenceWindow;

constexpr std::uint32_t kAttempts = 32;

/// REQUIRE for what is asked hundreds of millions of times: Catch hears of failures alone.
void require(bool holds, const char* what) {
  if (!holds) FAIL(what);
}

/// Both windows, fed the same and compared at each step.
class Pair {
 public:
  explicit Pair(std::uint32_t size) : real_(size, kAttempts), reference_(size) {}

  /// Gives one attempt to both. Returns what both say.
  ReferenceWindow::Answer admit(std::uint64_t seq, std::uint64_t low, const RequestIdentity& identity) {
    const auto attempt = next_attempt_;
    const auto expected = reference_.admit(seq, low, identity, attempt);
    const auto got = real_.admit(Seq(seq), Seq(low), identity, AttemptId(attempt));
    if (expected.answer == ReferenceWindow::Answer::wait ||
        expected.answer == ReferenceWindow::Answer::execute) {
      next_attempt_ = (next_attempt_ + 1) % kAttempts;
    }
    require(in_table_words(got.verdict) == expected.answer, "the window answers what the table does");
    // W4: the table has this answer, but W1 and W2 leave nothing to it.
    require(expected.answer != ReferenceWindow::Answer::out_of_window, "W4 is never reached");
    if (got.verdict == Verdict::stored_status) require(got.stored == expected.status, "the original status");
    require(real_.base().value() == reference_.base, "the same base");
    require(real_.executing() == reference_.executing(), "as many executing");
    return expected.answer;
  }

  void complete(std::uint64_t seq, StatusCode status) {
    const auto waiters = reference_.entries.at(seq).waiters;
    reference_.complete(seq, status);
    real_.complete(Seq(seq), status);
    for (const std::uint32_t waiter : waiters)
      require(real_.take_waiter(Seq(seq)) == AttemptId(waiter), "the waiters, in their order");
    require(!real_.take_waiter(Seq(seq)), "no other waiters");
    require(real_.executing() == reference_.executing(), "as many executing");
  }

  void withdraw(std::uint64_t seq) {
    const auto expected = reference_.withdraw(seq);
    const auto got = real_.withdraw(Seq(seq));
    require(got.has_value() == expected.has_value(), "a waiter takes over, or none");
    if (got) require(got->value() == *expected, "the first waiter takes over");
    require(real_.executing() == reference_.executing(), "as many executing");
  }

  [[nodiscard]] const ReferenceWindow& reference() const { return reference_; }

  /// All that the real window's future may depend on, numbers of attempts aside.
  [[nodiscard]] std::string key() const {
    std::string key(1, static_cast<char>(reference_.base));
    for (const auto& [seq, entry] : reference_.entries) {
      key += static_cast<char>(seq);
      key += static_cast<char>(entry.executing ? 1 + entry.waiters.size() : 0);
      key += static_cast<char>(entry.identity.data_crc);
      key += static_cast<char>(entry.status);
    }
    return key;
  }

 private:
  SequenceWindow real_;
  ReferenceWindow reference_;
  std::uint32_t next_attempt_ = 0;
};

struct Covered {
  std::unordered_set<std::string> states;
  std::uint64_t steps = 0;
};

/// The client that keeps its rules, the network, and the node's backend.
class LawfulWorld {
 public:
  static constexpr std::uint64_t kMaxSends = 6;
  static constexpr std::uint32_t kPaths = 2;

  LawfulWorld(std::uint32_t size, bool with_reads) : windows_(size), size_(size), with_reads_(with_reads) {}

  void explore(Covered& covered) const {
    if (!covered.states.insert(key()).second) return;
    const auto step = [&](auto&& change) {
      LawfulWorld next = *this;
      change(next);
      ++covered.steps;
      next.explore(covered);
    };
    if (sends_ < kMaxSends) {
      if (next_seq_ - low() < size_) step([](LawfulWorld& world) { world.send(world.next_seq_++); });
      for (std::uint64_t seq = low(); seq < next_seq_; ++seq) {
        if (!answered_.at(seq) && copies_.at(seq) < kPaths) {
          step([&](LawfulWorld& world) { world.send(seq); });
        }
      }
    }
    // Each message is delivered up to twice. Loss, of one copy or both, is every run in which it stays in the
    // network for ever: what can happen without it can happen with it left alone.
    for (std::size_t i = 0; i < in_network_.size(); ++i)
      step([&](LawfulWorld& world) { world.deliver(i); });
    for (const auto& [seq, entry] : windows_.reference().entries) {
      const std::uint64_t number = seq;
      if (entry.executing) {
        step([&](LawfulWorld& world) { world.windows_.complete(number, StatusCode::ok); });
      } else if (!answered_.at(number)) {
        // An answer arrives at any time after completion, or never: never is every run in which it doesn't.
        step([&](LawfulWorld& world) { world.answered_.at(number) = true; });
      }
    }
  }

 private:
  struct Message {
    std::uint64_t seq = 0;
    std::uint64_t low = 0;
    bool delivered_once = false;
  };

  [[nodiscard]] std::uint64_t low() const {
    std::uint64_t low = 1;
    while (low < next_seq_ && answered_.at(low))
      ++low;
    return low;
  }

  /// On the next path that hasn't had this number. The paths are interchangeable: the window doesn't know
  /// them.
  void send(std::uint64_t seq) {
    ++sends_;
    ++copies_.at(seq);
    in_network_.push_back({seq, low(), false});
  }

  void deliver(std::size_t index) {
    const Message message = in_network_[index];
    if (message.delivered_once) {
      in_network_.erase(in_network_.begin() + static_cast<std::ptrdiff_t>(index));
    } else {
      in_network_[index].delivered_once = true;
    }
    const IoOp op = with_reads_ && message.seq % 2 == 0 ? IoOp::read : IoOp::write;
    const auto answer = windows_.admit(message.seq, message.low, identity_for(message.seq, op));
    // A client that keeps its rules is never refused for breaking them.
    require(answer != ReferenceWindow::Answer::path_killed, "no path of a lawful client is killed");
    require(answer != ReferenceWindow::Answer::session_fenced, "no lawful client is fenced");
    if (answer == ReferenceWindow::Answer::execute) {
      // Invariant 3: each number executes at most once.
      require(!executed_.at(message.seq), "invariant 3: each number executes at most once");
      executed_.at(message.seq) = true;
    }
    // What the client knows to be answered is never executed.
    if (answered_.at(message.seq)) {
      require(answer != ReferenceWindow::Answer::execute, "what has been answered isn't executed");
    }
  }

  [[nodiscard]] std::string key() const {
    std::string key = windows_.key();
    key += '/';
    for (std::uint64_t seq = 1; seq < next_seq_; ++seq) {
      key += static_cast<char>((answered_.at(seq) ? 1 : 0) | (executed_.at(seq) ? 2 : 0) |
                               (copies_.at(seq) == kPaths ? 4 : 0));
    }
    key += static_cast<char>(sends_);
    // The network has no order: messages are compared as a set.
    std::vector<std::string> messages;
    for (const Message& message : in_network_) {
      messages.push_back({static_cast<char>(message.seq), static_cast<char>(message.low),
                          static_cast<char>(message.delivered_once ? 1 : 0)});
    }
    std::sort(messages.begin(), messages.end());
    for (const std::string& message : messages)
      key += message;
    return key;
  }

  using Flags = std::array<bool, kMaxSends + 2>;

  Pair windows_;
  std::uint32_t size_;
  bool with_reads_;
  std::uint64_t next_seq_ = 1;
  std::uint64_t sends_ = 0;
  Flags answered_{};
  Flags executed_{};
  std::array<std::uint32_t, kMaxSends + 2> copies_{};
  std::vector<Message> in_network_;
};

/// Any request at any time, from a client that keeps no rule.
class LawlessWorld {
 public:
  LawlessWorld(std::uint32_t size, std::uint64_t highest_seq, unsigned depth)
      : windows_(size), highest_seq_(highest_seq), depth_(depth) {}

  void explore(Covered& covered) const {
    if (!covered.states.insert(windows_.key() + static_cast<char>(depth_)).second || depth_ == 0) return;
    for (std::uint64_t seq = 0; seq <= highest_seq_; ++seq) {
      for (std::uint64_t low = 0; low <= seq + 1; ++low) {
        for (const std::uint64_t payload : {1U, 2U}) {
          step(covered, [&](Pair& windows) {
            windows.admit(seq, low, identity_for(payload, payload == 2 ? IoOp::read : IoOp::write));
          });
        }
      }
    }
    for (const auto& [seq, entry] : windows_.reference().entries) {
      const std::uint64_t number = seq;
      if (!entry.executing) continue;
      step(covered, [&](Pair& windows) { windows.complete(number, StatusCode::ok); });
      step(covered, [&](Pair& windows) { windows.complete(number, StatusCode::io_error); });
      step(covered, [&](Pair& windows) { windows.withdraw(number); });
    }
  }

 private:
  template <typename Change>
  void step(Covered& covered, Change&& change) const {
    LawlessWorld next = *this;
    --next.depth_;
    change(next.windows_);
    ++covered.steps;
    next.explore(covered);
  }

  Pair windows_;
  std::uint64_t highest_seq_;
  unsigned depth_;
};

void report(const std::string& what, const Covered& covered) {
  WARN(what << ": " << covered.states.size() << " states, " << covered.steps << " steps");
}

TEST_CASE("W1 to W7: the window equals its table, exhaustively, for a lawful client at W = 2", "[window]") {
  Covered covered;
  LawfulWorld(2, true).explore(covered);
  report("lawful client, W = 2, 6 sends", covered);
  CHECK(covered.states.size() > 10'000);
}

TEST_CASE("W1 to W7: the window equals its table, exhaustively, for a lawful client at W = 4", "[window]") {
  Covered covered;
  LawfulWorld(4, true).explore(covered);
  report("lawful client, W = 4, 6 sends", covered);
  CHECK(covered.states.size() > 10'000);
}

TEST_CASE("W1 to W7: the window equals its table, exhaustively, for a lawless client at W = 2", "[window]") {
  Covered covered;
  LawlessWorld(2, 6, 6).explore(covered);
  report("lawless client, W = 2, numbers to 6, 6 events", covered);
  CHECK(covered.states.size() > 1'000);
}

TEST_CASE("W1 to W7: the window equals its table, exhaustively, for a lawless client at W = 4", "[window]") {
  Covered covered;
  LawlessWorld(4, 10, 5).explore(covered);
  report("lawless client, W = 4, numbers to 10, 5 events", covered);
  CHECK(covered.states.size() > 1'000);
}

}  // namespace
}  // namespace sluice::protocol
