#include "protocol/open_service.h"

#include <algorithm>

#include "protocol/base/check.h"
#include "protocol/global_version.h"
#include "protocol/node_address.h"

namespace sluice::protocol {
namespace {

Holder* find_holder(VolumeRecord& volume, const ClientId& client, Nonce nonce) {
  auto* const found = std::find_if(volume.holders.begin(), volume.holders.end(), [&](const Holder& holder) {
    return holder.client == client && holder.nonce == nonce;
  });
  return found == volume.holders.end() ? nullptr : found;
}

void remove_holder(VolumeRecord& volume, const ClientId& client, Nonce nonce) {
  const auto holders = volume.holders;
  volume.holders.clear();
  for (const Holder& holder : holders) {
    if (holder.client != client || holder.nonce != nonce) volume.holders.push_back(holder);
  }
}

std::optional<VolumeRecord> find_volume(OpenTransaction& transaction, const OpenRequest& request) {
  if (request.volume != VolumeId(0)) return transaction.find_volume(request.volume);
  return transaction.find_volume(request.name);
}

}  // namespace

// --- The manager version -----------------------------------------------------------------------------

// P1: committed before anything is answered.
Status OpenService::take_over() {
  mine_ = ManagerVersion(0);
  nodes_.clear();
  partial_hellos_.clear();
  told_.clear();
  const Result<ManagerVersion> stored = store_.manager_version();
  if (!stored) return tl::unexpected(stored.error());
  const Result<ManagerVersion> next = next_manager_version(*stored);
  if (!next) return tl::unexpected(next.error());
  // If the outcome is unknown, `next` is nobody's: the one stored then may be another master's.
  Status committed = store_.transact(*stored, [&](OpenTransaction& transaction) -> Status {
    transaction.put_manager_version(*next);
    return {};
  });
  if (committed) mine_ = *next;
  return committed;
}

Status OpenService::transact(const OpenStore::Body& body) {
  return while_in_charge([&](ManagerVersion mine) { return store_.transact(mine, body); });
}

// P1: the only way to the store once in charge; whoever else has committed a manager version ends that.
Status OpenService::while_in_charge(const Step& step) {
  if (mine_ == ManagerVersion(0)) return fail(StatusCode::not_master, "this master isn't in charge");
  Status status = step(mine_);
  if (!status && status.error().code == StatusCode::not_master) {
    mine_ = ManagerVersion(0);
    nodes_.clear();
    partial_hellos_.clear();
  }
  // The asker can only ask again, which finds out.
  if (!status && status.error().code == StatusCode::outcome_unknown) {
    return fail(StatusCode::unavailable, status.error().message);
  }
  return status;
}

/// P1, for a master that finds itself behind: restored from an old copy, it must not give a version again.
Status OpenService::raise_manager_version(ManagerVersion highest_seen) {
  const Result<ManagerVersion> next = next_manager_version(std::max(highest_seen, mine_));
  if (!next) return tl::unexpected(next.error());
  Status committed = transact([&](OpenTransaction& transaction) -> Status {
    transaction.put_manager_version(*next);
    return {};
  });
  if (committed) mine_ = *next;
  return committed;
}

// --- Open, reopen, locate ----------------------------------------------------------------------------

OpenAnswer OpenService::on_open(const OpenRequest& request) {
  OpenAnswer answer;
  answer.kind = request.kind;
  answer.mode = request.mode;
  Status status = fail(StatusCode::invalid_request, "the fields of the open request contradict each other");
  if (request.is_consistent()) status = open_above_previous(request, answer);
  if (!status) {
    answer.status = status.error().code;
    answer.gvn = Gvn(0);
  }
  answer.manager_version = mine_;
  return answer;
}

/// A version that this master's records don't know, though they should, shows that they are an old copy, as a
/// node's hello does.
Status OpenService::open_above_previous(const OpenRequest& request, OpenAnswer& answer) {
  ManagerVersion behind;
  const auto body = [&](OpenTransaction& transaction) {
    return open_volume(transaction, request, answer, behind);
  };
  Status status = transact(body);
  if (status || behind == ManagerVersion(0)) return status;
  status = raise_manager_version(behind);
  return status ? transact(body) : status;
}

/// `behind`: set, and the open refused, if this master has to go above that manager version first.
Status OpenService::open_volume(OpenTransaction& transaction, const OpenRequest& request, OpenAnswer& answer,
                                ManagerVersion& behind) const {
  std::optional<VolumeRecord> volume = find_volume(transaction, request);
  if (!volume) return fail(StatusCode::not_found, "no such volume");
  describe(*volume, answer);
  if (request.kind == OpenKind::locate) return {};
  if (!volume->has_storage) return fail(StatusCode::unavailable, "the volume's storage is still being made");

  Holder* const self = find_holder(*volume, request.client, request.nonce);
  if (request.kind == OpenKind::reopen && self == nullptr) {
    return fail(StatusCode::stale_version, "C4: this opening is no longer the holder");
  }
  Status place = check_place(transaction, *volume);
  if (!place) return place;
  // Asked again, because the answer was lost or only the connections were.
  if (self != nullptr && still_stands(*self, *volume, request)) {
    answer.gvn = self->gvn;
    answer.mode = volume->mode;
    return {};
  }
  // Held by others: readers make way for a writer, everyone else only for one who steals.
  const bool in_the_way = self == nullptr && !volume->holders.empty() &&
                          (volume->mode == AccessMode::read_write) && !request.steal;
  if (in_the_way) return fail(StatusCode::busy, "the volume is held by another opening");

  // A node accepted a version above all that were given here, or this holder was given one. A holder's word
  // counts for this manager version alone: what it claims of a higher one has to wait for a node's hello.
  const Gvn last_given = make_gvn(mine_, volume->open_version);
  const bool node_saw_more = volume->current_gvn > last_given;
  const bool holder_saw_more =
      self != nullptr && request.previous_gvn >= last_given && request.previous_gvn > volume->current_gvn;
  if (node_saw_more || holder_saw_more) {
    const Gvn seen = node_saw_more ? volume->current_gvn : request.previous_gvn;
    if (node_saw_more || sluice::manager_version(seen) == mine_) behind = sluice::manager_version(seen);
    return fail(StatusCode::unavailable, "this master is behind the versions already given");
  }
  Status granted = grant(request, *volume, answer.gvn);
  if (granted) transaction.put_volume(*volume);  // P2
  return granted;
}

/// Whether the volume's node can take a session now.
Status OpenService::check_place(OpenTransaction& transaction, const VolumeRecord& volume) const {
  if (volume.moving_to != NodeId(0)) return fail(StatusCode::moving, "the volume is being moved");
  if (transaction.is_rolled_back(volume.node)) {
    return fail(StatusCode::rolled_back, "the volume's node was rolled back; an operator has to decide");
  }
  // Only a node that has told this master what it has seen can show that the master is behind.
  const Node* node = find_node(volume.node);
  if (node == nullptr || !node->up) return fail(StatusCode::unavailable, "the volume's node isn't connected");
  return {};
}

/// Whether the version that this opening has is one that it can go on with: given for the place where the
/// volume is, and either not yet known to the asker, or that of a session which, as far as the asker can
/// tell, is still there.
bool OpenService::still_stands(const Holder& holder, const VolumeRecord& volume,
                               const OpenRequest& request) const {
  const Node* node = find_node(volume.node);
  check(node != nullptr, "a volume's place is checked before its holder");
  if (holder.node != volume.node || holder.boot != node->boot) return false;
  if (request.previous_gvn < holder.gvn) return true;
  return request.previous_gvn == holder.gvn && request.node == volume.node && request.boot == node->boot;
}

/// P2: the next open version, with its holder and node. Exhausted at the maximum, for ever.
Status OpenService::grant(const OpenRequest& request, VolumeRecord& volume, Gvn& gvn) const {
  const Result<OpenVersion> next = next_open_version(volume.open_version);
  if (!next) return tl::unexpected(next.error());
  const Gvn given = make_gvn(mine_, *next);
  check(given > volume.current_gvn, "GVNs of a volume strictly rise");
  const bool joins_readers = request.mode == AccessMode::read_only && volume.mode == AccessMode::read_only &&
                             !volume.holders.empty() && !request.steal;
  if (joins_readers) {
    remove_holder(volume, request.client, request.nonce);
    if (volume.holders.full()) return fail(StatusCode::limit_reached, "the volume has no room for a reader");
  } else {
    volume.holders.clear();  // they are fenced when the node accepts this version
    volume.era = given;
  }
  volume.mode = request.mode;
  volume.open_version = *next;
  volume.current_gvn = given;
  volume.holders.push_back({request.client, request.nonce, given, volume.node, find_node(volume.node)->boot});
  gvn = given;
  return {};
}

void OpenService::describe(const VolumeRecord& volume, OpenAnswer& answer) const {
  answer.policy = volume.policy;
  answer.volume = volume.id;
  answer.size = volume.size;
  answer.block_size = volume.block_size;
  answer.node = volume.node;
  if (const Node* node = find_node(volume.node)) {
    answer.boot = node->boot;
    answer.node_up = node->up;
    for (const NodeAddress& address : node->addresses)
      answer.addresses.push_back(address_for(address, volume.id, node->reactors));
  }
  if (!volume.holders.empty()) {
    answer.holder = volume.holders[0].client;
    answer.holder_mode = volume.mode;
    answer.holder_gvn = volume.holders[0].gvn;
  }
}

const OpenService::Node* OpenService::find_node(NodeId node) const {
  const auto found = nodes_.find(node);
  return found == nodes_.end() ? nullptr : &found->second;
}

CloseAnswer OpenService::on_close(const CloseRequest& request) {
  const Status status = transact([&](OpenTransaction& transaction) -> Status {
    std::optional<VolumeRecord> volume = transaction.find_volume(request.volume);
    if (!volume) return fail(StatusCode::not_found, "no such volume");
    if (find_holder(*volume, request.client, request.nonce) != nullptr) {
      remove_holder(*volume, request.client, request.nonce);
      transaction.put_volume(*volume);
    }
    return {};
  });
  return {status ? StatusCode::ok : status.error().code, request.volume, request.gvn};
}

// --- Verification ------------------------------------------------------------------------------------

// P1: a transaction like any other, so that a deposed master verifies nothing.
VerifyAnswer OpenService::on_verify(const VerifyRequest& request) {
  VerifyAnswer answer;
  const Status status =
      transact([&](OpenTransaction& transaction) { return verify_session(transaction, request, answer); });
  if (!status) {
    // What was found out before the store failed to commit is no answer.
    const Gvn current_gvn = answer.current_gvn;
    answer = {};
    answer.status = status.error().code;
    answer.current_gvn = current_gvn;
  }
  answer.volume = request.volume;
  answer.gvn = request.gvn;
  answer.manager_version = mine_;
  told_[request.node] = mine_;
  return answer;
}

Status OpenService::verify_session(OpenTransaction& transaction, const VerifyRequest& request,
                                   VerifyAnswer& answer) const {
  std::optional<VolumeRecord> volume = transaction.find_volume(request.volume);
  if (!volume) return fail(StatusCode::not_found, "no such volume");
  answer.current_gvn = volume->current_gvn;
  Status place = check_place(transaction, *volume);
  if (!place) return place;
  // Client and nonce too: a master restored from an old copy may have given one version twice.
  const Holder* holder = find_holder(*volume, request.client, request.nonce);
  const bool is_session = holder != nullptr && holder->gvn == request.gvn && holder->node == request.node &&
                          holder->boot == request.boot && volume->node == request.node;
  if (!is_session) return fail(StatusCode::stale_version, "not the volume's session, or not at its place");
  answer.mode = volume->mode;
  answer.policy = volume->policy;
  answer.era = volume->era;
  answer.size = volume->size;
  answer.block_size = volume->block_size;
  return {};
}

}  // namespace sluice::protocol
