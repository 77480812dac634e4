#include "transport/work_ring.h"

#include <catch2/catch.hpp>

using sluice::transport::WorkId;
using sluice::transport::WorkKind;
using sluice::transport::WorkRing;

namespace {

WorkId numbered(std::uint32_t number) {
  return {WorkKind::first_user, number};
}

}  // namespace

TEST_CASE("a completion retires its request and the unsignalled ones before it", "[transport]") {
  WorkRing ring(4);
  for (std::uint32_t i = 0; i < 4; ++i)
    ring.push(numbered(i));
  CHECK(ring.room() == 0);
  CHECK(ring.retire_through(numbered(2)));
  CHECK(ring.size() == 1);
  CHECK_FALSE(ring.retire_through(numbered(1)));
  CHECK(ring.size() == 1);
}

TEST_CASE("a work ring keeps its order around the end of its storage", "[transport]") {
  WorkRing ring(3);
  std::uint32_t pushed = 0;
  std::uint32_t popped = 0;
  for (int round = 0; round < 10; ++round) {
    while (ring.room() > 0)
      ring.push(numbered(pushed++));
    REQUIRE(ring.pop_oldest() == numbered(popped++));
    REQUIRE(ring.retire_through(numbered(popped)));
    ++popped;
  }
  while (const auto left = ring.pop_oldest())
    REQUIRE(*left == numbered(popped++));
  CHECK(popped == pushed);
}

TEST_CASE("what the device refused is taken back, newest first", "[transport]") {
  WorkRing ring(2);
  ring.push(numbered(1));
  ring.push(numbered(2));
  ring.unpush_newest();
  CHECK(ring.pop_oldest() == numbered(1));
  CHECK(ring.empty());
}
