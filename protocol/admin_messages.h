#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "protocol/base/status.h"
#include "protocol/base/units.h"
#include "protocol/control_types.h"
#include "protocol/fixed_vector.h"
#include "protocol/identifiers.h"
#include "protocol/limits.h"
#include "protocol/refusals.h"

/// The messages that manage a cluster: an operator's commands and lists, a node's heartbeats, the master's
/// orders to nodes, and the copying of a volume that moves. They are control messages like those of
/// control_messages.h, where they are framed, encoded and decoded.
namespace sluice::protocol {

// --- Operator and master -------------------------------------------------------------------------------

enum class VolumeVerb : std::uint8_t {
  create = 1,
  resize = 2,
  rename = 3,
  remove = 4,
  migrate = 5,      ///< answered once the move is committed; the copy goes on: see VolumeEntry::moving_to
  cancel_move = 6,  ///< leave a moving volume where it is
};

/// Operator to master. Names the volume by `name`.
struct VolumeCommand {
  static constexpr ControlType kType = ControlType::volume_command;

  VolumeVerb verb = VolumeVerb::create;
  VolumeName name;
  VolumeName new_name;                              ///< rename
  ByteCount size;                                   ///< create, resize
  std::uint32_t block_size = 0;                     ///< create, bytes
  WritePolicy policy = WritePolicy::write_through;  ///< create
  NodeId node;                                      ///< create, migrate: where to; 0: the master chooses
  bool allow_shrink = false;                        ///< resize

  template <typename Self, typename Visitor>
  static constexpr void fields(Self& self, Visitor& visit) {
    visit("verb", self.verb, "1 create, 2 resize, 3 rename, 4 remove, 5 migrate, 6 cancel_move");
    visit("name", self.name, "which volume");
    visit("new_name", self.new_name, "rename: the new name; else empty");
    visit("size", self.size, "create and resize: bytes; else 0");
    visit("block_size", self.block_size, "create: bytes; else 0");
    visit("policy", self.policy, "create: 1 write_through, 2 write_back");
    visit("node", self.node, "create and migrate: the node, or 0: the master chooses");
    visit("allow_shrink", self.allow_shrink, "resize: 1: it may get smaller");
  }
  [[nodiscard]] bool is_consistent() const noexcept;
  friend constexpr bool operator==(const VolumeCommand&, const VolumeCommand&) = default;
};

enum class NodeVerb : std::uint8_t {
  drain = 1,    ///< place nothing new there
  undrain = 2,  ///< use it again
  remove = 3,   ///< forget it; it must hold no volume
  accept = 4,   ///< go on with a rolled-back node and whatever its disk holds
};

/// Operator to master.
struct NodeCommand {
  static constexpr ControlType kType = ControlType::node_command;

  NodeVerb verb = NodeVerb::drain;
  NodeId node;

  template <typename Self, typename Visitor>
  static constexpr void fields(Self& self, Visitor& visit) {
    visit("verb", self.verb, "1 drain, 2 undrain, 3 remove, 4 accept");
    visit("node", self.node, "which node");
  }
  [[nodiscard]] bool is_consistent() const noexcept;
  friend constexpr bool operator==(const NodeCommand&, const NodeCommand&) = default;
};

/// Master to operator, after a VolumeCommand or NodeCommand, and to any request that can't be answered
/// otherwise. `reason` says, in words, what a failure's status alone doesn't.
struct CommandAnswer {
  static constexpr ControlType kType = ControlType::command_answer;

  StatusCode status = StatusCode::ok;
  VolumeId volume;  ///< the command's volume; 0 if there is none
  NodeId node;      ///< where the volume is, or the command's node; 0 if there is none
  Text reason;

