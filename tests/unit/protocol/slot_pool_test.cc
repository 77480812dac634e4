#include "protocol/slot_pool.h"

#include <set>

#include <catch2/catch.hpp>

namespace sluice::protocol {

TEST_CASE("R1: a slot of the smallest class that fits is taken, then of the next larger", "[R1]") {
  FixedVector<SlotClass, kMaxSlotClasses> classes;
  classes.push_back({1 << 20, 1});
  classes.push_back({65536, 2});
  SlotPool pool;
  CHECK(pool.largest() == 0);
  CHECK_FALSE(pool.has_free(1));
  pool.grant(classes);
  CHECK(pool.largest() == 1 << 20);

  std::set<SlotIndex> taken;
  for (int i = 0; i < 3; ++i) {
    const auto slot = pool.take(4096);
    REQUIRE(slot.has_value());
    CHECK(taken.insert(*slot).second);
  }
  CHECK(taken.count(SlotIndex(0)) == 1);  // numbered in the order of the grant, and used last
  CHECK_FALSE(pool.take(4096).has_value());
  CHECK_FALSE(pool.has_free(4096));

  pool.release(SlotIndex(1));
  CHECK_FALSE(pool.has_free(65537));
  CHECK(pool.take(65536) == SlotIndex(1));

  pool.grant({});
  CHECK_FALSE(pool.take(1).has_value());
}

}  // namespace sluice::protocol
