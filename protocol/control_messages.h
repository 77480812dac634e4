#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "protocol/admin_messages.h"
#include "protocol/base/status.h"
#include "protocol/base/units.h"
#include "protocol/control_types.h"
#include "protocol/fixed_vector.h"
#include "protocol/identifiers.h"
#include "protocol/limits.h"
#include "protocol/wire_codec.h"

/// The messages between client, master and storage node. Each travels in one SEND as a header and a body:
///
///      0  magic       4  "SLCM"
///      4  version     2
///      6  type        2  a ControlType
///      8  length      4  of the whole message, header included
///     12  CRC         4  of the whole message without these four bytes
///     16  request id  8  chosen by the asker, repeated in the answer
///     24  body
///
/// Bodies are the structs below, field after field without padding.
namespace sluice::protocol {

enum class OpenKind : std::uint8_t {
  open = 1,    ///< a new opening
  locate = 2,  ///< no change: where the volume is, who holds it, and its node's state
  reopen = 3,  ///< after a loss: the same GVN if node and boot are still those named, else a new one (C4)
};

/// Client to master. Names the volume by `name`, or by `volume` once it is known (the name may since have
/// been given to another volume); the other one is empty.
struct OpenRequest {
  static constexpr ControlType kType = ControlType::open_request;

  OpenKind kind = OpenKind::open;
  AccessMode mode = AccessMode::read_write;
  bool steal = false;  ///< take the volume from its holder
  VolumeId volume;
  VolumeName name;
  ClientId client;   ///< empty for locate only
  Nonce nonce;       ///< of this opening; 0 for locate only
  Gvn previous_gvn;  ///< the GVN that this opening had last; 0 if none
  NodeId node;       ///< reopen: where the session of previous_gvn was acknowledged; 0 if it never was
  BootId boot;       ///< reopen: that node's boot at the time; 0 if it never was

  template <typename Self, typename Visitor>
  static constexpr void fields(Self& self, Visitor& visit) {
    visit("kind", self.kind, "1 open, 2 locate, 3 reopen");
    visit("mode", self.mode, "1 read_write, 2 read_only");
    visit("steal", self.steal, "1: take the volume from its holder");
    visit("volume", self.volume, "0 if named by name");
    visit("name", self.name, "empty if named by volume");
    visit("client", self.client, "who opens; empty for locate only");
    visit("nonce", self.nonce, "random, of this opening; 0 for locate only");
    visit("previous_gvn", self.previous_gvn, "the version that this opening had last, or 0");
    visit("node", self.node, "reopen: the node of that session, or 0");
    visit("boot", self.boot, "reopen: that node's boot, or 0");
  }
  [[nodiscard]] bool is_consistent() const noexcept;
  friend constexpr bool operator==(const OpenRequest&, const OpenRequest&) = default;
};

/// Master to client. `gvn` is set if and only if `status` is ok and the kind isn't locate. On `busy`, and on
/// locate, the holder is told.
struct OpenAnswer {
  static constexpr ControlType kType = ControlType::open_answer;

  OpenKind kind = OpenKind::open;
  StatusCode status = StatusCode::ok;
  AccessMode mode = AccessMode::read_write;
  WritePolicy policy = WritePolicy::write_through;
  VolumeId volume;
  Gvn gvn;
  ByteCount size;
  std::uint32_t block_size = 0;  ///< bytes
  ManagerVersion manager_version;
  NodeId node;
  BootId boot;           ///< of the node as the master knows it; 0 if it never said hello
  bool node_up = false;  ///< the node is connected to the master now
  ClientId holder;       ///< empty: nobody
  AccessMode holder_mode = AccessMode::read_write;
  Gvn holder_gvn;
  FixedVector<NodeAddress, kMaxPaths> addresses;  ///< one a path

