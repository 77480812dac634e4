#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "protocol/open_store.h"

/// What a master keeps, volumes, nodes and unfinished work, and how: an embedded database, a shared file, or
/// an elected, replicated store.
namespace sluice::master {

/// A node, as it was last known.
struct NodeRecord {
  protocol::NodeId id;
  bool draining = false;  ///< nothing new is placed there
  ByteCount capacity;
  ByteCount free;
  std::uint16_t reactors = 1;
  protocol::FixedVector<protocol::NodeAddress, protocol::kMaxPaths> addresses;

  friend constexpr bool operator==(const NodeRecord&, const NodeRecord&) = default;
};

/// A place where a volume's storage may differ from what the volume's record asks for. It is put down before
/// or with the change of the record, and taken off when the node has confirmed: what is to be ordered of the
/// node follows from the two alone, whichever master looks (see orders.h).
struct UnsettledPlace {
  VolumeId volume;
  protocol::NodeId node;
  Gvn last_gvn;  ///< of a volume that was removed: its highest version; 0: it was never opened

  friend constexpr bool operator==(const UnsettledPlace&, const UnsettledPlace&) = default;
};

/// One transaction: see protocol::OpenTransaction.
class MetadataTransaction : public protocol::OpenTransaction {
 public:
  using protocol::OpenTransaction::find_volume;

  /// In the order of their ids, from the first above `after`.
  [[nodiscard]] virtual std::vector<protocol::VolumeRecord> volumes_after(VolumeId after,
                                                                          std::size_t limit) = 0;
  [[nodiscard]] virtual std::uint64_t volume_count() = 0;
  /// Those that live there or are being moved there.
  [[nodiscard]] virtual std::uint64_t count_volumes_at(protocol::NodeId node) = 0;
  /// Its id stays given.
  virtual void remove_volume(VolumeId id) = 0;

  /// In the order of volumes and nodes.
  [[nodiscard]] virtual std::vector<UnsettledPlace> unsettled_places() = 0;
  [[nodiscard]] virtual std::vector<UnsettledPlace> unsettled_places(VolumeId volume) = 0;
  virtual void put_unsettled(const UnsettledPlace& place) = 0;
  virtual void settle(VolumeId volume, protocol::NodeId node) = 0;

  [[nodiscard]] virtual std::optional<NodeRecord> find_node(protocol::NodeId id) = 0;
  /// In the order of their ids.
  [[nodiscard]] virtual std::vector<NodeRecord> nodes() = 0;
  virtual void put_node(const NodeRecord& record) = 0;
  virtual void remove_node(protocol::NodeId id) = 0;
};

/// P1 for everything that a master keeps: one call of update() is one transaction, conditional on the manager
/// version, with the outcomes of protocol::OpenStore::transact(). Nothing here speaks of a query language or
/// a file, so that a replicated store can stand behind it.
class MetadataStore : public protocol::OpenStore {
 public:
  using UpdateBody = std::function<Status(MetadataTransaction&)>;

  [[nodiscard]] virtual Status update(ManagerVersion mine, const UpdateBody& body) = 0;

  [[nodiscard]] Status transact(ManagerVersion mine, const Body& body) final {
    return update(mine, [&body](MetadataTransaction& transaction) { return body(transaction); });
  }
};

}  // namespace sluice::master
