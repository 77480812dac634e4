#include "protocol/flush_ledger.h"

#include <catch2/catch.hpp>

namespace sluice::protocol {

TEST_CASE("P4: without a session change, or with everything flushed before it, no flush fails", "[P4]") {
  FlushLedger ledger;
  ledger.acknowledged();
  const FlushLedger::Mark mark = ledger.flush_submitted();
  CHECK_FALSE(mark.lossy);
  ledger.flush_succeeded(mark);
  ledger.session_changed();
  CHECK_FALSE(ledger.flush_submitted().lossy);
}

TEST_CASE("P4: flushes tell of a loss until one of them has told the caller", "[P4]") {
  FlushLedger ledger;
  const FlushLedger::Mark before = ledger.flush_submitted();
  ledger.acknowledged();
  const FlushLedger::Mark covering = ledger.flush_submitted();
  CHECK_FALSE(ledger.would_lose(before));
  CHECK(ledger.would_lose(covering));
  ledger.session_changed();
  ledger.session_changed();
  CHECK(ledger.flush_submitted().lossy);
  CHECK(ledger.flush_submitted().lossy);
  ledger.loss_told();
  CHECK_FALSE(ledger.flush_submitted().lossy);
}

TEST_CASE("P4: a flush covers only what was acknowledged before it was submitted", "[P4]") {
  FlushLedger ledger;
  ledger.acknowledged();
  const FlushLedger::Mark first = ledger.flush_submitted();
  ledger.acknowledged();
  ledger.flush_succeeded(first);
  ledger.session_changed();
  CHECK(ledger.flush_submitted().lossy);
}

}  // namespace sluice::protocol
