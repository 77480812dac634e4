#include "storage_node/backends/volume_states.h"

#include <algorithm>

namespace sluice::storage_node {

VolumeState tombstone_of(const VolumeState& state) noexcept {
  return {.volume = state.volume,
          .fence = state.fence,
          .manager_version = state.manager_version,
          .removed = true};
}

VolumeState with_fence_of(VolumeState state, const VolumeState& earlier) noexcept {
  state.fence = std::max(state.fence, earlier.fence);
  state.manager_version = std::max(state.manager_version, earlier.manager_version);
  return state;
}

bool lies_within(const BackendRequest& request, const VolumeState& state) noexcept {
  if (request.op == protocol::IoOp::flush) return true;
  const std::uint64_t size = state.size.value();
  const std::uint64_t offset = request.offset.value();
  return request.length > 0 && offset <= size && request.length <= size - offset &&
         offset % state.block_size == 0 && request.length % state.block_size == 0;
}

bool keeps_shape(const VolumeState& stored, const VolumeState& next) noexcept {
  return next.volume == stored.volume && next.size == stored.size && next.block_size == stored.block_size &&
         !next.removed;
}

}  // namespace sluice::storage_node
