#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "protocol/base/status.h"

namespace sluice::transport {

/// What every provider puts before the private data of a connection's request, acceptance and rejection. It
/// tells a sluice peer from any other user of the port, one transport version from another, and the length of
/// what follows: rdma_cm pads private data (rdma_get_cm_event(3): "may be larger than what the peer sent").
///
///   0        4         5        6             8
///  | magic   | version | length | credits LE  | private data ...
struct HandshakeHeader {
  std::uint16_t credits = 0;  ///< receives that the sender has posted for the peer's messages
};

inline constexpr std::size_t kHandshakeHeaderBytes = 8;
inline constexpr std::uint8_t kTransportVersion = 1;
inline constexpr std::size_t kMaxHandshakeBytes = 196;

/// Header and private data in one piece, ready for the connection manager.
class HandshakeMessage {
 public:
  /// `private_data` must leave room for the header in kMaxHandshakeBytes.
  HandshakeMessage(HandshakeHeader header, std::span<const std::byte> private_data);

  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return std::span(buffer_).first(size_); }

 private:
  std::array<std::byte, kMaxHandshakeBytes> buffer_{};
  std::size_t size_ = 0;
};

struct ParsedHandshake {
  HandshakeHeader header;
  std::span<const std::byte> private_data;  ///< inside the input
};

/// Errors: malformed (not a sluice peer, or truncated), version_mismatch (says both versions).
Result<ParsedHandshake> parse_handshake(std::span<const std::byte> bytes);

}  // namespace sluice::transport
