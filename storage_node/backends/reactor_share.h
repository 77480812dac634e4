#pragma once

#include <cstddef>

#include "protocol/node_address.h"

namespace sluice::storage_node {

/// Which of a node's volumes a backend has: those of the reactor that it works for.
struct ReactorShare {
  std::size_t index = 0;
  std::size_t count = 1;

  [[nodiscard]] constexpr bool has(VolumeId volume) const noexcept {
    return protocol::reactor_of(volume, count) == index;
  }
};

}  // namespace sluice::storage_node
