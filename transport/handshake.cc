#include "transport/handshake.h"

#include <algorithm>
#include <cstring>

#include "protocol/base/check.h"

namespace sluice::transport {

namespace {

constexpr std::array<std::byte, 4> kMagic{std::byte{'S'}, std::byte{'L'}, std::byte{'U'}, std::byte{'X'}};
constexpr std::size_t kVersionAt = 4;
constexpr std::size_t kLengthAt = 5;
constexpr std::size_t kCreditsAt = 6;

}  // namespace

HandshakeMessage::HandshakeMessage(HandshakeHeader header, std::span<const std::byte> private_data)
    : size_(kHandshakeHeaderBytes + private_data.size()) {
  check(size_ <= buffer_.size(), "private data fits the handshake");
  std::ranges::copy(kMagic, buffer_.begin());
  buffer_[kVersionAt] = std::byte{kTransportVersion};
  buffer_[kLengthAt] = static_cast<std::byte>(private_data.size());
  buffer_[kCreditsAt] = static_cast<std::byte>(header.credits & 0xffU);
  buffer_[kCreditsAt + 1] = static_cast<std::byte>(header.credits >> 8U);
  std::ranges::copy(private_data, buffer_.begin() + kHandshakeHeaderBytes);
}

Result<ParsedHandshake> parse_handshake(std::span<const std::byte> bytes) {
  if (bytes.size() < kHandshakeHeaderBytes || !std::ranges::equal(bytes.first(kMagic.size()), kMagic)) {
    return fail(StatusCode::malformed,
                "the peer doesn't speak sluice's transport: check the address and port");
  }
  const auto version = std::to_integer<unsigned>(bytes[kVersionAt]);
  if (version != kTransportVersion) {
    return fail(StatusCode::version_mismatch, "the peer speaks version " + std::to_string(version) +
                                                  " of the transport, this side version " +
                                                  std::to_string(kTransportVersion) +
                                                  ": run the same release on both");
  }
  const auto length = std::to_integer<std::size_t>(bytes[kLengthAt]);
  if (length > bytes.size() - kHandshakeHeaderBytes) {
    return fail(StatusCode::malformed, "the peer's connection data is truncated");
  }
  ParsedHandshake parsed;
  parsed.header.credits =
      static_cast<std::uint16_t>(std::to_integer<unsigned>(bytes[kCreditsAt]) |
                                 (std::to_integer<unsigned>(bytes[kCreditsAt + 1]) << 8U));
  parsed.private_data = bytes.subspan(kHandshakeHeaderBytes, length);
  return parsed;
}

}  // namespace sluice::transport
