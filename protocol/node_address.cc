#include "protocol/node_address.h"

#include <charconv>
#include <string>
#include <string_view>

namespace sluice::protocol {

NodeAddress address_for(const NodeAddress& first, VolumeId volume, std::uint16_t reactors) {
  if (reactors <= 1) return first;
  const std::string_view text = first.view();
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return first;
  std::uint16_t port = 0;
  const char* const end = text.data() + text.size();
  const auto [parsed, error] = std::from_chars(text.data() + colon + 1, end, port);
  if (error != std::errc{} || parsed != end) return first;
  const std::size_t served_at = port + reactor_of(volume, reactors);
  if (served_at > UINT16_MAX) return first;
  return NodeAddress::from(std::string(text.substr(0, colon + 1)) + std::to_string(served_at))
      .value_or(first);
}

}  // namespace sluice::protocol
