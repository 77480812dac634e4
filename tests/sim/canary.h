#pragma once

#include <cstdlib>
#include <string_view>

/// Bugs that are planted in the simulator's canary build, and nowhere else: see canaries/plant.py.
namespace sluice::canary {

/// Whether this is the bug that the process was started with.
[[nodiscard]] inline bool is(std::string_view name) noexcept {
  static const char* const chosen = std::getenv("SLUICE_CANARY");
  return chosen != nullptr && name == chosen;
}

}  // namespace sluice::canary
