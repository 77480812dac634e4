// The part of OpenService that deals with nodes: hello, rollback, moves.

#include <algorithm>

#include "protocol/global_version.h"
#include "protocol/open_service.h"

namespace sluice::protocol {

// --- Hello -------------------------------------------------------------------------------------------

std::optional<HelloAnswer> OpenService::on_hello(const Hello& hello) {
  PartialHello& partial = partial_hellos_[hello.node];
  if (hello.part == 0)
    partial = PartialHello{.boot = hello.boot, .next_part = 0, .manager_version = {}, .fences = {}};
  if (hello.part != partial.next_part || hello.boot != partial.boot) {
    partial_hellos_.erase(hello.node);
    return HelloAnswer{StatusCode::invalid_request, mine_};
  }
  ++partial.next_part;
  partial.manager_version = std::max(partial.manager_version, hello.manager_version);
  partial.fences.insert(partial.fences.end(), hello.fences.begin(), hello.fences.end());
  if (!hello.last_part) return std::nullopt;

  const PartialHello whole = std::move(partial);
  partial_hellos_.erase(hello.node);
  nodes_.erase(hello.node);
  const StatusCode status = take_in(hello, whole);
  if (status == StatusCode::ok) nodes_[hello.node] = {hello.boot, true, hello.addresses, hello.reactors};
  told_[hello.node] = mine_;
  return HelloAnswer{status, mine_};
}

/// Learns from the node what this master may have forgotten, and finds out what the node has forgotten.
StatusCode OpenService::take_in(const Hello& last, const PartialHello& whole) {
  ManagerVersion highest = whole.manager_version;
  for (const FenceReport& report : whole.fences)
    highest = std::max(highest, sluice::manager_version(report.fence));

  // A node that has met this very version, but not from this master, has met another master that gave itself
  // the same: one of the two is restored from an old copy, and what the other says may still be on its way.
  const auto told = told_.find(last.node);
  const bool met_another = highest == mine_ && (told == told_.end() || told->second != mine_);
  bool behind = highest > mine_ || met_another;
  // Where there is no version above it, a report isn't taken in: it would leave its volumes without a next
  // one.
  if (behind) {
    const Result<ManagerVersion> above = next_manager_version(highest);
    if (!above) return above.error().code;
  }
  bool rolled_back = false;
  const Status status = transact([&](OpenTransaction& transaction) -> Status {
    const auto reported = [&](VolumeId volume) {
      const auto found = std::find_if(whole.fences.begin(), whole.fences.end(),
                                      [&](const FenceReport& report) { return report.volume == volume; });
      return found == whole.fences.end() ? Gvn(0) : found->fence;
    };
    // The node's fence is never lowered: where it is lower than it once was, its disk is an old copy.
    for (const FenceReport& once : transaction.reported_fences(last.node))
      rolled_back = rolled_back || reported(once.volume) < once.fence;
    rolled_back = rolled_back || transaction.is_rolled_back(last.node);
    if (rolled_back) {
      transaction.put_rolled_back(last.node, true);
    }
    for (const FenceReport& report : whole.fences) {
      if (!rolled_back) transaction.put_reported_fence(last.node, report);
      std::optional<VolumeRecord> volume = transaction.find_volume(report.volume);
      if (volume && report.fence <= volume->current_gvn) continue;
      // A tombstone of a volume that was removed since: its id is never given again.
      if (!volume && report.volume <= transaction.highest_volume_id()) continue;
      // The node has accepted a version that this master's records don't know: they are an old copy. Who
      // holds the volume isn't known, only that it is none of those recorded (C4).
      behind = behind || sluice::manager_version(report.fence) >= mine_;
      if (!volume) {
        transaction.put_highest_volume_id(report.volume);
        continue;
      }
      volume->current_gvn = report.fence;
      volume->holders.clear();
      transaction.put_volume(*volume);
    }
    return {};
  });
  if (!status) return status.error().code;
  // P1: above all that was ever seen, before an open of those volumes is answered: the node counts as absent
  // until then.
  if (behind) {
    const Status raised = raise_manager_version(highest);
    if (!raised) return raised.error().code;
  }
  return rolled_back ? StatusCode::rolled_back : StatusCode::ok;
}

void OpenService::on_node_lost(NodeId node) {
  partial_hellos_.erase(node);
  const auto found = nodes_.find(node);
  if (found != nodes_.end()) found->second.up = false;
}

Status OpenService::accept_rolled_back(NodeId node) {
  const Status accepted = transact([&](OpenTransaction& transaction) -> Status {
    if (!transaction.is_rolled_back(node)) {
      return fail(StatusCode::not_found, "node " + std::to_string(node.value()) + " isn't rolled back");
    }
    transaction.put_rolled_back(node, false);
    transaction.forget_reported_fences(node);
    return {};
  });
  if (accepted) nodes_.erase(node);
  return accepted;
}

// --- Moves: moving -> quiesce, drain, tombstone -> the new place ------------------------------------

Result<std::optional<QuiesceOrder>> OpenService::start_move(VolumeId id, NodeId target) {
  std::optional<QuiesceOrder> order;
  const Status status = transact([&](OpenTransaction& transaction) -> Status {
    std::optional<VolumeRecord> volume = transaction.find_volume(id);
    if (!volume) return fail(StatusCode::not_found, "no such volume");
    if (target == NodeId(0) || target == volume->node) {
      return fail(StatusCode::invalid_argument, "the volume is there already");
    }
    if (volume->moving_to != NodeId(0) && volume->moving_to != target) {
      return fail(StatusCode::moving, "the volume is already being moved, to another node");
    }
    volume->moving_to = target;
    if (volume->current_gvn != Gvn(0)) order = QuiesceOrder{volume->node, {id, volume->current_gvn, mine_}};
    transaction.put_volume(*volume);
    return {};
  });
  if (!status) return tl::unexpected(status.error());
  return order;
}

Result<std::vector<QuiesceOrder>> OpenService::unfinished_moves() {
  std::vector<QuiesceOrder> orders;
  const Status status = transact([&](OpenTransaction& transaction) -> Status {
    for (const VolumeRecord& volume : transaction.moving_volumes()) {
      if (volume.current_gvn != Gvn(0))
        orders.push_back({volume.node, {volume.id, volume.current_gvn, mine_}});
    }
    return {};
  });
  if (!status) return tl::unexpected(status.error());
  return orders;
}

Status OpenService::on_quiesced(NodeId node, const QuiesceAnswer& answer) {
  return transact([&](OpenTransaction& transaction) -> Status {
    std::optional<VolumeRecord> volume = transaction.find_volume(answer.volume);
    if (!volume) return fail(StatusCode::not_found, "no such volume");
    const bool is_moving = volume->moving_to != NodeId(0) && volume->node == node;
    if (!is_moving) return fail(StatusCode::invalid_argument, "no such move; the answer is a late one");
    if (answer.status != StatusCode::ok) return fail(answer.status, "the old node isn't quiesced yet");
    if (answer.fence < volume->current_gvn) {
      return fail(StatusCode::stale_version, "the tombstone is below the volume's version");
    }
    transaction.put_reported_fence(node, {volume->id, answer.fence});
    volume->node = volume->moving_to;
    volume->moving_to = NodeId(0);
    transaction.put_volume(*volume);
    return {};
  });
}

Status OpenService::cancel_move(VolumeId id) {
  return transact([&](OpenTransaction& transaction) -> Status {
    std::optional<VolumeRecord> volume = transaction.find_volume(id);
    if (!volume) return fail(StatusCode::not_found, "no such volume");
    if (volume->moving_to == NodeId(0)) return fail(StatusCode::invalid_argument, "the volume isn't moving");
    volume->moving_to = NodeId(0);
    // The old node may have its tombstone already: no version up to it can come back.
    for (Holder& holder : volume->holders)
      holder.boot = BootId(0);
    transaction.put_volume(*volume);
    return {};
  });
}

}  // namespace sluice::protocol
