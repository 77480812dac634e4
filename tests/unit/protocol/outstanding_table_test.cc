#include "protocol/outstanding_table.h"

#include <vector>

#include <catch2/catch.hpp>

namespace sluice::protocol {

TEST_CASE("numbers start at 1, `low` is the lowest unanswered, and none exceeds low + W - 1", "[W2]") {
  OutstandingTable table(8, 4);
  CHECK_FALSE(table.may_number());
  table.begin_numbering(1024);
  CHECK(table.window() == 4);
  std::vector<OutstandingTable::Id> ids;
  for (int i = 0; i < 4; ++i) {
    ids.push_back(table.claim());
    table.number(ids.back());
  }
  CHECK(table[ids[0]].seq == Seq(1));
  CHECK_FALSE(table.may_number());
  table.answered(Seq(2));
  table.answered(Seq(3));
  CHECK(table.low() == Seq(1));
  CHECK_FALSE(table.may_number());
  CHECK(table.find(Seq(2)) == OutstandingTable::kNone);
  table.answered(Seq(1));
  CHECK(table.low() == Seq(4));
  CHECK(table.find(Seq(4)) == ids[3]);
  CHECK(table.find(Seq(0)) == OutstandingTable::kNone);
  CHECK(table.find(Seq(5)) == OutstandingTable::kNone);
  CHECK(table.may_number());
}

TEST_CASE("entries are claimed and released until the table is full", "[outstanding_table]") {
  OutstandingTable table(2, 4);
  const auto first = table.claim();
  const auto second = table.claim();
  CHECK(table.full());
  table[first].state = OperationState::ready;
  table[second].state = OperationState::ready;
  table.release(first);
  CHECK(table.size() == 1);
  CHECK(table.claim() == first);
  CHECK(table[first].seq == Seq(0));
}

TEST_CASE("a queue of operations is first in, first out", "[outstanding_table]") {
  OutstandingTable table(4, 4);
  OperationQueue queue;
  const auto a = table.claim();
  const auto b = table.claim();
  queue.push(table, b);
  queue.push(table, a);
  CHECK(queue.front() == b);
  queue.pop(table);
  CHECK(queue.front() == a);
  queue.pop(table);
  CHECK(queue.empty());
  queue.push(table, a);
  queue.clear();
  CHECK(queue.empty());
}

}  // namespace sluice::protocol
