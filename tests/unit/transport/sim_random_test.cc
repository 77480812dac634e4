#include <array>

#include <catch2/catch.hpp>

#include "transport/sim/random.h"

using sluice::Duration;
using sluice::transport::sim::Random;

TEST_CASE("the generator is xoshiro256** seeded by splitmix64", "[sim]") {
  Random random(0);
  const std::array<std::uint64_t, 4> reference = {0x99ec'5f36'cb75'f2b4U, 0xbf6e'1f78'4956'452aU,
                                                  0x1a5f'849d'4933'e6e0U, 0x6aa5'94f1'262d'2d2cU};
  for (const std::uint64_t expected : reference)
    CHECK(random.next() == expected);
}

TEST_CASE("numbers below a bound reach every value and never the bound", "[sim]") {
  Random random(1);
  for (const std::uint64_t bound : {1U, 2U, 3U, 7U, 64U}) {
    std::array<bool, 64> seen{};
    for (int i = 0; i < 4000; ++i) {
      const std::uint64_t drawn = random.below(bound);
      REQUIRE(drawn < bound);
      seen[drawn] = true;
    }
    for (std::uint64_t value = 0; value < bound; ++value)
      CHECK(seen[value]);
  }
}

TEST_CASE("a chance in a million strikes about as often as it says, never for 0 and always for all",
          "[sim]") {
  Random random(2);
  int struck = 0;
  for (int i = 0; i < 100'000; ++i) {
    REQUIRE_FALSE(random.chance_ppm(0));
    REQUIRE(random.chance_ppm(1'000'000));
    if (random.chance_ppm(250'000)) ++struck;
  }
  CHECK(struck > 24'000);
  CHECK(struck < 26'000);
}

TEST_CASE("a span that is drawn lies between nothing and its longest, both included", "[sim]") {
  Random random(3);
  bool saw_shortest = false;
  bool saw_longest = false;
  for (int i = 0; i < 1000; ++i) {
    const Duration span = random.up_to(Duration(3));
    REQUIRE(span >= Duration(0));
    REQUIRE(span <= Duration(3));
    saw_shortest = saw_shortest || span == Duration(0);
    saw_longest = saw_longest || span == Duration(3);
  }
  CHECK(saw_shortest);
  CHECK(saw_longest);
}