  template <typename Self, typename Visitor>
  static constexpr void fields(Self& self, Visitor& visit) {
    visit("kind", self.kind, "the request's");
    visit("status", self.status, "a status code");
    visit("mode", self.mode, "the session's");
    visit("policy", self.policy, "1 write_through, 2 write_back");
    visit("volume", self.volume, "the volume's id, or 0 if there is none");
    visit("gvn", self.gvn, "the version given to this opening; 0 on failure and for locate");
    visit("size", self.size, "of the volume, bytes");
    visit("block_size", self.block_size, "bytes");
    visit("manager_version", self.manager_version, "the master's own");
    visit("node", self.node, "where the volume is");
    visit("boot", self.boot, "that node's boot, or 0 if unknown");
    visit("node_up", self.node_up, "1: that node is connected to the master");
    visit("holder", self.holder, "who holds the volume; empty: nobody");
    visit("holder_mode", self.holder_mode, "the holder's");
    visit("holder_gvn", self.holder_gvn, "the holder's, or 0");
    visit("addresses", self.addresses, "of the node, one a path");
  }
  [[nodiscard]] bool is_consistent() const noexcept;
  friend constexpr bool operator==(const OpenAnswer&, const OpenAnswer&) = default;
};

/// Client to node. Asked again by the same client and nonce it is acknowledged again.
struct SessionOpen {
  static constexpr ControlType kType = ControlType::session_open;

  VolumeId volume;
  Gvn gvn;
  ClientId client;
  Nonce nonce;

  template <typename Self, typename Visitor>
  static constexpr void fields(Self& self, Visitor& visit) {
    visit("volume", self.volume, "which volume");
    visit("gvn", self.gvn, "the version that the master gave");
    visit("client", self.client, "as in the open request");
    visit("nonce", self.nonce, "as in the open request");
  }
  [[nodiscard]] bool is_consistent() const noexcept;
  friend constexpr bool operator==(const SessionOpen&, const SessionOpen&) = default;
};

/// Node to client.
struct SessionAnswer {
  static constexpr ControlType kType = ControlType::session_answer;

  StatusCode status = StatusCode::ok;
  VolumeId volume;
  Gvn gvn;    ///< the request's
  Gvn fence;  ///< the node's fence of the volume
  ManagerVersion manager_version;
  NodeId node;
  BootId boot;
  Cookie cookie;                ///< ok only, else 0
  std::uint32_t window = 0;     ///< entries; ok only, else 0
  std::uint16_t max_paths = 0;  ///< that the node takes for this session; ok only, else 0

  template <typename Self, typename Visitor>
  static constexpr void fields(Self& self, Visitor& visit) {
    visit("status", self.status, "a status code");
    visit("volume", self.volume, "the request's");
    visit("gvn", self.gvn, "the request's");
    visit("fence", self.fence, "the highest version that the node has accepted for the volume");
    visit("manager_version", self.manager_version, "the highest that the node has seen");
    visit("node", self.node, "the node's id");
    visit("boot", self.boot, "the node's boot");
    visit("cookie", self.cookie, "random, for path attach; 0 unless ok");
    visit("window", self.window, "entries, a power of two; 0 unless ok");
    visit("max_paths", self.max_paths, "connections that the session may have; 0 unless ok");
  }
  [[nodiscard]] bool is_consistent() const noexcept;
  friend constexpr bool operator==(const SessionAnswer&, const SessionAnswer&) = default;
};

/// Node to master: is this the volume's current session?
struct VerifyRequest {
  static constexpr ControlType kType = ControlType::verify_request;

  VolumeId volume;
  Gvn gvn;
  ClientId client;
  Nonce nonce;
  NodeId node;
  BootId boot;

  template <typename Self, typename Visitor>
  static constexpr void fields(Self& self, Visitor& visit) {
    visit("volume", self.volume, "which volume");
    visit("gvn", self.gvn, "of the session open");
    visit("client", self.client, "of the session open");
    visit("nonce", self.nonce, "of the session open");
    visit("node", self.node, "the asking node");
    visit("boot", self.boot, "the asking node's boot");
  }
  [[nodiscard]] bool is_consistent() const noexcept;
  friend constexpr bool operator==(const VerifyRequest&, const VerifyRequest&) = default;
};

/// Master to node. Only ok with a volume's current GVN under the current manager version (P1).
struct VerifyAnswer {
  static constexpr ControlType kType = ControlType::verify_answer;

  StatusCode status = StatusCode::ok;
  VolumeId volume;
  Gvn gvn;  ///< the request's
  ManagerVersion manager_version;
  AccessMode mode = AccessMode::read_write;
  WritePolicy policy = WritePolicy::write_through;
  Gvn era;          ///< ok only: the writer's own GVN; of a reader, the GVN of the first reader of its era
  Gvn current_gvn;  ///< the highest that the volume has
  ByteCount size;
  std::uint32_t block_size = 0;  ///< bytes

