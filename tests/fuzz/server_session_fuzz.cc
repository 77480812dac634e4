#include <cstddef>
#include <cstdint>

#include "tests/unit/protocol/server_world.h"

// A volume on its node, with every order of events; the world requires the rules after each.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  sluice::protocol::test::Choices choices({data, size});
  sluice::protocol::test::ServerWorld world;
  world.run(choices);
  return 0;
}
