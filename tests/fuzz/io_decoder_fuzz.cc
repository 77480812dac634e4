#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "protocol/base/check.h"
#include "protocol/base/crc32c.h"
#include "protocol/envelope.h"
#include "protocol/io_frame.h"
#include "protocol/private_data.h"

namespace sluice::protocol {
namespace {

/// Puts the checksum of a frame right, so that what lies behind it is reached.
void reseal(std::span<std::byte> frame) {
  const std::uint32_t crc = sluice::crc32c(frame.first(frame.size() - 4));
  std::memcpy(frame.data() + frame.size() - 4, &crc, 4);
}

/// What decodes encodes to the same bytes: there is one form of each message.
void decode(std::span<const std::byte> bytes) {
  sluice::check(classify(bytes) <= FrameKind::unknown, "every message is classified");
  if (const auto request = decode_request(bytes)) {
    std::array<std::byte, kIoRequestSize> again{};
    // A distance beyond the largest window decodes, for the window to refuse, but no client encodes it.
    if (request->seq.value() - request->low.value() >= kMaxWindowSize) return;
    encode(*request, again);
    sluice::check(std::equal(again.begin(), again.end(), bytes.begin()), "a request has one form");
    sluice::check(in_capsule_data(bytes).size() <= kMaxInCapsuleData, "in-capsule data is bounded");
    sluice::check(!to_string(*request).empty(), "a request prints");
  }
  if (const auto response = decode_response(bytes)) {
    std::array<std::byte, kIoResponseSize> again{};
    encode(*response, again);
    sluice::check(std::equal(again.begin(), again.end(), bytes.begin()), "a response has one form");
    sluice::check(!to_string(*response).empty(), "a response prints");
  }
  if (const auto message = decode_private_data(bytes)) {
    std::array<std::byte, kMaxPrivateDataSize> again{};
    const std::size_t length = encode(*message, again);
    sluice::check(
        std::equal(again.begin(), again.begin() + static_cast<std::ptrdiff_t>(length), bytes.begin()),
        "private data has one form");
    sluice::check(!to_string(*message).empty(), "private data prints");
  }
}

// The decoders of the data path and of the private data: as the bytes are, and with their checksums put
// right.
int try_input(const std::uint8_t* data, std::size_t size) {
  // A copy of exactly this size, so that a read past the end is found.
  std::vector<std::byte> bytes(size);
  if (size != 0) std::memcpy(bytes.data(), data, size);
  decode(bytes);
  if (size >= kIoRequestSize) {
    reseal(std::span(bytes).first(kIoRequestSize));
    decode(bytes);
  } else if (size == kIoResponseSize) {
    reseal(bytes);
    decode(bytes);
  }
  if (size >= wire::kPrivateDataHeaderSize) {
    const auto length = static_cast<std::uint16_t>(size);
    std::memcpy(bytes.data() + 4, &length, sizeof length);
    wire::seal(bytes, wire::kPrivateDataCrcOffset);
    decode(bytes);
  }
  return 0;
}

}  // namespace
}  // namespace sluice::protocol

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return sluice::protocol::try_input(data, size);
}