  template <typename Self, typename Visitor>
  static constexpr void fields(Self& self, Visitor& visit) {
    visit("status", self.status, "a status code");
    visit("volume", self.volume, "the request's");
    visit("gvn", self.gvn, "the request's");
    visit("manager_version", self.manager_version, "the master's own");
    visit("mode", self.mode, "1 read_write, 2 read_only");
    visit("policy", self.policy, "1 write_through, 2 write_back");
    visit("era", self.era, "the version of the era's first session: a writer's own; 0 unless ok");
    visit("current_gvn", self.current_gvn, "the volume's highest");
    visit("size", self.size, "of the volume, bytes; 0 unless ok");
    visit("block_size", self.block_size, "bytes; 0 unless ok");
  }
  [[nodiscard]] bool is_consistent() const noexcept;
  friend constexpr bool operator==(const VerifyAnswer&, const VerifyAnswer&) = default;
};

/// Master to node, before a volume moves: end its sessions, drain, and keep a durable tombstone, so that no
/// session up to `gvn` is ever accepted again.
struct QuiesceRequest {
  static constexpr ControlType kType = ControlType::quiesce_request;

  VolumeId volume;
  Gvn gvn;  ///< the volume's highest
  ManagerVersion manager_version;

  template <typename Self, typename Visitor>
  static constexpr void fields(Self& self, Visitor& visit) {
    visit("volume", self.volume, "which volume");
    visit("gvn", self.gvn, "the volume's highest: the tombstone's version");
    visit("manager_version", self.manager_version, "the master's own");
  }
  [[nodiscard]] bool is_consistent() const noexcept;
  friend constexpr bool operator==(const QuiesceRequest&, const QuiesceRequest&) = default;
};

struct QuiesceAnswer {
  static constexpr ControlType kType = ControlType::quiesce_answer;

  StatusCode status = StatusCode::ok;
  VolumeId volume;
  Gvn fence;

  template <typename Self, typename Visitor>
  static constexpr void fields(Self& self, Visitor& visit) {
    visit("status", self.status, "a status code; ok: drained, and the tombstone is durable");
    visit("volume", self.volume, "the request's");
    visit("fence", self.fence, "the highest version that the node has accepted for the volume");
  }
  [[nodiscard]] bool is_consistent() const noexcept;
  friend constexpr bool operator==(const QuiesceAnswer&, const QuiesceAnswer&) = default;
};

/// One volume's fence, as a node reports it.
struct FenceReport {
  VolumeId volume;
  Gvn fence;

  template <typename Self, typename Visitor>
  static constexpr void fields(Self& self, Visitor& visit) {
    visit("volume", self.volume, "which volume");
    visit("fence", self.fence, "the highest version that the node has accepted for it");
  }
  friend constexpr bool operator==(const FenceReport&, const FenceReport&) = default;
};

/// Node to master, when it connects. A node with many volumes sends several parts, from part 0; the master
/// acts once it has them all.
struct Hello {
  static constexpr ControlType kType = ControlType::hello;

  NodeId node;
  BootId boot;
  ManagerVersion manager_version;  ///< highest that the node has seen
  FixedVector<NodeAddress, kMaxPaths> addresses;
  std::uint32_t part = 0;
  bool last_part = true;
  std::uint16_t reactors = 1;  ///< that share the volumes: see address_for()
  FixedVector<FenceReport, kMaxFencesPerHello> fences;

  template <typename Self, typename Visitor>
  static constexpr void fields(Self& self, Visitor& visit) {
    visit("node", self.node, "the node's id");
    visit("boot", self.boot, "the node's boot");
    visit("manager_version", self.manager_version, "the highest that the node has seen");
    visit("addresses", self.addresses, "where clients reach the node, one a path");
    visit("part", self.part, "from 0, for a node with many volumes");
    visit("last_part", self.last_part, "1: no more parts");
    visit("reactors", self.reactors,
          "threads: a volume is served at each address's port + volume % reactors");
    visit("fences", self.fences, "of the node's volumes");
  }
  [[nodiscard]] bool is_consistent() const noexcept;
  friend constexpr bool operator==(const Hello&, const Hello&) = default;
};

struct HelloAnswer {
  static constexpr ControlType kType = ControlType::hello_answer;

