#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace sluice::transport::contract {

/// What this process holds of what a provider could leak.
struct Held {
  std::size_t descriptors = 0;
  std::size_t heap_bytes = 0;  ///< 0 where the allocator doesn't tell (sanitizers)
};
Held held_now();

}  // namespace sluice::transport::contract
