#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "protocol/base/status.h"
#include "protocol/base/units.h"
#include "protocol/control_messages.h"
#include "protocol/fixed_vector.h"
#include "protocol/identifiers.h"
#include "protocol/limits.h"

/// What a master keeps, and how: an embedded database, a shared file or an elected store.
namespace sluice::protocol {

/// Who has a volume open, and where that session is to live: a GVN names one opening on one boot of one node.
struct Holder {
  ClientId client;
  Nonce nonce;
  Gvn gvn;
  NodeId node;
  BootId boot;  ///< 0: of no boot, so that the next reopen gets a new version

  friend constexpr bool operator==(const Holder&, const Holder&) = default;
};

struct VolumeRecord {
  VolumeId id;
  VolumeName name;
  ByteCount size;
  std::uint32_t block_size = kMaxBlockSize;  ///< bytes
  WritePolicy policy = WritePolicy::write_through;

  NodeId node;       ///< where it lives
  NodeId moving_to;  ///< where it is being moved; 0: nowhere

  bool has_storage = true;  ///< false: its node hasn't made its storage yet, and nobody may open it
  ByteCount resizing_to;    ///< its node's storage is being resized; 0: it isn't

  OpenVersion open_version;  ///< the last that was given
  Gvn current_gvn;           ///< the highest that was given, or that a node was found to have
  AccessMode mode = AccessMode::read_write;
  Gvn era;  ///< of the holders: a writer's own GVN, or that of the first of the readers
  FixedVector<Holder, kMaxVolumeSessions> holders;  ///< one writer, or readers

  friend constexpr bool operator==(const VolumeRecord&, const VolumeRecord&) = default;
};

/// One transaction: what it reads is one state, what it puts becomes visible and durable together or not at
/// all.
class OpenTransaction {
 public:
  OpenTransaction() = default;
  OpenTransaction(const OpenTransaction&) = delete;
  OpenTransaction& operator=(const OpenTransaction&) = delete;
  virtual ~OpenTransaction() = default;

  [[nodiscard]] virtual std::optional<VolumeRecord> find_volume(VolumeId id) = 0;
  [[nodiscard]] virtual std::optional<VolumeRecord> find_volume(const VolumeName& name) = 0;
  [[nodiscard]] virtual std::vector<VolumeRecord> moving_volumes() = 0;
  virtual void put_volume(const VolumeRecord& record) = 0;

  /// Volume ids up to this one were given; a volume of such an id that isn't there was removed.
  [[nodiscard]] virtual VolumeId highest_volume_id() = 0;
  virtual void put_highest_volume_id(VolumeId id) = 0;

  /// The highest fence of each volume that the node ever reported.
  [[nodiscard]] virtual std::vector<FenceReport> reported_fences(NodeId node) = 0;
  virtual void put_reported_fence(NodeId node, const FenceReport& report) = 0;
  virtual void forget_reported_fences(NodeId node) = 0;

  /// Whether the node was found rolled back, and no operator has decided yet.
  [[nodiscard]] virtual bool is_rolled_back(NodeId node) = 0;
  virtual void put_rolled_back(NodeId node, bool rolled_back) = 0;

  virtual void put_manager_version(ManagerVersion version) = 0;
};

/// P1: every commit and every verification is one call of transact(), conditional on the manager version.
class OpenStore {
 public:
  using Body = std::function<Status(OpenTransaction&)>;

  OpenStore() = default;
  OpenStore(const OpenStore&) = delete;
  OpenStore& operator=(const OpenStore&) = delete;
  virtual ~OpenStore() = default;

  /// The one that the last master committed; 0 in a new store.
  [[nodiscard]] virtual Result<ManagerVersion> manager_version() = 0;

  /// Runs `body` in one transaction, if the stored manager version is `mine` when it takes effect; a
  /// transaction that only reads is no exception. Every master that could ever take over sees the effect.
  /// - ok: committed, and durable.
  /// - not_master: the manager version is another one. Nothing was changed.
  /// - outcome_unknown: the store failed while it committed. It may or may not have taken effect.
  /// - any other error, the body's own included: nothing was changed.
  [[nodiscard]] virtual Status transact(ManagerVersion mine, const Body& body) = 0;
};

}  // namespace sluice::protocol