  StatusCode status = StatusCode::ok;
  ManagerVersion manager_version;

  template <typename Self, typename Visitor>
  static constexpr void fields(Self& self, Visitor& visit) {
    visit("status", self.status, "a status code; rolled_back: an operator decides");
    visit("manager_version", self.manager_version, "the master's own");
  }
  [[nodiscard]] bool is_consistent() const noexcept;
  friend constexpr bool operator==(const HelloAnswer&, const HelloAnswer&) = default;
};

/// Client to node: end this session; and then client to master: give up the volume. Asked again it is
/// answered again.
struct CloseRequest {
  static constexpr ControlType kType = ControlType::close_request;

  VolumeId volume;
  Gvn gvn;
  ClientId client;
  Nonce nonce;

  template <typename Self, typename Visitor>
  static constexpr void fields(Self& self, Visitor& visit) {
    visit("volume", self.volume, "which volume");
    visit("gvn", self.gvn, "the session's version");
    visit("client", self.client, "as in the open request");
    visit("nonce", self.nonce, "as in the open request");
  }
  [[nodiscard]] bool is_consistent() const noexcept;
  friend constexpr bool operator==(const CloseRequest&, const CloseRequest&) = default;
};

/// Node or master to client. From a node, ok is the confirmed close of C2: nothing of the session can have
/// an effect any more.
struct CloseAnswer {
  static constexpr ControlType kType = ControlType::close_answer;

  StatusCode status = StatusCode::ok;
  VolumeId volume;
  Gvn gvn;

  template <typename Self, typename Visitor>
  static constexpr void fields(Self& self, Visitor& visit) {
    visit("status", self.status, "a status code; ok: nothing of the session can have an effect any more");
    visit("volume", self.volume, "the request's");
    visit("gvn", self.gvn, "the request's");
  }
  [[nodiscard]] bool is_consistent() const noexcept;
  friend constexpr bool operator==(const CloseAnswer&, const CloseAnswer&) = default;
};

/// Either way on any connection, path connections included: shows that the peer's process is alive.
struct Keepalive {
  static constexpr ControlType kType = ControlType::keepalive;

  bool reply = false;
  std::uint64_t count = 0;

  template <typename Self, typename Visitor>
  static constexpr void fields(Self& self, Visitor& visit) {
    visit("reply", self.reply, "0 asks for a reply, 1 is one");
    visit("count", self.count, "of the sender's keepalives; repeated in the reply");
  }
  [[nodiscard]] constexpr bool is_consistent() const noexcept { return true; }
  friend constexpr bool operator==(const Keepalive&, const Keepalive&) = default;
};

using ControlMessage =
    std::variant<OpenRequest, OpenAnswer, SessionOpen, SessionAnswer, VerifyRequest, VerifyAnswer,
                 QuiesceRequest, QuiesceAnswer, Hello, HelloAnswer, CloseRequest, CloseAnswer, Keepalive,
                 VolumeCommand, NodeCommand, CommandAnswer, ListVolumes, VolumeList, ListNodes, NodeList,
                 VolumeStatusRequest, VolumeStatus, Heartbeat, HeartbeatAnswer, VolumeOrder,
                 VolumeOrderAnswer, CopyRead, CopyReadAnswer>;

/// A control message with the id that ties an answer to its request.
struct ControlFrame {
  RequestId request_id;
  ControlMessage message;

  friend constexpr bool operator==(const ControlFrame&, const ControlFrame&) = default;
};

/// Writes a message, which must be consistent, and returns its length.
std::size_t encode(const ControlFrame& frame, std::span<std::byte, kMaxControlSize> out);

/// `bytes` is one whole received message, no byte more or less. Fails with `malformed`, naming the message
/// and the field, or with `version_mismatch`, naming both versions.
[[nodiscard]] Result<ControlFrame> decode_control(std::span<const std::byte> bytes);

/// Whether a received message starts as a control message does.
[[nodiscard]] bool is_control(std::span<const std::byte> bytes) noexcept;

[[nodiscard]] constexpr bool is_valid(OpenKind kind) noexcept {
  return kind >= OpenKind::open && kind <= OpenKind::reopen;
}
[[nodiscard]] std::string_view to_string(OpenKind kind) noexcept;
/// "open_request#7{kind=open mode=read_write ...}"
[[nodiscard]] std::string to_string(const ControlFrame& frame);

namespace wire {

inline constexpr std::uint16_t kControlVersion = 1;
inline constexpr std::size_t kControlCrcOffset = 12;
inline constexpr std::size_t kControlHeaderSize = 24;

struct ControlHeader {
  static constexpr std::uint32_t kMagic = 0x4d43'4c53;  // "SLCM"

