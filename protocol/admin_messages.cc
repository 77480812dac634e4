#include "protocol/admin_messages.h"

#include <bit>

namespace sluice::protocol {
namespace {

bool is_volume_shape(ByteCount size, std::uint32_t block_size) noexcept {
  return std::has_single_bit(block_size) && block_size >= kMinBlockSize && block_size <= kMaxBlockSize &&
         size != ByteCount(0) && size.value() % block_size == 0;
}

}  // namespace

bool VolumeCommand::is_consistent() const noexcept {
  if (name.empty() || (verb == VolumeVerb::rename) == new_name.empty()) return false;
  if (allow_shrink && verb != VolumeVerb::resize) return false;
  if (verb == VolumeVerb::create) return is_volume_shape(size, block_size);
  if (block_size != 0) return false;
  return (verb == VolumeVerb::resize) == (size != ByteCount(0));
}

bool NodeCommand::is_consistent() const noexcept {
  return node != NodeId(0);
}

bool VolumeOrder::is_consistent() const noexcept {
  if (volume == VolumeId(0)) return false;
  const bool copies = verb == OrderVerb::copy;
  if (copies == source.empty()) return false;
  if (copies != (gvn != Gvn(0))) return false;
  return verb == OrderVerb::remove ? size == ByteCount(0) && block_size == 0
                                   : is_volume_shape(size, block_size);
}

std::string_view to_string(VolumeVerb verb) noexcept {
  switch (verb) {
    case VolumeVerb::create:
      return "create";
    case VolumeVerb::resize:
      return "resize";
    case VolumeVerb::rename:
      return "rename";
    case VolumeVerb::remove:
      return "remove";
    case VolumeVerb::migrate:
      return "migrate";
    case VolumeVerb::cancel_move:
      return "cancel_move";
  }
  return "unknown_verb";
}

std::string_view to_string(NodeVerb verb) noexcept {
  switch (verb) {
    case NodeVerb::drain:
      return "drain";
    case NodeVerb::undrain:
      return "undrain";
    case NodeVerb::remove:
      return "remove";
    case NodeVerb::accept:
      return "accept";
  }
  return "unknown_verb";
}

std::string_view to_string(OrderVerb verb) noexcept {
  switch (verb) {
    case OrderVerb::create:
      return "create";
    case OrderVerb::resize:
      return "resize";
    case OrderVerb::remove:
      return "remove";
    case OrderVerb::copy:
      return "copy";
  }
  return "unknown_verb";
}

}  // namespace sluice::protocol
