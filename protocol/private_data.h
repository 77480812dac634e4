#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>

#include "protocol/base/status.h"
#include "protocol/base/units.h"
#include "protocol/fixed_vector.h"
#include "protocol/identifiers.h"
#include "protocol/limits.h"
#include "protocol/wire_codec.h"

/// What a path's connection carries in its private data: attach with the request, accept or reject with the
/// answer. Private data may arrive longer than it was sent, so each message tells its own length, and what
/// follows is ignored:
///
///      0  magic     2  "SP"
///      2  version   1
///      3  kind      1  a PrivateDataKind
///      4  length    2  of the message, header included
///      6  reserved  2  0
///      8  CRC       4  of the message without these four bytes
///     12  body
namespace sluice::protocol {

enum class PrivateDataKind : std::uint8_t { path_attach = 1, path_accept = 2, path_reject = 3 };

/// Client to node: make this connection a path of that session. `epoch` must be higher than that path's last.
struct PathAttach {
  static constexpr PrivateDataKind kKind = PrivateDataKind::path_attach;

  PathId path;
  std::uint16_t depth = 0;  ///< requests that the client would like to have unanswered on this path
  PathEpoch epoch;
  Gvn gvn;
  VolumeId volume;
  Cookie cookie;

  template <typename Self, typename Visitor>
  static constexpr void fields(Self& self, Visitor& visit) {
    visit("path", self.path, "which path of the session, from 0");
    visit.reserved(1);
    visit("depth", self.depth, "requests that the client would like to have unanswered");
    visit("epoch", self.epoch, "higher than at any earlier attach of this path");
    visit("gvn", self.gvn, "the session's version");
    visit("volume", self.volume, "the session's volume");
    visit("cookie", self.cookie, "of the session's acknowledgement");
  }
  [[nodiscard]] bool is_consistent() const noexcept;
  friend constexpr bool operator==(const PathAttach&, const PathAttach&) = default;
};

/// Staging slots of one size.
struct SlotClass {
  std::uint32_t slot_size = 0;  ///< bytes
  std::uint16_t count = 0;

  template <typename Self, typename Visitor>
  static constexpr void fields(Self& self, Visitor& visit) {
    visit("slot_size", self.slot_size, "bytes of each slot");
    visit("count", self.count, "slots of this size");
  }
  friend constexpr bool operator==(const SlotClass&, const SlotClass&) = default;
};

/// Node to client: the path is there, and these are its slots (R1). They lie one after the other in one
/// region, in the order of the classes, which also numbers them.
struct PathAccept {
  static constexpr PrivateDataKind kKind = PrivateDataKind::path_accept;

  PathId path;
  std::uint16_t depth = 0;  ///< requests that the path may have unanswered, 1 .. kMaxPathDepth
  PathEpoch epoch;
  Gvn gvn;
  std::uint32_t in_capsule_limit = 0;  ///< longest write data in the capsule, bytes; 0: none
  std::uint64_t region_key = 0;        ///< the slots' region, in the transport's terms
  std::uint64_t region_base = 0;       ///< remote address of slot 0
  FixedVector<SlotClass, kMaxSlotClasses> slots;

  template <typename Self, typename Visitor>
  static constexpr void fields(Self& self, Visitor& visit) {
    visit("path", self.path, "the attach's");
    visit.reserved(1);
    visit("depth", self.depth, "requests that may be unanswered, 1 to 1024");
    visit("epoch", self.epoch, "the attach's");
    visit("gvn", self.gvn, "the session's version");
    visit("in_capsule_limit", self.in_capsule_limit, "longest write data in the capsule, bytes");
    visit("region_key", self.region_key, "remote key of the slots' region");
    visit("region_base", self.region_base, "remote address of slot 0");
    visit("slots", self.slots, "classes of slots, one after the other in the region");
  }
  [[nodiscard]] bool is_consistent() const noexcept;
  /// Bytes of the longest write that capsule or slots take.
  [[nodiscard]] std::uint32_t longest_write() const noexcept;
  friend constexpr bool operator==(const PathAccept&, const PathAccept&) = default;
};

/// Where slot `slot` of a grant lies: its offset from `region_base` and its size, both in bytes. Nothing if
/// the grant has no such slot.
struct SlotPlace {
  std::uint64_t offset = 0;
  std::uint32_t size = 0;

