#pragma once

#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "protocol/base/status.h"
#include "protocol/control_messages.h"
#include "protocol/open_store.h"

namespace sluice::protocol {

/// Send this to the node that a volume is about to leave, and give its answer to on_quiesced().
struct QuiesceOrder {
  NodeId node;
  QuiesceRequest request;
};

/// The master's side: who may open a volume, under which version, and where it lives.
///
/// Each event is one request, and returns its answer; by then what the answer rests on is durable:
/// - P1: nothing is answered before this master's own manager version is committed, and every commit and
///   every verification is a transaction conditional on it, so that a deposed master can do neither. Once it
///   finds itself deposed, it answers `not_master` until it takes over again.
/// - P2: open version, holder and node are committed before an open is answered.
/// - C4: a reopen works only while this opening is still the holder.
///
/// All of it is asked again without harm: the same opening asking again gets the same version, as long as a
/// session of that version can still be had. Not thread-safe.
class OpenService {
 public:
  /// `store` outlives the service.
  explicit OpenService(OpenStore& store) : store_(store) {}

  /// P1: commits the next manager version; before that every request is refused. Fails with `exhausted` at
  /// the last version, `not_master` if another one was quicker, or as the store does; then this master isn't
  /// in charge, and may try again. Nodes have to say hello again.
  [[nodiscard]] Status take_over();

  /// 0: not in charge.
  [[nodiscard]] ManagerVersion manager_version() const noexcept { return mine_; }

  /// For what else the master keeps in the same store: runs `step`, which is a transaction conditional on the
  /// manager version that it is given. Fails with `not_master` if this master isn't in charge, or finds that
  /// out by it; an unknown outcome is told as `unavailable`, since the asker can only ask again.
  using Step = std::function<Status(ManagerVersion mine)>;
  [[nodiscard]] Status while_in_charge(const Step& step);

  // --- From clients ----------------------------------------------------------------------------------

  /// Open, reopen and locate. Statuses besides ok:
  /// - busy: held by another opening, and `steal` wasn't asked for;
  /// - stale_version: a reopen by an opening that is no longer the holder (C4);
  /// - moving, unavailable: later, perhaps: the volume is being moved, its node hasn't said hello to this
  ///   master or is gone, or the store failed;
  /// - rolled_back: an operator has to decide about the volume's node;
  /// - limit_reached: as many readers as there may be;
  /// - not_found, exhausted, not_master, invalid_request.
  [[nodiscard]] OpenAnswer on_open(const OpenRequest& request);

  /// Gives the volume up. ok also if this opening no longer holds it.
  [[nodiscard]] CloseAnswer on_close(const CloseRequest& request);

  // --- From nodes ------------------------------------------------------------------------------------

  /// Whether this is the volume's session, on this very node and boot.
  [[nodiscard]] VerifyAnswer on_verify(const VerifyRequest& request);

  /// One part of a hello; nothing until the last part has come. `rolled_back`: the node isn't used until an
  /// operator has decided.
  [[nodiscard]] std::optional<HelloAnswer> on_hello(const Hello& hello);

  /// The node's connection broke: the one of its last hello, not one that it has replaced.
  void on_node_lost(NodeId node);

  /// The node's answer to a QuiesceOrder, once the volume's data is at its new place. ok: the volume lives
  /// there. Any other status: it is still moving, and the order is to be given again.
  [[nodiscard]] Status on_quiesced(NodeId node, const QuiesceAnswer& answer);

  // --- From operators --------------------------------------------------------------------------------

  /// Commits that the volume is moving; from then on it can't be opened until the move is over. Asked again
  /// with the same target it gives the order again. Nothing to be ordered: the volume was never opened, so
  /// that there is no session to end; on_quiesced() with fence 0 ends the move.
  [[nodiscard]] Result<std::optional<QuiesceOrder>> start_move(VolumeId volume, NodeId target);
  /// The orders of all unfinished moves: after a takeover, and when a node has come back.
  [[nodiscard]] Result<std::vector<QuiesceOrder>> unfinished_moves();
  /// Leaves the volume where it is. Its holder gets a new version.
  [[nodiscard]] Status cancel_move(VolumeId volume);

  /// The operator's decision to go on with a rolled-back node and whatever its disk holds. The node has to
  /// say hello again.
  [[nodiscard]] Status accept_rolled_back(NodeId node);

 private:
  /// A node as it said hello to this master.
  struct Node {
    BootId boot;
    bool up = false;
    FixedVector<NodeAddress, kMaxPaths> addresses;
    std::uint16_t reactors = 1;
  };
  /// A hello of which parts are still to come.
  struct PartialHello {
    BootId boot;
    std::uint32_t next_part = 0;
    ManagerVersion manager_version;
    std::vector<FenceReport> fences;
  };

  [[nodiscard]] Status transact(const OpenStore::Body& body);
  [[nodiscard]] Status raise_manager_version(ManagerVersion highest_seen);

  [[nodiscard]] Status open_above_previous(const OpenRequest& request, OpenAnswer& answer);
  [[nodiscard]] Status open_volume(OpenTransaction& transaction, const OpenRequest& request,
                                   OpenAnswer& answer, ManagerVersion& behind) const;
  [[nodiscard]] Status check_place(OpenTransaction& transaction, const VolumeRecord& volume) const;
  [[nodiscard]] bool still_stands(const Holder& holder, const VolumeRecord& volume,
                                  const OpenRequest& request) const;
  [[nodiscard]] Status grant(const OpenRequest& request, VolumeRecord& volume, Gvn& gvn) const;
  void describe(const VolumeRecord& volume, OpenAnswer& answer) const;
  [[nodiscard]] const Node* find_node(NodeId node) const;

  [[nodiscard]] Status verify_session(OpenTransaction& transaction, const VerifyRequest& request,
                                      VerifyAnswer& answer) const;
  [[nodiscard]] StatusCode take_in(const Hello& last, const PartialHello& whole);

  OpenStore& store_;
  ManagerVersion mine_;
  std::map<NodeId, Node> nodes_;
  std::map<NodeId, PartialHello> partial_hellos_;
  std::map<NodeId, ManagerVersion> told_;  ///< the last version that the node learned from this very master
};

}  // namespace sluice::protocol
