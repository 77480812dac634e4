#include "storage_node/backend.h"

namespace sluice::storage_node {

Status check_shape(const VolumeState& state) {
  const std::string volume = "volume " + std::to_string(state.volume.value());
  if (state.volume == VolumeId(0)) return fail(StatusCode::invalid_argument, "volume 0: ids start at 1");
  if (state.removed) return fail(StatusCode::invalid_argument, volume + ": a tombstone isn't created");
  if (state.block_size != protocol::kMinBlockSize && state.block_size != protocol::kMaxBlockSize) {
    return fail(StatusCode::invalid_argument, volume + ": blocks of " + std::to_string(state.block_size) +
                                                  " bytes; there are blocks of 512 and of 4096 bytes");
  }
  if (state.size == ByteCount(0) || state.size.value() % state.block_size != 0) {
    return fail(StatusCode::invalid_argument, volume + ": " + std::to_string(state.size.value()) +
                                                  " bytes aren't a number of blocks of " +
                                                  std::to_string(state.block_size) + " bytes");
  }
  if (state.size.value() > kMaxVolumeSize.value()) {
    return fail(StatusCode::invalid_argument, volume + ": " + std::to_string(state.size.value()) +
                                                  " bytes; the largest volume has " +
                                                  std::to_string(kMaxVolumeSize.value()));
  }
  return {};
}

Status check_same_shape(const VolumeState& existing, const VolumeState& wanted) {
  if (existing.size == wanted.size && existing.block_size == wanted.block_size) return {};
  return fail(StatusCode::already_exists, "volume " + std::to_string(wanted.volume.value()) +
                                              " exists with " + std::to_string(existing.size.value()) +
                                              " bytes in blocks of " + std::to_string(existing.block_size) +
                                              ", not with " + std::to_string(wanted.size.value()) +
                                              " in blocks of " + std::to_string(wanted.block_size));
}

}  // namespace sluice::storage_node