  template <typename Self, typename Visitor>
  static constexpr void fields(Self& self, Visitor& visit) {
    visit("status", self.status, "a status code");
    visit("volume", self.volume, "the command's volume, or 0");
    visit("node", self.node, "where the volume is, or the command's node, or 0");
    visit("reason", self.reason, "words for the operator; empty if ok");
  }
  [[nodiscard]] bool is_consistent() const noexcept { return true; }
  friend constexpr bool operator==(const CommandAnswer&, const CommandAnswer&) = default;
};

/// Operator to master: volumes in the order of their ids, from the first above `after`.
struct ListVolumes {
  static constexpr ControlType kType = ControlType::list_volumes;

  VolumeName name;  ///< only this one; empty: all
  VolumeId after;

  template <typename Self, typename Visitor>
  static constexpr void fields(Self& self, Visitor& visit) {
    visit("name", self.name, "only the volume of this name; empty: all");
    visit("after", self.after, "only ids above this one");
  }
  [[nodiscard]] bool is_consistent() const noexcept { return true; }
  friend constexpr bool operator==(const ListVolumes&, const ListVolumes&) = default;
};

/// One volume, as the master knows it.
struct VolumeEntry {
  VolumeId id;
  VolumeName name;
  ByteCount size;
  std::uint32_t block_size = 0;  ///< bytes
  WritePolicy policy = WritePolicy::write_through;
  NodeId node;
  NodeId moving_to;  ///< 0: it isn't being moved
  ByteCount moved;   ///< bytes copied so far, while it is being moved
  Gvn current_gvn;   ///< 0: never opened
  std::uint8_t holders = 0;
  AccessMode mode = AccessMode::read_write;  ///< of the holders
  ClientId holder;                           ///< the first of them; empty: nobody

  template <typename Self, typename Visitor>
  static constexpr void fields(Self& self, Visitor& visit) {
    visit("id", self.id, "the volume's id");
    visit("name", self.name, "its name");
    visit("size", self.size, "bytes");
    visit("block_size", self.block_size, "bytes");
    visit("policy", self.policy, "1 write_through, 2 write_back");
    visit("node", self.node, "where it is");
    visit("moving_to", self.moving_to, "where it is being moved, or 0");
    visit("moved", self.moved, "bytes copied so far");
    visit("current_gvn", self.current_gvn, "the highest version given, or 0");
    visit("holders", self.holders, "sessions that hold it");
    visit("mode", self.mode, "of the holders: 1 read_write, 2 read_only");
    visit("holder", self.holder, "the first holder's client id; empty: nobody");
  }
  friend constexpr bool operator==(const VolumeEntry&, const VolumeEntry&) = default;
};

struct VolumeList {
  static constexpr ControlType kType = ControlType::volume_list;

  StatusCode status = StatusCode::ok;
  ManagerVersion manager_version;
  bool more = false;  ///< ask again, after the last one's id
  FixedVector<VolumeEntry, kMaxListEntries> volumes;

  template <typename Self, typename Visitor>
  static constexpr void fields(Self& self, Visitor& visit) {
    visit("status", self.status, "a status code");
    visit("manager_version", self.manager_version, "the master's own");
    visit("more", self.more, "1: there are more, after the last one's id");
    visit("volumes", self.volumes, "in the order of their ids");
  }
  [[nodiscard]] bool is_consistent() const noexcept { return true; }
  friend constexpr bool operator==(const VolumeList&, const VolumeList&) = default;
};

/// Operator to master: nodes in the order of their ids, from the first above `after`.
struct ListNodes {
  static constexpr ControlType kType = ControlType::list_nodes;

  NodeId after;

  template <typename Self, typename Visitor>
  static constexpr void fields(Self& self, Visitor& visit) {
    visit("after", self.after, "only ids above this one");
  }
  [[nodiscard]] bool is_consistent() const noexcept { return true; }
  friend constexpr bool operator==(const ListNodes&, const ListNodes&) = default;
};

/// One node, as the master knows it.
struct NodeEntry {
  NodeId id;
  BootId boot;  ///< 0: it hasn't said hello to this master
  bool up = false;
  bool draining = false;
  bool rolled_back = false;  ///< refused until an operator accepts it
  ByteCount capacity;
  ByteCount free;
  std::uint32_t volumes = 0;
  std::uint32_t sessions = 0;
  FixedVector<NodeAddress, kMaxPaths> addresses;

