#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "master/ledger.h"
#include "protocol/base/clock.h"
#include "protocol/control_messages.h"

namespace sluice::master {

/// The nodes: who is up, what they have room for, and where something new is placed. Whether a node may serve
/// a volume is OpenService's matter. One thread.
class NodeRegistry {
 public:
  /// Nodes that the master knows at most: a bound on what strangers can make it remember.
  static constexpr std::size_t kMaxNodes = 1024;

  /// `ledger` outlives the registry.
  explicit NodeRegistry(Ledger& ledger) : ledger_(ledger) {}

  /// Whether a node of this id may say hello: it is known, or there is room for one more.
  [[nodiscard]] Status admit(protocol::NodeId node);

  /// After OpenService took the hello: ok or rolled_back (`usable` is false).
  [[nodiscard]] Status on_hello(const protocol::Hello& hello, bool usable, Instant now);
  /// ok; no_session: it has to say hello first.
  [[nodiscard]] StatusCode on_heartbeat(const protocol::Heartbeat& heartbeat, Instant now);
  void on_lost(protocol::NodeId node);
  /// Nodes that are up and haven't been heard of since then.
  [[nodiscard]] std::vector<protocol::NodeId> silent_since(Instant when) const;
  /// Nobody is up any more.
  void clear() noexcept { live_.clear(); }

  [[nodiscard]] bool is_up(protocol::NodeId node) const;
  [[nodiscard]] bool is_up(protocol::NodeId node, protocol::BootId boot) const;
  /// As the node last said; empty if it never did.
  [[nodiscard]] protocol::FixedVector<protocol::NodeAddress, protocol::kMaxPaths> addresses_of(
      protocol::NodeId node, VolumeId volume) const;

  /// Where to put a volume: `wanted` if it may be put there, else (0) the node that is up, isn't draining and
  /// has most free space; of those with about as much, that with fewest volumes. Never `except`. Within the
  /// caller's transaction.
  [[nodiscard]] Result<protocol::NodeId> place(MetadataTransaction& transaction, protocol::NodeId wanted,
                                               protocol::NodeId except) const;

  [[nodiscard]] Status set_draining(protocol::NodeId node, bool draining);
  /// It must be down and hold no volume.
  [[nodiscard]] Status remove(protocol::NodeId node);

  [[nodiscard]] protocol::NodeList list(const protocol::ListNodes& request);

 private:
  /// A node as it said hello to this master.
  struct Live {
    protocol::BootId boot;
    bool usable = false;  ///< else it was rolled back
    bool has_room_figures = false;
    ByteCount capacity;
    ByteCount free;
    std::uint32_t sessions = 0;
    std::uint16_t reactors = 1;
    protocol::FixedVector<protocol::NodeAddress, protocol::kMaxPaths> addresses;
    Instant last_heard;
  };

  [[nodiscard]] const Live* find_usable(protocol::NodeId node) const;
  [[nodiscard]] Status check_place(MetadataTransaction& transaction, protocol::NodeId node) const;
  void keep_figures(protocol::NodeId node, const Live& live);
  [[nodiscard]] protocol::NodeEntry entry_of(MetadataTransaction& transaction,
                                             const NodeRecord& record) const;

  Ledger& ledger_;
  std::map<protocol::NodeId, Live> live_;
};

}  // namespace sluice::master
