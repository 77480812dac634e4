#include "protocol/base/crc32c.h"

#include <algorithm>
#include <limits>

#include <isa-l/crc.h>

namespace sluice {

std::uint32_t crc32c(std::span<const std::byte> data, std::uint32_t previous) noexcept {
  constexpr std::size_t kMaxPiece = std::size_t{1} << 30U;  // ISA-L takes the length as an int
  std::uint32_t state = ~previous;                          // ISA-L applies neither inversion itself
  while (!data.empty()) {
    const std::span<const std::byte> piece = data.first(std::min(data.size(), kMaxPiece));
    // The library's prototype lacks const; it only reads.
    auto* bytes = reinterpret_cast<unsigned char*>(const_cast<std::byte*>(piece.data()));
    state = crc32_iscsi(bytes, static_cast<int>(piece.size()), state);
    data = data.subspan(piece.size());
  }
  return ~state;
}

}  // namespace sluice