  std::uint32_t magic = kMagic;
  std::uint16_t version = kControlVersion;
  ControlType type = ControlType::keepalive;
  std::uint32_t length = 0;
  std::uint32_t crc = 0;
  RequestId request_id;

  template <typename Self, typename Visitor>
  static constexpr void fields(Self& self, Visitor& visit) {
    visit("magic", self.magic, "\"SLCM\"");
    visit("version", self.version, "1");
    visit("type", self.type, "which message");
    visit("length", self.length, "bytes of the whole message, header included");
    visit("crc", self.crc, "CRC32C of the whole message without this field");
    visit("request_id", self.request_id, "chosen by the asker, repeated in the answer");
  }
};
static_assert(max_size<ControlHeader>() == kControlHeaderSize);

template <typename Variant>
struct EachFits;
template <typename... Message>
struct EachFits<std::variant<Message...>> {
  static constexpr bool kValue = ((kControlHeaderSize + max_size<Message>() <= kMaxControlSize) && ...);
};
static_assert(EachFits<ControlMessage>::kValue, "every control message fits kMaxControlSize");

// Layouts change only with kControlVersion.
static_assert(max_size<OpenRequest>() == 3 + 8 + 64 + 64 + 4 * 8);
static_assert(max_size<OpenAnswer>() == 5 + 3 * 8 + 8 + 2 * 8 + 1 + 64 + 1 + 8 + 2 + kMaxPaths * 64);
static_assert(max_size<SessionOpen>() == 2 * 8 + 64 + 8);
static_assert(max_size<SessionAnswer>() == 2 + 3 * 8 + 4 + 3 * 8 + 4 + 2);
static_assert(max_size<VerifyRequest>() == 2 * 8 + 64 + 3 * 8);
static_assert(max_size<VerifyAnswer>() == 2 + 2 * 8 + 4 + 2 + 3 * 8 + 4);
static_assert(max_size<QuiesceRequest>() == 20);
static_assert(max_size<QuiesceAnswer>() == 18);
static_assert(max_size<Hello>() == 20 + 2 + kMaxPaths * 64 + 5 + 2 + 2 + kMaxFencesPerHello * 16);
static_assert(max_size<HelloAnswer>() == 6);
static_assert(max_size<CloseRequest>() == 2 * 8 + 64 + 8);
static_assert(max_size<CloseAnswer>() == 18);
static_assert(max_size<Keepalive>() == 9);
static_assert(max_size<VolumeCommand>() == 1 + 2 * 64 + 8 + 4 + 1 + 8 + 1);
static_assert(max_size<NodeCommand>() == 9);
static_assert(max_size<CommandAnswer>() == 2 + 2 * 8 + 1 + kMaxTextLength);
static_assert(max_size<ListVolumes>() == 64 + 8);
static_assert(max_size<VolumeList>() == 7 + 2 + kMaxListEntries * 183);
static_assert(max_size<ListNodes>() == 8);
static_assert(max_size<NodeList>() == 7 + 2 + kMaxNodeListEntries * (43 + 2 + kMaxPaths * 64));
static_assert(max_size<VolumeStatusRequest>() == 8);
static_assert(max_size<VolumeStatus>() == 19 + 2 + kMaxVolumeSessions * 79 + 2 + kRefusalCount * 8);
static_assert(max_size<Heartbeat>() == 36);
static_assert(max_size<HeartbeatAnswer>() == 6);
static_assert(max_size<VolumeOrder>() == 33 + 2 + kMaxPaths * 64);
static_assert(max_size<VolumeOrderAnswer>() == 18 + 1 + kMaxTextLength);
static_assert(max_size<CopyRead>() == 44);
static_assert(max_size<CopyReadAnswer>() == 24);

}  // namespace wire
}  // namespace sluice::protocol
