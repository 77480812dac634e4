#pragma once

#include <cstdint>

#include "protocol/base/units.h"
#include "tests/contract/backend/buffers.h"

/// What the process writes that is killed, for itself and the test that kills it.
namespace sluice::storage_node::contract {

inline constexpr VolumeId kDeadVolume{12};
inline constexpr std::uint32_t kDeadWrites = 16;
inline constexpr std::uint32_t kDeadWriteBytes = 1U << 20U;
inline constexpr std::uint64_t kDeadSeed = 666;

}  // namespace sluice::storage_node::contract
