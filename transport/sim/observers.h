#pragma once

#include <cstddef>
#include <functional>
#include <span>

namespace sluice::transport::sim {

/// Told of all memory that devices write to for a peer, once they have.
using WriteSink = std::function<void(std::span<const std::byte> written)>;

}  // namespace sluice::transport::sim
