#include <cstddef>
#include <cstdint>

#include "tests/unit/protocol/window_world.h"

// The window against the plain reference. The first byte chooses the window's size.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  sluice::protocol::test::Choices choices({data, size});
  sluice::protocol::test::WindowWorld world(2U << choices.below(6));
  world.run(choices);
  return 0;
}
