#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "protocol/base/check.h"
#include "protocol/control_messages.h"
#include "protocol/envelope.h"

namespace sluice::protocol {
namespace {

/// What decodes encodes to the same bytes: there is one form of each message.
void decode(std::span<const std::byte> bytes) {
  const auto frame = decode_control(bytes);
  if (!frame) {
    sluice::check(!frame.error().message.empty(), "a refusal says why");
    return;
  }
  std::array<std::byte, kMaxControlSize> again{};
  const std::size_t length = encode(*frame, again);
  sluice::check(length == bytes.size() && std::equal(bytes.begin(), bytes.end(), again.begin()),
                "a control message has one form");
  sluice::check(!to_string(*frame).empty(), "a control message prints");
}

// The control decoder: as the bytes are, and with length and checksum put right.
int try_input(const std::uint8_t* data, std::size_t size) {
  // A copy of exactly this size, so that a read past the end is found.
  std::vector<std::byte> bytes(size);
  if (size != 0) std::memcpy(bytes.data(), data, size);
  decode(bytes);
  if (size >= wire::kControlHeaderSize) {
    const auto length = static_cast<std::uint32_t>(size);
    std::memcpy(bytes.data() + 8, &length, sizeof length);
    wire::seal(bytes, wire::kControlCrcOffset);
    decode(bytes);
  }
  return 0;
}

}  // namespace
}  // namespace sluice::protocol

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return sluice::protocol::try_input(data, size);
}
