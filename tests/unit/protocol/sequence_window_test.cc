#include "protocol/sequence_window.h"

#include <limits>

#include <catch2/catch.hpp>

#include "tests/unit/protocol/reference_window.h"

namespace sluice::protocol {
namespace {

using test::identity_for;

constexpr std::uint32_t kAttempts = 16;

/// A window of four, to which requests are given by their numbers; each has an attempt of its own.
struct Window : SequenceWindow {
  explicit Window(std::uint32_t size = 4) : SequenceWindow(size, kAttempts) {}

  Verdict give(std::uint64_t seq, std::uint64_t low, IoOp op = IoOp::write) {
    return admit(Seq(seq), Seq(low), identity_for(seq, op), AttemptId(next_attempt++)).verdict;
  }
  void finish(std::uint64_t seq, StatusCode status = StatusCode::ok) { complete(Seq(seq), status); }

  std::uint32_t next_attempt = 0;
};

TEST_CASE("W1: a low that no client sends kills the path and changes nothing", "[window]") {
  Window window;
  CHECK(window.give(0, 0) == Verdict::bad_low);
  CHECK(window.give(3, 4) == Verdict::bad_low);
  CHECK(window.give(1, 0) == Verdict::bad_low);
  CHECK(window.give(5, 1) == Verdict::bad_low);  // a whole window above its own low
  CHECK(window.give(4, 1) == Verdict::execute);
  CHECK(window.base() == Seq(1));
  CHECK(window.count(Verdict::bad_low) == 4);
}

TEST_CASE("W2: the base moves by the client's low alone", "[window]") {
  Window window;
  for (std::uint64_t seq = 1; seq <= 4; ++seq) {
    REQUIRE(window.give(seq, 1) == Verdict::execute);
    window.finish(seq);
  }
  // Everything is done, and yet nothing moves until the client says that it knows.
  CHECK(window.base() == Seq(1));
  CHECK(window.give(1, 1) == Verdict::stored_status);
  CHECK(window.give(5, 3) == Verdict::execute);
  CHECK(window.base() == Seq(3));
  CHECK(window.give(2, 1) == Verdict::expired);
  CHECK(window.give(3, 3) == Verdict::stored_status);
}

TEST_CASE("W2: a low that would pass an executing entry fences the session", "[window]") {
  Window window;
  REQUIRE(window.give(1, 1) == Verdict::execute);
  REQUIRE(window.give(2, 1) == Verdict::execute);
  window.finish(1);
  CHECK(window.give(3, 2) == Verdict::execute);  // passes what is done
  CHECK(window.give(4, 3) == Verdict::passes_executing);
  CHECK(window.base() == Seq(2));
  CHECK(window.give(100, 100) == Verdict::passes_executing);  // from far above the window, too
  CHECK(window.executing() == 2);
}

TEST_CASE("W3: below the base is expired", "[window]") {
  Window window;
  REQUIRE(window.give(3, 3) == Verdict::execute);
  CHECK(window.give(2, 1) == Verdict::expired);
  CHECK(window.give(2, 2) == Verdict::expired);
  CHECK(window.count(Verdict::expired) == 2);
}

TEST_CASE("W4: follows from W1 and W2, up to the highest number there is", "[window]") {
  Window window;
  CHECK(window.give(5, 1) == Verdict::bad_low);  // base + W by its own low
  CHECK(window.give(5, 2) == Verdict::execute);  // its low brings the base along
  CHECK(window.base() == Seq(2));
  constexpr std::uint64_t kLast = std::numeric_limits<std::uint64_t>::max();
  Window fresh;
  CHECK(fresh.give(kLast, kLast) == Verdict::execute);
  fresh.finish(kLast);
  CHECK(fresh.give(kLast, kLast - 3) == Verdict::stored_status);
  CHECK(fresh.give(kLast, kLast - 4) == Verdict::bad_low);
  CHECK(fresh.give(kLast - 1, kLast - 1) == Verdict::expired);
}

TEST_CASE("W5: a known number with another operation, FUA, offset, length or data is misuse", "[window]") {
  const RequestIdentity known = identity_for(1);
  RequestIdentity other = known;
  SECTION("operation") {
    other = {IoOp::write_zeroes, false, known.offset, known.length, known.data_crc};
  }
  SECTION("FUA") {
    other.fua = true;
  }
  SECTION("offset") {
    other.offset = ByteCount(known.offset.value() + 4096);
  }
  SECTION("length") {
    other.length = 8192;
  }
  SECTION("data") {
    other.data_crc = known.data_crc + 1;
  }
  Window window;
  REQUIRE(window.admit(Seq(1), Seq(1), known, AttemptId(0)).verdict == Verdict::execute);
  CHECK(window.admit(Seq(1), Seq(1), other, AttemptId(1)).verdict == Verdict::seq_misuse);
  window.finish(1);
  CHECK(window.admit(Seq(1), Seq(1), other, AttemptId(1)).verdict == Verdict::seq_misuse);
  CHECK(window.admit(Seq(1), Seq(1), known, AttemptId(1)).verdict == Verdict::stored_status);
}

TEST_CASE("W6: repeats of an executing entry wait for it, in their order", "[window]") {
  Window window;
  REQUIRE(window.give(1, 1) == Verdict::execute);
  CHECK(window.give(1, 1) == Verdict::wait);
  CHECK(window.give(1, 1) == Verdict::wait);
  CHECK(window.give(1, 1) == Verdict::wait);
  CHECK(window.executor(Seq(1)) == AttemptId(0));
  CHECK(window.first_waiter(Seq(1)) == AttemptId(1));
  CHECK(window.next_waiter(AttemptId(1)) == AttemptId(2));
  window.drop_waiter(Seq(1), AttemptId(2));
  CHECK(window.next_waiter(AttemptId(1)) == AttemptId(3));
  CHECK(!window.next_waiter(AttemptId(3)));
  window.finish(1, StatusCode::io_error);
  CHECK(window.take_waiter(Seq(1)) == AttemptId(1));
  CHECK(window.take_waiter(Seq(1)) == AttemptId(3));
  CHECK(!window.take_waiter(Seq(1)));
}

TEST_CASE("W6: a done change answers with its stored status, a done read runs again", "[window]") {
  Window window;
  for (const IoOp op : {IoOp::write, IoOp::flush, IoOp::discard, IoOp::write_zeroes}) {
    const auto seq = static_cast<std::uint64_t>(op);
    REQUIRE(window.give(seq, seq, op) == Verdict::execute);
    window.finish(seq, StatusCode::no_space);
    const auto again = window.admit(Seq(seq), Seq(seq), identity_for(seq, op), AttemptId(9));
    CHECK(again.verdict == Verdict::stored_status);
    CHECK(again.stored == StatusCode::no_space);
  }
  REQUIRE(window.give(6, 6, IoOp::read) == Verdict::execute);
  CHECK(!window.first_waiter(Seq(6)));
  window.finish(6);
  CHECK(window.give(6, 6, IoOp::read) == Verdict::run_again);
  CHECK(window.executing() == 0);
}

TEST_CASE("W7: a claim that is withdrawn goes to the next waiter, or leaves the number free", "[window]") {
  Window window;
  REQUIRE(window.give(1, 1) == Verdict::execute);
  REQUIRE(window.give(1, 1) == Verdict::wait);
  CHECK(window.withdraw(Seq(1)) == AttemptId(1));
  CHECK(window.executor(Seq(1)) == AttemptId(1));
  CHECK(!window.withdraw(Seq(1)));
  CHECK(window.executing() == 0);
  // Nothing has happened under this number, so that even another request may have it.
  CHECK(window.admit(Seq(1), Seq(1), identity_for(2), AttemptId(2)).verdict == Verdict::execute);
}

TEST_CASE("every verdict has a name", "[window]") {
  for (std::size_t i = 0; i < kVerdictCount; ++i)
    CHECK(to_string(static_cast<Verdict>(i)) != "unknown_verdict");
  CHECK(to_string(static_cast<Verdict>(kVerdictCount)) == "unknown_verdict");
}

// The attacks that concern the window alone.

TEST_CASE("attack 1: a copy delayed past its retry and a newer write is never executed", "[window][attack]") {
  Window window(16);
  REQUIRE(window.give(7, 1) == Verdict::execute);  // the retry of 7, on path 2
  window.finish(7);
  SECTION("the client hasn't retired 7: the stored status again") {
    REQUIRE(window.give(9, 7) == Verdict::execute);
    window.finish(9);
    CHECK(window.give(7, 1) == Verdict::stored_status);
  }
  SECTION("the client has retired 7: expired") {
    REQUIRE(window.give(9, 8) == Verdict::execute);
    window.finish(9);
    CHECK(window.give(7, 1) == Verdict::expired);
  }
}

TEST_CASE("attack 2: of two copies at once one executes and the other waits", "[window][attack]") {
  Window window;
  CHECK(window.give(1, 1) == Verdict::execute);
  CHECK(window.give(1, 1) == Verdict::wait);
  CHECK(window.executing() == 1);
}

TEST_CASE("attack 4: the window can't slide past an unexecuted 7", "[window][attack]") {
  Window window;
  for (std::uint64_t seq = 8; seq <= 10; ++seq) {
    REQUIRE(window.give(seq, 7) == Verdict::execute);
    window.finish(seq);
  }
  // 11 needs a low above 7, which the client doesn't have while 7 is unanswered; with an old one it is W1.
  CHECK(window.give(11, 7) == Verdict::bad_low);
  CHECK(window.give(7, 7) == Verdict::execute);
}

TEST_CASE("attack 5: a delayed request's old low doesn't move the base back", "[window][attack]") {
  Window window;
  REQUIRE(window.give(5, 5) == Verdict::execute);
  CHECK(window.give(6, 3) == Verdict::execute);
  CHECK(window.base() == Seq(5));
  CHECK(window.give(4, 3) == Verdict::expired);
}

TEST_CASE("attack 6: low never passes an executing write", "[window][attack]") {
  Window window;
  REQUIRE(window.give(1, 1) == Verdict::execute);
  CHECK(window.give(2, 2) == Verdict::passes_executing);
  CHECK(window.give(1, 1) == Verdict::wait);
}

TEST_CASE("attack 7: a retry whose entry was used again is expired, not executed", "[window][attack]") {
  Window window;
  REQUIRE(window.give(1, 1) == Verdict::execute);
  window.finish(1);
  REQUIRE(window.give(5, 2) == Verdict::execute);  // the same entry
  CHECK(window.give(1, 1) == Verdict::expired);
  window.finish(5);
  CHECK(window.give(1, 1) == Verdict::expired);
}

TEST_CASE("attack 8: one number with two payloads is misuse", "[window][attack]") {
  Window window;
  REQUIRE(window.give(1, 1) == Verdict::execute);
  RequestIdentity other = identity_for(1);
  other.data_crc ^= 1U;
  CHECK(window.admit(Seq(1), Seq(1), other, AttemptId(1)).verdict == Verdict::seq_misuse);
}

}  // namespace
}  // namespace sluice::protocol
