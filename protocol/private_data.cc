#include "protocol/private_data.h"

#include <algorithm>
#include <utility>

#include "protocol/base/check.h"
#include "protocol/envelope.h"

namespace sluice::protocol {
namespace {

using wire::PrivateDataHeader;

template <typename Message>
Result<PrivateData> decode_body(std::span<const std::byte> body) {
  auto message = wire::decode_body<Message>(to_string(Message::kKind), body);
  if (!message) return tl::unexpected(std::move(message.error()));
  return *message;
}

}  // namespace

bool PathAttach::is_consistent() const noexcept {
  return path.value() < kMaxPaths && depth >= 1 && epoch != PathEpoch(0) && gvn != Gvn(0) &&
         volume != VolumeId(0) && cookie != Cookie(0);
}

bool PathAccept::is_consistent() const noexcept {
  std::size_t count = 0;
  for (const SlotClass& slot_class : slots) {
    if (slot_class.slot_size == 0 || slot_class.slot_size > kMaxDataLength || slot_class.count == 0) {
      return false;
    }
    count += slot_class.count;
  }
  return path.value() < kMaxPaths && depth >= 1 && depth <= kMaxPathDepth && epoch != PathEpoch(0) &&
         gvn != Gvn(0) && in_capsule_limit <= kMaxInCapsuleData && count <= kMaxSlots;
}

std::uint32_t PathAccept::longest_write() const noexcept {
  std::uint32_t longest = in_capsule_limit;
  for (const SlotClass& slot_class : slots)
    longest = std::max(longest, slot_class.slot_size);
  return longest;
}

bool PathReject::is_consistent() const noexcept {
  return path.value() < kMaxPaths && status != StatusCode::ok;
}

std::optional<SlotPlace> find_slot(const FixedVector<SlotClass, kMaxSlotClasses>& slots,
                                   SlotIndex slot) noexcept {
  std::uint64_t offset = 0;
  std::uint32_t index = slot.value();
  for (const SlotClass& slot_class : slots) {
    if (index < slot_class.count) {
      return SlotPlace{offset + std::uint64_t{index} * slot_class.slot_size, slot_class.slot_size};
    }
    index -= slot_class.count;
    offset += std::uint64_t{slot_class.count} * slot_class.slot_size;
  }
  return std::nullopt;
}

std::size_t encode(const PrivateData& message, std::span<std::byte, kMaxPrivateDataSize> out) {
  return std::visit(
      [&](const auto& alternative) {
        using Message = std::remove_cvref_t<decltype(alternative)>;
        check(alternative.is_consistent(), "private data is consistent before it is encoded");
        wire::Writer body(out.subspan(wire::kPrivateDataHeaderSize));
        Message::fields(alternative, body);
        const std::size_t length = wire::kPrivateDataHeaderSize + body.written();

        PrivateDataHeader header;
        header.kind = Message::kKind;
        header.length = static_cast<std::uint16_t>(length);
        wire::Writer head(out);
        PrivateDataHeader::fields(header, head);
        wire::seal(out.first(length), wire::kPrivateDataCrcOffset);
        return length;
      },
      message);
}

Result<PrivateData> decode_private_data(std::span<const std::byte> bytes) {
  PrivateDataHeader header;
  header.magic = 0;
  wire::Reader reader(bytes);
  PrivateDataHeader::fields(header, reader);
  if (header.magic != PrivateDataHeader::kMagic) {
    return fail(StatusCode::malformed, "the connection's private data is not of this protocol");
  }
  // Magic and version come first so that another version, whatever its layout, is told from damage.
  if (header.version != wire::kPrivateDataVersion) {
    return fail(StatusCode::version_mismatch, "the peer speaks path protocol version " +
                                                  std::to_string(header.version) + ", this side " +
                                                  std::to_string(wire::kPrivateDataVersion));
  }
  reader.require(header.length >= wire::kPrivateDataHeaderSize && header.length <= bytes.size(), "length");
  if (!reader.ok()) {
    return fail(StatusCode::malformed, "private data has a bad " + std::string(reader.failed_field()));
  }
  const std::span<const std::byte> message = bytes.first(header.length);
  if (header.crc != wire::crc_of(message, wire::kPrivateDataCrcOffset))
    return fail(StatusCode::malformed, "private data has a bad checksum");
  const std::span<const std::byte> body = message.subspan(wire::kPrivateDataHeaderSize);
  if (header.kind == PrivateDataKind::path_attach) return decode_body<PathAttach>(body);
  if (header.kind == PrivateDataKind::path_accept) return decode_body<PathAccept>(body);
  return decode_body<PathReject>(body);
}

std::string_view to_string(PrivateDataKind kind) noexcept {
  switch (kind) {
    case PrivateDataKind::path_attach:
      return "path_attach";
    case PrivateDataKind::path_accept:
      return "path_accept";
    case PrivateDataKind::path_reject:
      return "path_reject";
  }
  return "unknown_private_data";
}

std::string to_string(const PrivateData& message) {
  return std::visit(
      [](const auto& alternative) {
        return std::string(to_string(alternative.kKind)) + "{" + wire::print_fields(alternative) + "}";
      },
      message);
}

}  // namespace sluice::protocol
