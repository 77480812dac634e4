#include "protocol/io_frame.h"

#include <array>
#include <cstring>

#include "protocol/base/check.h"
#include "protocol/base/crc32c.h"
#include "protocol/control_messages.h"

namespace sluice::protocol {
namespace {

using wire::RawIoRequest;
using wire::RawIoResponse;

constexpr std::uint8_t kFuaFlag = 1U << 0U;
constexpr std::uint8_t kPlacementShift = 1;
constexpr std::uint8_t kPlacementMask = 3U << kPlacementShift;
constexpr std::uint8_t kRepeatedFlag = 1U << 0U;
constexpr std::size_t kCrcSize = sizeof(std::uint32_t);

/// The header CRC is the last field of both frames.
void seal(std::span<std::byte> frame) noexcept {
  const std::uint32_t crc = crc32c(frame.first(frame.size() - kCrcSize));
  std::memcpy(frame.data() + (frame.size() - kCrcSize), &crc, kCrcSize);
}

bool is_sealed(std::span<const std::byte> frame) noexcept {
  std::uint32_t crc = 0;
  std::memcpy(&crc, frame.data() + (frame.size() - kCrcSize), kCrcSize);
  return crc == crc32c(frame.first(frame.size() - kCrcSize));
}

/// Which placement each operation uses, and what else of the request then means something.
bool placement_fits(const IoRequest& request) noexcept {
  switch (request.op) {
    case IoOp::read:
      return request.placement == DataPlacement::remote && !request.fua;
    case IoOp::write:
      if (request.placement == DataPlacement::in_capsule) return request.length <= kMaxInCapsuleData;
      return request.placement == DataPlacement::slot;
    case IoOp::flush:
      return request.placement == DataPlacement::none && !request.fua && request.length == 0 &&
             request.offset == ByteCount(0);
    case IoOp::discard:
    case IoOp::write_zeroes:
      return request.placement == DataPlacement::none;
  }
  return false;
}

/// What must hold between the fields of a request whoever sends it. Length, alignment and range depend on
/// the volume, and on a client's mistake they deserve an answer rather than a dead path: see io_admission.
bool is_consistent(const IoRequest& request) noexcept {
  const bool uses_slot = request.placement == DataPlacement::slot;
  const bool uses_target = request.placement == DataPlacement::remote;
  return placement_fits(request) && uses_slot == (request.slot != kNoSlot) &&
         (uses_target || request.target == RemoteBuffer{}) &&
         (request.op == IoOp::write || request.data_crc == 0) && request.gvn != Gvn(0);
}

bool is_consistent(const IoResponse& response) noexcept {
  const bool carries_data = response.op == IoOp::read && response.status == StatusCode::ok;
  return (carries_data || response.data_crc == 0) && response.seq >= Seq(1);
}

template <typename Raw>
Result<Raw> decode_raw(std::span<const std::byte> frame) noexcept {
  Raw raw;
  wire::Reader reader(frame);
  Raw::fields(raw, reader);
  if (!reader.ok() || raw.magic != Raw::kMagic) return fail(StatusCode::malformed);
  // Magic and version come first so that another version, whatever its layout, is told from damage.
  if (raw.version != wire::kIoVersion) return fail(StatusCode::version_mismatch);
  if (!is_sealed(frame)) return fail(StatusCode::malformed);
  return raw;
}

}  // namespace

PathTag make_path_tag(VolumeId volume, Gvn gvn, Cookie cookie, PathId path, PathEpoch epoch) noexcept {
  const std::array<std::uint64_t, 4> agreed = {volume.value(), gvn.value(), cookie.value(),
                                               (std::uint64_t{epoch.value()} << 8U) | path.value()};
  return PathTag(crc32c(std::as_bytes(std::span(agreed))));
}

void encode(const IoRequest& request, std::span<std::byte, kIoRequestSize> out) noexcept {
  check(is_consistent(request), "an IO request is consistent before it is encoded");
  check(request.low >= Seq(1), "sequence numbers start at 1");
  check(request.low <= request.seq, "low isn't above seq");
  const std::uint64_t distance = request.seq.value() - request.low.value();
  check(distance < kMaxWindowSize, "low lies within the largest window below seq");
  RawIoRequest raw;
  raw.op = static_cast<std::uint8_t>(request.op);
  raw.flags = static_cast<std::uint8_t>((request.fua ? kFuaFlag : 0U) |
                                        (static_cast<unsigned>(request.placement) << kPlacementShift));
  raw.slot = request.slot.value();
  raw.seq_minus_low = static_cast<std::uint16_t>(distance);
  raw.gvn = request.gvn.value();
  raw.seq = request.seq.value();
  raw.offset = request.offset.value();
  raw.length = request.length;
  raw.data_crc = request.data_crc;
  raw.target_key = request.target.key;
  raw.target_address = request.target.address;
  raw.path_tag = request.path_tag.value();
  wire::Writer writer(out);
  RawIoRequest::fields(raw, writer);
  seal(out);
}

// W1, first row: what fails here kills the path.
Result<IoRequest> decode_request(std::span<const std::byte> capsule) noexcept {
  if (capsule.size() < kIoRequestSize) return fail(StatusCode::malformed);
  const Result<RawIoRequest> decoded = decode_raw<RawIoRequest>(capsule.first(kIoRequestSize));
  if (!decoded) return tl::unexpected<Error>(decoded.error());
  const RawIoRequest& raw = *decoded;
  // seq 0 and `low` below 1 are no sequence numbers; the distance can't express `low > seq`.
  if (raw.seq_minus_low >= raw.seq || (raw.flags & ~(kFuaFlag | kPlacementMask)) != 0) {
    return fail(StatusCode::malformed);
  }
  IoRequest request;
  request.op = static_cast<IoOp>(raw.op);
  request.fua = (raw.flags & kFuaFlag) != 0;
  request.placement = static_cast<DataPlacement>((raw.flags & kPlacementMask) >> kPlacementShift);
  request.slot = SlotIndex(raw.slot);
  request.gvn = Gvn(raw.gvn);
  request.seq = Seq(raw.seq);
  request.low = Seq(raw.seq - raw.seq_minus_low);
  request.offset = ByteCount(raw.offset);
  request.length = raw.length;
  request.data_crc = raw.data_crc;
  request.target = {raw.target_key, raw.target_address};
  request.path_tag = PathTag(raw.path_tag);
  const std::size_t data_size = request.placement == DataPlacement::in_capsule ? request.length : 0;
  if (!is_consistent(request) || capsule.size() - kIoRequestSize != data_size) {
    return fail(StatusCode::malformed);
  }
  return request;
}

std::span<const std::byte> in_capsule_data(std::span<const std::byte> capsule) noexcept {
  check(capsule.size() >= kIoRequestSize, "the capsule has been decoded");
  return capsule.subspan(kIoRequestSize);
}

void encode(const IoResponse& response, std::span<std::byte, kIoResponseSize> out) noexcept {
  check(is_consistent(response), "an IO response is consistent before it is encoded");
  RawIoResponse raw;
  raw.op = static_cast<std::uint8_t>(response.op);
  raw.flags = response.repeated ? kRepeatedFlag : std::uint8_t{0};
  raw.status = static_cast<std::uint16_t>(response.status);
  raw.gvn = response.gvn.value();
  raw.seq = response.seq.value();
  raw.data_crc = response.data_crc;
  wire::Writer writer(out);
  RawIoResponse::fields(raw, writer);
  seal(out);
}

Result<IoResponse> decode_response(std::span<const std::byte> frame) noexcept {
  if (frame.size() != kIoResponseSize) return fail(StatusCode::malformed);
  const Result<RawIoResponse> decoded = decode_raw<RawIoResponse>(frame);
  if (!decoded) return tl::unexpected<Error>(decoded.error());
  const RawIoResponse& raw = *decoded;
  IoResponse response;
  response.op = static_cast<IoOp>(raw.op);
  response.repeated = (raw.flags & kRepeatedFlag) != 0;
  response.status = static_cast<StatusCode>(raw.status);
  response.gvn = Gvn(raw.gvn);
  response.seq = Seq(raw.seq);
  response.data_crc = raw.data_crc;
  if ((raw.flags & ~kRepeatedFlag) != 0 || !is_valid(response.op) || !is_valid(response.status) ||
      !is_consistent(response)) {
    return fail(StatusCode::malformed);
  }
  return response;
}

FrameKind classify(std::span<const std::byte> message) noexcept {
  if (message.empty()) return FrameKind::unknown;
  const auto first = std::to_integer<std::uint8_t>(message.front());
  if (first == RawIoRequest::kMagic) return FrameKind::io_request;
  if (first == RawIoResponse::kMagic) return FrameKind::io_response;
  return is_control(message) ? FrameKind::control : FrameKind::unknown;
}

std::string_view to_string(IoOp op) noexcept {
  switch (op) {
    case IoOp::read:
      return "read";
    case IoOp::write:
      return "write";
    case IoOp::flush:
      return "flush";
    case IoOp::discard:
      return "discard";
    case IoOp::write_zeroes:
      return "write_zeroes";
  }
  return "unknown_op";
}

std::string_view to_string(DataPlacement placement) noexcept {
  switch (placement) {
    case DataPlacement::none:
      return "none";
    case DataPlacement::in_capsule:
      return "in_capsule";
    case DataPlacement::slot:
      return "slot";
    case DataPlacement::remote:
      return "remote";
  }
  return "unknown_placement";
}

std::string to_string(const IoRequest& request) {
  wire::Printer print;
  print("gvn", request.gvn, "");
  print("seq", request.seq, "");
  print("low", request.low, "");
  if (request.op != IoOp::flush) {
    print("offset", request.offset, "");
    print("length", request.length, "");
  }
  if (request.fua) print("fua", request.fua, "");
  if (request.placement != DataPlacement::none) print("data", request.placement, "");
  if (request.placement == DataPlacement::slot) print("slot", request.slot, "");
  if (request.op == IoOp::write) print("data_crc", request.data_crc, "");
  print("path_tag", request.path_tag, "");
  return std::string(to_string(request.op)) + "{" + print.text() + "}";
}

std::string to_string(const IoResponse& response) {
  wire::Printer print;
  print("gvn", response.gvn, "");
  print("seq", response.seq, "");
  print("status", response.status, "");
  if (response.repeated) print("repeated", response.repeated, "");
  if (response.op == IoOp::read && response.status == StatusCode::ok)
    print("data_crc", response.data_crc, "");
  return std::string(to_string(response.op)) + "_answer{" + print.text() + "}";
}

}  // namespace sluice::protocol