  friend constexpr bool operator==(const SlotPlace&, const SlotPlace&) = default;
};
[[nodiscard]] std::optional<SlotPlace> find_slot(const FixedVector<SlotClass, kMaxSlotClasses>& slots,
                                                 SlotIndex slot) noexcept;

/// Node to client: no path, and why.
struct PathReject {
  static constexpr PrivateDataKind kKind = PrivateDataKind::path_reject;

  PathId path;
  StatusCode status = StatusCode::no_session;
  PathEpoch epoch;  ///< the highest that this path has had
  Gvn fence;

  template <typename Self, typename Visitor>
  static constexpr void fields(Self& self, Visitor& visit) {
    visit("path", self.path, "the attach's");
    visit.reserved(1);
    visit("status", self.status, "a status code, not ok");
    visit("epoch", self.epoch, "the highest that this path has had");
    visit("fence", self.fence, "the highest version that the node has accepted for the volume");
  }
  [[nodiscard]] bool is_consistent() const noexcept;
  friend constexpr bool operator==(const PathReject&, const PathReject&) = default;
};

using PrivateData = std::variant<PathAttach, PathAccept, PathReject>;

/// Room for any of them.
inline constexpr std::size_t kMaxPrivateDataSize = kMaxPathAcceptSize;

/// Writes a message, which must be consistent, and returns its length.
std::size_t encode(const PrivateData& message, std::span<std::byte, kMaxPrivateDataSize> out);

/// Fails with `malformed`, naming message and field, or with `version_mismatch`. Bytes after the message's
/// own length are ignored.
[[nodiscard]] Result<PrivateData> decode_private_data(std::span<const std::byte> bytes);

[[nodiscard]] constexpr bool is_valid(PrivateDataKind kind) noexcept {
  return kind >= PrivateDataKind::path_attach && kind <= PrivateDataKind::path_reject;
}
[[nodiscard]] std::string_view to_string(PrivateDataKind kind) noexcept;
/// "path_attach{path=0 ...}"; cookies and keys are shown as they are: not for logs that strangers read.
[[nodiscard]] std::string to_string(const PrivateData& message);

namespace wire {

inline constexpr std::uint8_t kPrivateDataVersion = 1;
inline constexpr std::size_t kPrivateDataCrcOffset = 8;
inline constexpr std::size_t kPrivateDataHeaderSize = 12;

struct PrivateDataHeader {
  static constexpr std::uint16_t kMagic = 0x5053;  // "SP"

  std::uint16_t magic = kMagic;
  std::uint8_t version = kPrivateDataVersion;
  PrivateDataKind kind = PrivateDataKind::path_attach;
  std::uint16_t length = 0;
  std::uint32_t crc = 0;

  template <typename Self, typename Visitor>
  static constexpr void fields(Self& self, Visitor& visit) {
    visit("magic", self.magic, "\"SP\"");
    visit("version", self.version, "1");
    visit("kind", self.kind, "1 path_attach, 2 path_accept, 3 path_reject");
    visit("length", self.length, "bytes of the message, header included");
    visit.reserved(2);
    visit("crc", self.crc, "CRC32C of the message without this field");
  }
};
static_assert(max_size<PrivateDataHeader>() == kPrivateDataHeaderSize);
static_assert(kPrivateDataHeaderSize + max_size<PathAttach>() == 44);
static_assert(kPrivateDataHeaderSize + max_size<PathAttach>() <= kMaxPathAttachSize);
static_assert(kPrivateDataHeaderSize + max_size<PathAccept>() == 74);
static_assert(kPrivateDataHeaderSize + max_size<PathAccept>() <= kMaxPathAcceptSize);
static_assert(kPrivateDataHeaderSize + max_size<PathReject>() == 28);
static_assert(kPrivateDataHeaderSize + max_size<PathReject>() <= kMaxPathRejectSize);

}  // namespace wire
}  // namespace sluice::protocol