  template <typename Self, typename Visitor>
  static constexpr void fields(Self& self, Visitor& visit) {
    visit("id", self.id, "the node's id");
    visit("boot", self.boot, "its boot, or 0 if it hasn't said hello to this master");
    visit("up", self.up, "1: connected to the master");
    visit("draining", self.draining, "1: nothing new is placed there");
    visit("rolled_back", self.rolled_back, "1: refused until an operator accepts it");
    visit("capacity", self.capacity, "bytes");
    visit("free", self.free, "bytes");
    visit("volumes", self.volumes, "placed on it");
    visit("sessions", self.sessions, "that it serves");
    visit("addresses", self.addresses, "where clients reach it, one a path");
  }
  friend constexpr bool operator==(const NodeEntry&, const NodeEntry&) = default;
};

struct NodeList {
  static constexpr ControlType kType = ControlType::node_list;

  StatusCode status = StatusCode::ok;
  ManagerVersion manager_version;
  bool more = false;
  FixedVector<NodeEntry, kMaxNodeListEntries> nodes;

  template <typename Self, typename Visitor>
  static constexpr void fields(Self& self, Visitor& visit) {
    visit("status", self.status, "a status code");
    visit("manager_version", self.manager_version, "the master's own");
    visit("more", self.more, "1: there are more, after the last one's id");
    visit("nodes", self.nodes, "in the order of their ids");
  }
  [[nodiscard]] bool is_consistent() const noexcept { return true; }
  friend constexpr bool operator==(const NodeList&, const NodeList&) = default;
};

// --- Operator and node ---------------------------------------------------------------------------------

/// Operator to node: what a volume's node knows of it.
struct VolumeStatusRequest {
  static constexpr ControlType kType = ControlType::volume_status_request;

  VolumeId volume;

  template <typename Self, typename Visitor>
  static constexpr void fields(Self& self, Visitor& visit) {
    visit("volume", self.volume, "which volume");
  }
  [[nodiscard]] bool is_consistent() const noexcept { return volume != VolumeId(0); }
  friend constexpr bool operator==(const VolumeStatusRequest&, const VolumeStatusRequest&) = default;
};

/// One session of a volume on its node.
struct SessionEntry {
  Gvn gvn;
  ClientId client;
  AccessMode mode = AccessMode::read_write;
  bool active = false;  ///< else it is draining
  std::uint8_t paths = 0;
  std::uint32_t in_flight = 0;

  template <typename Self, typename Visitor>
  static constexpr void fields(Self& self, Visitor& visit) {
    visit("gvn", self.gvn, "the session's version");
    visit("client", self.client, "whose it is");
    visit("mode", self.mode, "1 read_write, 2 read_only");
    visit("active", self.active, "0: it is draining");
    visit("paths", self.paths, "connections attached");
    visit("in_flight", self.in_flight, "operations at the backend, or on the way to it");
  }
  friend constexpr bool operator==(const SessionEntry&, const SessionEntry&) = default;
};

/// How often one reason has been a refusal's.
struct RefusalEntry {
  std::uint64_t count = 0;

  template <typename Self, typename Visitor>
  static constexpr void fields(Self& self, Visitor& visit) {
    visit("count", self.count, "refusals");
  }
  friend constexpr bool operator==(const RefusalEntry&, const RefusalEntry&) = default;
};

struct VolumeStatus {
  static constexpr ControlType kType = ControlType::volume_status;

  StatusCode status = StatusCode::ok;
  VolumeId volume;
  Gvn fence;
  bool locked = false;  ///< the node holds the volume's lock (F2)
  FixedVector<SessionEntry, kMaxVolumeSessions> sessions;
  FixedVector<RefusalEntry, kRefusalCount> refusals;  ///< in the order of Refusal, since the node started

