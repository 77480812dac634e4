#pragma once

#include "storage_node/backend.h"

/// Rules that all backends share.
namespace sluice::storage_node {

/// What a volume leaves behind.
[[nodiscard]] VolumeState tombstone_of(const VolumeState& state) noexcept;

/// `state`, with the higher fence and manager version of both.
[[nodiscard]] VolumeState with_fence_of(VolumeState state, const VolumeState& earlier) noexcept;

/// Whether an operation may be started: VolumeStorage::start's condition.
[[nodiscard]] bool lies_within(const BackendRequest& request, const VolumeState& state) noexcept;

/// Whether a state may be stored over another: VolumeStorage::start_store's condition.
[[nodiscard]] bool keeps_shape(const VolumeState& stored, const VolumeState& next) noexcept;

}  // namespace sluice::storage_node
