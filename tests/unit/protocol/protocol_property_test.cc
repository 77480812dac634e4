#include <cstdint>
#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <rapidcheck.h>

#include "tests/unit/protocol/server_world.h"
#include "tests/unit/protocol/window_world.h"

// Random runs, shrunk by rapidcheck to the shortest that breaks a rule. To run one again: RC_PARAMS, as the
// failure prints it.
namespace sluice::protocol {
namespace {

/// Runs `world` with bytes of a length that lets it get far.
template <typename MakeWorld>
bool holds(const std::string& what, std::size_t length, MakeWorld&& make_world) {
  return rc::check(what, [&] {
    const auto bytes =
        *rc::gen::container<std::vector<std::uint8_t>>(length, rc::gen::arbitrary<std::uint8_t>());
    auto world = make_world();
    test::Choices choices(bytes);
    world.run(choices);
  });
}

TEST_CASE("W1 to W7: random runs agree with the table, at any window size", "[window][property]") {
  for (const std::uint32_t size : {2U, 8U, 16U, 64U, 1024U}) {
    CHECK(holds("window of " + std::to_string(size), 2000, [size] { return test::WindowWorld(size); }));
  }
}

TEST_CASE("P3, W7, R2, R3, R4, F1: random runs of a volume on its node keep the rules",
          "[volume][property]") {
  for (int repeat = 0; repeat < 5; ++repeat)
    CHECK(holds("volume", 4000, [] { return test::ServerWorld(); }));
}

}  // namespace
}  // namespace sluice::protocol