  template <typename Self, typename Visitor>
  static constexpr void fields(Self& self, Visitor& visit) {
    visit("status", self.status, "a status code");
    visit("volume", self.volume, "the request's");
    visit("fence", self.fence, "the highest version that the node has accepted for it");
    visit("locked", self.locked, "1: the node holds the volume's lock");
    visit("sessions", self.sessions, "active or draining");
    visit("refusals", self.refusals, "by reason, in the order of the table of reasons");
  }
  [[nodiscard]] bool is_consistent() const noexcept { return volume != VolumeId(0); }
  friend constexpr bool operator==(const VolumeStatus&, const VolumeStatus&) = default;
};

// --- Node and master -----------------------------------------------------------------------------------

/// Node to master, about once a second, after its hello was taken.
struct Heartbeat {
  static constexpr ControlType kType = ControlType::heartbeat;

  NodeId node;
  BootId boot;
  ByteCount capacity;
  ByteCount free;
  std::uint32_t sessions = 0;

  template <typename Self, typename Visitor>
  static constexpr void fields(Self& self, Visitor& visit) {
    visit("node", self.node, "the node's id");
    visit("boot", self.boot, "the node's boot");
    visit("capacity", self.capacity, "bytes");
    visit("free", self.free, "bytes");
    visit("sessions", self.sessions, "that the node serves");
  }
  [[nodiscard]] bool is_consistent() const noexcept { return node != NodeId(0) && boot != BootId(0); }
  friend constexpr bool operator==(const Heartbeat&, const Heartbeat&) = default;
};

/// Master to node. Anything but ok: say hello again, to the master that is in charge now.
struct HeartbeatAnswer {
  static constexpr ControlType kType = ControlType::heartbeat_answer;

  StatusCode status = StatusCode::ok;
  ManagerVersion manager_version;

  template <typename Self, typename Visitor>
  static constexpr void fields(Self& self, Visitor& visit) {
    visit("status", self.status, "a status code");
    visit("manager_version", self.manager_version, "the master's own");
  }
  [[nodiscard]] bool is_consistent() const noexcept { return true; }
  friend constexpr bool operator==(const HeartbeatAnswer&, const HeartbeatAnswer&) = default;
};

enum class OrderVerb : std::uint8_t {
  create = 1,  ///< make the volume's storage; ok if it is there with this size and block size already
  resize = 2,
  remove = 3,  ///< give its storage back; refused while a session is active; ok if there is none
  copy = 4,    ///< make the volume's storage and fill it from `source`, where it was quiesced at `gvn`
};

/// Master to node. Asked again it is done again, without harm.
struct VolumeOrder {
  static constexpr ControlType kType = ControlType::volume_order;

  OrderVerb verb = OrderVerb::create;
  VolumeId volume;
  ByteCount size;
  std::uint32_t block_size = 0;  ///< bytes
  Gvn gvn;                       ///< copy: the tombstone's version
  ManagerVersion manager_version;
  FixedVector<NodeAddress, kMaxPaths> source;  ///< copy: where the volume's old node listens

  template <typename Self, typename Visitor>
  static constexpr void fields(Self& self, Visitor& visit) {
    visit("verb", self.verb, "1 create, 2 resize, 3 remove, 4 copy");
    visit("volume", self.volume, "which volume");
    visit("size", self.size, "bytes; 0 for remove");
    visit("block_size", self.block_size, "bytes; 0 for remove");
    visit("gvn", self.gvn, "copy: the version at which the old node was quiesced; else 0");
    visit("manager_version", self.manager_version, "the master's own");
    visit("source", self.source, "copy: the old node's addresses; else empty");
  }
  [[nodiscard]] bool is_consistent() const noexcept;
  friend constexpr bool operator==(const VolumeOrder&, const VolumeOrder&) = default;
};

/// Node to master. During a copy also sent now and then with status `moving`, to tell how far it is.
struct VolumeOrderAnswer {
  static constexpr ControlType kType = ControlType::volume_order_answer;

