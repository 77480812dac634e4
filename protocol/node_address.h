#pragma once

#include "protocol/base/units.h"
#include "protocol/identifiers.h"

namespace sluice::protocol {

/// Which of a node's threads serves a volume, and owns everything about it: 0 .. reactors - 1.
[[nodiscard]] constexpr std::size_t reactor_of(VolumeId volume, std::size_t reactors) noexcept {
  return volume.value() % reactors;
}

/// Where a volume is served, given the address at which its node's first reactor listens: each reactor has a
/// port of its own, counted up from the first one's. The address itself if it isn't "HOST:PORT", or if the
/// port would be none.
[[nodiscard]] NodeAddress address_for(const NodeAddress& first, VolumeId volume, std::uint16_t reactors);

}  // namespace sluice::protocol
