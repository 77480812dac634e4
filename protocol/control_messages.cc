#include "protocol/control_messages.h"

#include <cstring>
#include <utility>

#include "protocol/base/check.h"
#include "protocol/envelope.h"

namespace sluice::protocol {
namespace {

using wire::ControlHeader;

template <typename Message>
Result<ControlFrame> decode_body(RequestId id, std::span<const std::byte> body) {
  auto message = wire::decode_body<Message>(to_string(Message::kType), body);
  if (!message) return tl::unexpected(std::move(message.error()));
  return ControlFrame{id, *message};
}

/// Decodes the alternative of the variant whose type the header names.
template <typename... Message>
Result<ControlFrame> decode_as(const ControlHeader& header, std::span<const std::byte> body,
                               std::type_identity<std::variant<Message...>> /*messages*/) {
  Result<ControlFrame> frame = fail(StatusCode::malformed, "unknown control message");
  static_cast<void>(
      ((header.type == Message::kType && (frame = decode_body<Message>(header.request_id, body), true)) ||
       ...));
  return frame;
}

bool is_session_name(VolumeId volume, Gvn gvn, const ClientId& client, Nonce nonce) noexcept {
  return volume != VolumeId(0) && gvn != Gvn(0) && !client.empty() && nonce != Nonce(0);
}

bool is_block_size(std::uint32_t bytes) noexcept {
  return std::has_single_bit(bytes) && bytes >= kMinBlockSize && bytes <= kMaxBlockSize;
}

}  // namespace

bool OpenRequest::is_consistent() const noexcept {
  if ((volume == VolumeId(0)) == name.empty()) return false;
  if (kind == OpenKind::locate) return !steal;
  if (client.empty() || nonce == Nonce(0)) return false;
  return kind != OpenKind::reopen || previous_gvn != Gvn(0);
}

bool OpenAnswer::is_consistent() const noexcept {
  const bool given = status == StatusCode::ok && kind != OpenKind::locate;
  if (given != (gvn != Gvn(0))) return false;
  if (status != StatusCode::ok) return true;
  return volume != VolumeId(0) && is_block_size(block_size) && size.value() % block_size == 0;
}

bool SessionOpen::is_consistent() const noexcept {
  return is_session_name(volume, gvn, client, nonce);
}

bool SessionAnswer::is_consistent() const noexcept {
  if (volume == VolumeId(0) || gvn == Gvn(0)) return false;
  if (status != StatusCode::ok) return cookie == Cookie(0) && window == 0 && max_paths == 0;
  return fence >= gvn && boot != BootId(0) && cookie != Cookie(0) && std::has_single_bit(window) &&
         window >= kMinWindowSize && window <= kMaxWindowSize && max_paths >= 1 && max_paths <= kMaxPaths;
}

bool VerifyRequest::is_consistent() const noexcept {
  return is_session_name(volume, gvn, client, nonce) && node != NodeId(0) && boot != BootId(0);
}

bool VerifyAnswer::is_consistent() const noexcept {
  if (volume == VolumeId(0) || gvn == Gvn(0)) return false;
  if (status != StatusCode::ok) return era == Gvn(0) && size == ByteCount(0) && block_size == 0;
  const bool era_fits = mode == AccessMode::read_write ? era == gvn : era != Gvn(0) && era <= gvn;
  return era_fits && is_block_size(block_size) && size.value() % block_size == 0;
}

bool QuiesceRequest::is_consistent() const noexcept {
  return volume != VolumeId(0) && gvn != Gvn(0);
}

bool QuiesceAnswer::is_consistent() const noexcept {
  return volume != VolumeId(0);
}

bool Hello::is_consistent() const noexcept {
  return node != NodeId(0) && boot != BootId(0) && reactors >= 1 && reactors <= kMaxReactors;
}

bool HelloAnswer::is_consistent() const noexcept {
  return manager_version != ManagerVersion(0) || status != StatusCode::ok;
}

bool CloseRequest::is_consistent() const noexcept {
  return is_session_name(volume, gvn, client, nonce);
}

bool CloseAnswer::is_consistent() const noexcept {
  return volume != VolumeId(0) && gvn != Gvn(0);
}

std::size_t encode(const ControlFrame& frame, std::span<std::byte, kMaxControlSize> out) {
  return std::visit(
      [&](const auto& message) {
        using Message = std::remove_cvref_t<decltype(message)>;
        check(message.is_consistent(), "a control message is consistent before it is encoded");
        wire::Writer body(out.subspan(wire::kControlHeaderSize));
        Message::fields(message, body);
        const std::size_t length = wire::kControlHeaderSize + body.written();

        ControlHeader header;
        header.type = Message::kType;
        header.length = static_cast<std::uint32_t>(length);
        header.request_id = frame.request_id;
        wire::Writer head(out);
        ControlHeader::fields(header, head);
        wire::seal(out.first(length), wire::kControlCrcOffset);
        return length;
      },
      frame.message);
}

Result<ControlFrame> decode_control(std::span<const std::byte> bytes) {
  if (!is_control(bytes)) return fail(StatusCode::malformed, "not a control message");
  ControlHeader header;
  wire::Reader reader(bytes);
  ControlHeader::fields(header, reader);
  // Magic and version come first so that another version, whatever its layout, is told from damage.
  if (header.version != wire::kControlVersion) {
    return fail(StatusCode::version_mismatch, "the peer speaks control protocol version " +
                                                  std::to_string(header.version) + ", this side " +
                                                  std::to_string(wire::kControlVersion));
  }
  reader.require(header.length == bytes.size() && bytes.size() <= kMaxControlSize, "length");
  if (!reader.ok()) {
    return fail(StatusCode::malformed, "control header has a bad " + std::string(reader.failed_field()));
  }
  if (header.crc != wire::crc_of(bytes, wire::kControlCrcOffset))
    return fail(StatusCode::malformed, "control message has a bad checksum");
  return decode_as(header, bytes.subspan(wire::kControlHeaderSize), std::type_identity<ControlMessage>{});
}

bool is_control(std::span<const std::byte> bytes) noexcept {
  std::uint32_t magic = 0;
  if (bytes.size() < sizeof magic) return false;
  std::memcpy(&magic, bytes.data(), sizeof magic);
  return magic == ControlHeader::kMagic;
}

std::string_view to_string(OpenKind kind) noexcept {
  switch (kind) {
    case OpenKind::open:
      return "open";
    case OpenKind::locate:
      return "locate";
    case OpenKind::reopen:
      return "reopen";
  }
  return "unknown_open_kind";
}

std::string to_string(const ControlFrame& frame) {
  return std::visit(
      [&](const auto& message) {
        return std::string(to_string(message.kType)) + "#" + std::to_string(frame.request_id.value()) + "{" +
               wire::print_fields(message) + "}";
      },
      frame.message);
}

}  // namespace sluice::protocol
