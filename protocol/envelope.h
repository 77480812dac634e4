#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "protocol/base/crc32c.h"
#include "protocol/base/status.h"
#include "protocol/wire_codec.h"

/// What control messages and private data have in common: a header with a checksum in it, and a body that is
/// all of the rest.
namespace sluice::protocol::wire {

inline constexpr std::size_t kCrcSize = sizeof(std::uint32_t);

/// Over everything but the CRC's own bytes, which begin at `crc_offset`.
[[nodiscard]] inline std::uint32_t crc_of(std::span<const std::byte> message,
                                          std::size_t crc_offset) noexcept {
  return crc32c(message.subspan(crc_offset + kCrcSize), crc32c(message.first(crc_offset)));
}

/// Puts a finished message's CRC into it.
inline void seal(std::span<std::byte> message, std::size_t crc_offset) noexcept {
  const std::uint32_t crc = crc_of(message, crc_offset);
  std::memcpy(message.data() + crc_offset, &crc, kCrcSize);
}

/// Fails with `malformed`, naming message and field.
template <typename Message>
[[nodiscard]] Result<Message> decode_body(std::string_view name, std::span<const std::byte> body) {
  Message message;
  Reader reader(body);
  Message::fields(message, reader);
  if (reader.ok()) {
    reader.require(reader.consumed() == body.size(), "length");
    reader.require(message.is_consistent(), "combination of fields");
  }
  if (!reader.ok()) {
    return fail(StatusCode::malformed,
                std::string(name) + " has a bad " + std::string(reader.failed_field()));
  }
  return message;
}

}  // namespace sluice::protocol::wire
