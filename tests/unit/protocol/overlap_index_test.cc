#include "protocol/overlap_index.h"

#include <algorithm>
#include <deque>
#include <vector>

#include <catch2/catch.hpp>
#include <rapidcheck.h>

using sluice::protocol::Access;
using sluice::protocol::ByteRange;
using sluice::protocol::OverlapIndex;

namespace {

std::vector<OverlapIndex::Id> remove(OverlapIndex& index, OverlapIndex::Id id) {
  std::vector<OverlapIndex::Id> started;
  index.remove(id, [&](OverlapIndex::Id each) { started.push_back(each); });
  return started;
}

using Ids = std::vector<OverlapIndex::Id>;

/// C1 as it is written: a list in order of arrival.
class ReferenceOrder {
 public:
  struct Entry {
    OverlapIndex::Id id;
    ByteRange range;
    Access access;
    bool started;
  };

  bool add(OverlapIndex::Id id, ByteRange range, Access access) {
    entries_.push_back({id, range, access, false});
    entries_.back().started = is_free(entries_.size() - 1);
    return entries_.back().started;
  }
  Ids remove(OverlapIndex::Id id) {
    std::erase_if(entries_, [&](const Entry& entry) { return entry.id == id; });
    Ids started;
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      if (entries_[i].started || !is_free(i)) continue;
      entries_[i].started = true;
      started.push_back(entries_[i].id);
    }
    return started;
  }
  [[nodiscard]] const std::deque<Entry>& entries() const { return entries_; }

 private:
  [[nodiscard]] bool is_free(std::size_t index) const {
    const Entry& self = entries_[index];
    return std::none_of(entries_.begin(), entries_.begin() + static_cast<std::ptrdiff_t>(index),
                        [&](const Entry& earlier) {
                          return earlier.range.overlaps(self.range) &&
                                 (earlier.access == Access::exclusive || self.access == Access::exclusive);
                        });
  }

  std::deque<Entry> entries_;
};

}  // namespace

TEST_CASE("C1: reads of one range start together, a write waits for them all", "[C1]") {
  OverlapIndex index(8);
  CHECK(index.add(0, {0, 8}, Access::shared));
  CHECK(index.add(1, {4, 12}, Access::shared));
  CHECK_FALSE(index.add(2, {6, 7}, Access::exclusive));
  CHECK(remove(index, 1).empty());
  CHECK(remove(index, 0) == Ids{2});
  CHECK(remove(index, 2).empty());
  CHECK(index.empty());
}

TEST_CASE("C1: ranges that only touch don't wait for each other", "[C1]") {
  OverlapIndex index(8);
  CHECK(index.add(0, {0, 4}, Access::exclusive));
  CHECK(index.add(1, {4, 8}, Access::exclusive));
  CHECK_FALSE(index.add(2, {3, 5}, Access::exclusive));
  CHECK(remove(index, 0).empty());
  CHECK(remove(index, 1) == Ids{2});
}

TEST_CASE("C1: a read doesn't overtake a write that waits, so that the write doesn't starve", "[C1]") {
  OverlapIndex index(8);
  CHECK(index.add(0, {0, 4}, Access::shared));
  CHECK_FALSE(index.add(1, {0, 4}, Access::exclusive));
  CHECK_FALSE(index.add(2, {0, 4}, Access::shared));
  CHECK_FALSE(index.add(3, {0, 4}, Access::shared));
  CHECK(remove(index, 0) == Ids{1});
  CHECK(remove(index, 1) == Ids{2, 3});
}

TEST_CASE("C1: forgetting everything leaves an index as good as new", "[C1]") {
  OverlapIndex index(8);
  CHECK(index.add(0, {0, 4}, Access::exclusive));
  CHECK_FALSE(index.add(1, {0, 4}, Access::exclusive));
  index.clear();
  CHECK(index.empty());
  CHECK(index.add(1, {0, 4}, Access::exclusive));
  CHECK_FALSE(index.is_waiting(1));
  CHECK(remove(index, 1).empty());
}

TEST_CASE("C1: any sequence of arrivals and departures starts what the plain list starts", "[C1]") {
  CHECK(rc::check("index and list agree", [] {
    constexpr OverlapIndex::Id kCapacity = 24;
    OverlapIndex index(kCapacity);
    ReferenceOrder reference;
    std::vector<bool> used(kCapacity, false);
    const int steps = *rc::gen::inRange(1, 200);
    for (int step = 0; step < steps; ++step) {
      std::vector<OverlapIndex::Id> started;
      for (const auto& entry : reference.entries()) {
        if (entry.started) started.push_back(entry.id);
      }
      const auto free = std::find(used.begin(), used.end(), false);
      const bool add = free != used.end() && (started.empty() || *rc::gen::inRange(0, 2) == 0);
      if (add) {
        const auto id = static_cast<OverlapIndex::Id>(free - used.begin());
        const auto begin = *rc::gen::inRange<std::uint64_t>(0, 20);
        const ByteRange range{begin, begin + *rc::gen::inRange<std::uint64_t>(1, 8)};
        const Access access = *rc::gen::element(Access::shared, Access::exclusive);
        used[id] = true;
        RC_ASSERT(index.add(id, range, access) == reference.add(id, range, access));
      } else {
        const OverlapIndex::Id id = *rc::gen::elementOf(started);
        used[id] = false;
        auto now_started = remove(index, id);
        std::sort(now_started.begin(), now_started.end());
        auto expected = reference.remove(id);
        std::sort(expected.begin(), expected.end());
        RC_ASSERT(now_started == expected);
      }
    }
  }));
}

namespace {

/// Nodes looked at per operation, of `count` operations there at the same time.
template <typename RangeOf>
double visits_per_operation(OverlapIndex::Id count, RangeOf range_of) {
  OverlapIndex index(count);
  std::deque<OverlapIndex::Id> started;
  for (OverlapIndex::Id id = 0; id < count; ++id) {
    if (index.add(id, range_of(id), Access::exclusive)) started.push_back(id);
  }
  OverlapIndex::Id removed = 0;
  while (!started.empty()) {
    index.remove(started.front(), [&](OverlapIndex::Id id) { started.push_back(id); });
    started.pop_front();
    ++removed;
  }
  CHECK(removed == count);
  return static_cast<double>(index.nodes_visited()) / count;
}

}  // namespace

TEST_CASE("C1: the cost stays logarithmic, apart or all on one block", "[C1]") {
  const auto apart = [](OverlapIndex::Id id) {
    const std::uint64_t block = (std::uint64_t{id} * 2654435761U) % 1'000'003;
    return ByteRange{block, block + 1};
  };
  const auto one_block = [](OverlapIndex::Id) { return ByteRange{0, 8}; };
  const auto staggered = [](OverlapIndex::Id id) { return ByteRange{id, id + std::uint64_t{8}}; };
  for (const OverlapIndex::Id count : {256U, 4096U, 65536U}) {
    double log2 = 0;
    for (OverlapIndex::Id n = count; n > 1; n /= 2)
      ++log2;
    CAPTURE(count, log2);
    CHECK(visits_per_operation(count, apart) < 8 * log2);
    CHECK(visits_per_operation(count, one_block) < 8 * log2);
    CHECK(visits_per_operation(count, staggered) < 8 * log2);
  }
}