  StatusCode status = StatusCode::ok;
  VolumeId volume;
  ByteCount moved;
  Text reason;

  template <typename Self, typename Visitor>
  static constexpr void fields(Self& self, Visitor& visit) {
    visit("status", self.status, "a status code; moving: the copy goes on");
    visit("volume", self.volume, "the order's");
    visit("moved", self.moved, "copy: bytes so far");
    visit("reason", self.reason, "words for the operator; empty if ok");
  }
  [[nodiscard]] bool is_consistent() const noexcept { return volume != VolumeId(0); }
  friend constexpr bool operator==(const VolumeOrderAnswer&, const VolumeOrderAnswer&) = default;
};

// --- Node and node -------------------------------------------------------------------------------------

/// New node to old node: a piece of a volume that was quiesced at `gvn` or later. The old node WRITEs the
/// data to the target before its answer.
struct CopyRead {
  static constexpr ControlType kType = ControlType::copy_read;

  VolumeId volume;
  Gvn gvn;
  ByteCount offset;
  std::uint32_t length = 0;  ///< bytes, at most kMaxDataLength
  std::uint64_t target_key = 0;
  std::uint64_t target_address = 0;

  template <typename Self, typename Visitor>
  static constexpr void fields(Self& self, Visitor& visit) {
    visit("volume", self.volume, "which volume");
    visit("gvn", self.gvn, "the version at which it was quiesced");
    visit("offset", self.offset, "bytes");
    visit("length", self.length, "bytes");
    visit("target_key", self.target_key, "where the data goes: the region's remote key");
    visit("target_address", self.target_address, "and the address in that region");
  }
  [[nodiscard]] bool is_consistent() const noexcept {
    return volume != VolumeId(0) && gvn != Gvn(0) && length > 0 && length <= kMaxDataLength;
  }
  friend constexpr bool operator==(const CopyRead&, const CopyRead&) = default;
};

struct CopyReadAnswer {
  static constexpr ControlType kType = ControlType::copy_read_answer;

  StatusCode status = StatusCode::ok;
  VolumeId volume;
  ByteCount offset;
  bool zeroes = false;         ///< all zero: nothing was written to the target
  std::uint32_t data_crc = 0;  ///< CRC32C of the data
  /// P4: writes that were acknowledged here without a flush may be lost, and nobody was told yet: the first
  /// flush at the new place fails.
  bool flush_owed = false;

  template <typename Self, typename Visitor>
  static constexpr void fields(Self& self, Visitor& visit) {
    visit("status", self.status, "a status code");
    visit("volume", self.volume, "the request's");
    visit("offset", self.offset, "the request's");
    visit("zeroes", self.zeroes, "1: all zero, nothing was written to the target");
    visit("data_crc", self.data_crc, "CRC32C of the data; 0 for zeroes");
    visit("flush_owed", self.flush_owed,
          "1: acknowledged writes may be lost, and the next flush has to tell");
  }
  [[nodiscard]] bool is_consistent() const noexcept { return volume != VolumeId(0); }
  friend constexpr bool operator==(const CopyReadAnswer&, const CopyReadAnswer&) = default;
};

[[nodiscard]] constexpr bool is_valid(VolumeVerb verb) noexcept {
  return verb >= VolumeVerb::create && verb <= VolumeVerb::cancel_move;
}
[[nodiscard]] constexpr bool is_valid(NodeVerb verb) noexcept {
  return verb >= NodeVerb::drain && verb <= NodeVerb::accept;
}
[[nodiscard]] constexpr bool is_valid(OrderVerb verb) noexcept {
  return verb >= OrderVerb::create && verb <= OrderVerb::copy;
}
[[nodiscard]] std::string_view to_string(VolumeVerb verb) noexcept;
[[nodiscard]] std::string_view to_string(NodeVerb verb) noexcept;
[[nodiscard]] std::string_view to_string(OrderVerb verb) noexcept;

}  // namespace sluice::protocol
