#include "master/volume_registry.h"

#include <limits>
#include <utility>

#include "master/node_name.h"
#include "protocol/base/check.h"
#include "runtime/log_line.h"

namespace sluice::master {
namespace {

using protocol::kMaxListEntries;
using protocol::ListVolumes;
using protocol::NodeId;
using protocol::VolumeCommand;
using protocol::VolumeEntry;
using protocol::VolumeList;
using protocol::VolumeName;
using protocol::VolumeRecord;
using protocol::VolumeVerb;
using runtime::LogLine;
using transport::LogLevel;

std::string quoted(const VolumeName& name) {
  return "\"" + std::string(name.view()) + "\"";
}
tl::unexpected<Error> no_such_volume(const VolumeName& name) {
  return fail(StatusCode::not_found,
              "there is no volume " + quoted(name) + "; `sluice volume ls` lists the volumes");
}

tl::unexpected<Error> held(const VolumeRecord& volume) {
  return fail(StatusCode::busy, quoted(volume.name) + " is held by client " +
                                    std::string(volume.holders[0].client.view()) + " (gvn " +
                                    to_string(volume.holders[0].gvn) +
                                    "); close it there, or fence it with `sluice session fence`");
}

/// Of a volume that is to be changed: nothing else is being done to it.
Status check_settled(const VolumeRecord& volume) {
  if (!volume.has_storage) {
    return fail(StatusCode::busy, quoted(volume.name) + " is still being made on " + name_of(volume.node));
  }
  if (volume.resizing_to != ByteCount(0)) {
    return fail(StatusCode::busy, quoted(volume.name) + " is being resized");
  }
  if (volume.moving_to != NodeId(0)) {
    return fail(StatusCode::moving, quoted(volume.name) + " is being moved to " + name_of(volume.moving_to) +
                                        "; wait for it, or cancel the move");
  }
  return {};
}

/// Of the node that has to carry it out.
Status check_node_up(const NodeRegistry& nodes, const VolumeRecord& volume) {
  if (nodes.is_up(volume.node)) return {};
  return fail(StatusCode::unavailable, name_of(volume.node) + ", where " + quoted(volume.name) +
                                           " lives, isn't connected to the master; start it first");
}

bool is_same_shape(const VolumeRecord& volume, const VolumeCommand& command) {
  return volume.size == command.size && volume.block_size == command.block_size &&
         volume.policy == command.policy && (command.node == NodeId(0) || command.node == volume.node);
}

}  // namespace

VolumeRegistry::VolumeRegistry(Ledger& ledger, const NodeRegistry& nodes, Orders& orders,
                               std::uint64_t max_volumes, transport::LogSink log)
    : ledger_(ledger), nodes_(nodes), orders_(orders), max_volumes_(max_volumes), log_(std::move(log)) {}

void VolumeRegistry::on_command(const Asker& asker, const VolumeCommand& command) {
  const Result<Taken> taken = [&]() -> Result<Taken> {
    switch (command.verb) {
      case VolumeVerb::create:
        return create(command);
      case VolumeVerb::resize:
        return resize(command);
      case VolumeVerb::rename:
        return rename(command);
      case VolumeVerb::remove:
        return remove(command);
      case VolumeVerb::migrate:
        return migrate(command);
      case VolumeVerb::cancel_move:
        return cancel_move(command);
    }
    return fail(StatusCode::invalid_request, "no such command");
  }();
  LogLine line(std::string("volume ") + std::string(to_string(command.verb)) + (taken ? "" : " refused"));
  line.with("name", command.name);
  if (!taken) {
    log(LogLevel::info, line.because(taken.error()).text());
    return answer(asker, taken.error().code, VolumeId(0), command.node, taken.error().message);
  }
  log(LogLevel::info, line.with("volume", taken->volume).with("node", taken->node).text());
  if (taken->waits) {
    waiters_.emplace(taken->volume, Waiter{asker, command.verb, taken->node});
  } else {
    answer(asker, StatusCode::ok, taken->volume, taken->node, {});
  }
  sync(taken->volume);
}

// --- Commands ----------------------------------------------------------------------------------------

Result<VolumeRegistry::Taken> VolumeRegistry::create(const VolumeCommand& command) {
  VolumeRecord volume;
  const Status made = ledger_.update([&](MetadataTransaction& transaction) -> Status {
    if (const auto existing = transaction.find_volume(command.name)) {
      // Asked again, because the answer was lost with the connection or with the master.
      const bool again = !existing->has_storage && is_same_shape(*existing, command);
      if (!again) {
        return fail(StatusCode::already_exists,
                    "there is a volume " + quoted(command.name) + " already; choose another name");
      }
      volume = *existing;
      return check_node_up(nodes_, volume);
    }
    if (transaction.volume_count() >= max_volumes_) {
      return fail(StatusCode::limit_reached, "there are " + std::to_string(max_volumes_) +
                                                 " volumes, as many as `max_volumes` allows; raise it or "
                                                 "remove some");
    }
    const Result<NodeId> node = nodes_.place(transaction, command.node, NodeId(0));
    if (!node) return tl::unexpected(node.error());
    const std::uint64_t highest = transaction.highest_volume_id().value();
    if (highest >= std::uint64_t{std::numeric_limits<std::int64_t>::max()}) {
      return fail(StatusCode::exhausted, "there are no volume ids left");
    }
    volume.id = VolumeId(highest + 1);
    volume.name = command.name;
    volume.size = command.size;
    volume.block_size = command.block_size;
    volume.policy = command.policy;
    volume.node = *node;
    volume.has_storage = false;
    transaction.put_highest_volume_id(volume.id);
    transaction.put_volume(volume);
    transaction.put_unsettled({volume.id, volume.node, Gvn(0)});
    return {};
  });
  if (!made) return tl::unexpected(made.error());
  return Taken{volume.id, volume.node, true};
}

Result<VolumeRegistry::Taken> VolumeRegistry::resize(const VolumeCommand& command) {
  Taken taken;
  const Status changed = ledger_.update([&](MetadataTransaction& transaction) -> Status {
    std::optional<VolumeRecord> volume = transaction.find_volume(command.name);
    if (!volume) return no_such_volume(command.name);
    taken = {volume->id, volume->node, false};
    if (Status settled = check_settled(*volume); !settled) return settled;
    if (command.size == volume->size) return {};
    if (command.size.value() % volume->block_size != 0) {
      return fail(StatusCode::invalid_argument, "the size of " + quoted(volume->name) +
                                                    " has to be a multiple of its block size, " +
                                                    std::to_string(volume->block_size) + " bytes");
    }
    const bool shrinks = command.size < volume->size;
    if (shrinks && !command.allow_shrink) {
      return fail(
          StatusCode::invalid_argument,
          quoted(volume->name) + " has " + std::to_string(volume->size.value()) +
              " bytes; what lies beyond the new size would be lost: allow it to shrink if that is meant");
    }
    if (shrinks && !volume->holders.empty()) return held(*volume);
    if (Status up = check_node_up(nodes_, *volume); !up) return up;
    // No session may count on more than there is.
    if (shrinks) volume->size = command.size;
    volume->resizing_to = command.size;
    transaction.put_volume(*volume);
    transaction.put_unsettled({volume->id, volume->node, Gvn(0)});
    taken.waits = true;
    return {};
  });
  if (!changed) return tl::unexpected(changed.error());
  return taken;
}

Result<VolumeRegistry::Taken> VolumeRegistry::rename(const VolumeCommand& command) {
  Taken taken;
  const Status changed = ledger_.update([&](MetadataTransaction& transaction) -> Status {
    std::optional<VolumeRecord> volume = transaction.find_volume(command.name);
    if (!volume) return no_such_volume(command.name);
    taken = {volume->id, volume->node, false};
    if (command.new_name == command.name) return {};
    if (transaction.find_volume(command.new_name)) {
      return fail(StatusCode::already_exists,
                  "there is a volume " + quoted(command.new_name) + " already; choose another name");
    }
    volume->name = command.new_name;
    transaction.put_volume(*volume);
    return {};
  });
  if (!changed) return tl::unexpected(changed.error());
  return taken;
}

Result<VolumeRegistry::Taken> VolumeRegistry::remove(const VolumeCommand& command) {
  Taken taken;
  const Status removed = ledger_.update([&](MetadataTransaction& transaction) -> Status {
    const std::optional<VolumeRecord> volume = transaction.find_volume(command.name);
    if (!volume) return no_such_volume(command.name);
    if (!volume->holders.empty()) return held(*volume);
    if (volume->moving_to != NodeId(0)) return check_settled(*volume);
    taken = {volume->id, volume->node, nodes_.is_up(volume->node)};
    transaction.remove_volume(volume->id);
    transaction.put_unsettled({volume->id, volume->node, volume->current_gvn});
    return {};
  });
  if (!removed) return tl::unexpected(removed.error());
  answer_waiters(taken.volume, taken.node, fail(StatusCode::cancelled, "the volume was removed meanwhile"));
  return taken;
}

Result<VolumeRegistry::Taken> VolumeRegistry::migrate(const VolumeCommand& command) {
  Taken taken;
  NodeId target;
  const Status prepared = ledger_.update([&](MetadataTransaction& transaction) -> Status {
    const std::optional<VolumeRecord> volume = transaction.find_volume(command.name);
    if (!volume) return no_such_volume(command.name);
    taken = {volume->id, volume->node, false};
    const bool again =
        volume->moving_to != NodeId(0) && (command.node == NodeId(0) || command.node == volume->moving_to);
    if (again) return {};
    if (Status settled = check_settled(*volume); !settled) return settled;
    if (command.node == volume->node) {
      return fail(StatusCode::invalid_argument,
                  quoted(volume->name) + " is on " + name_of(volume->node) + " already");
    }
    if (Status up = check_node_up(nodes_, *volume); !up) return up;
    const Result<NodeId> placed = nodes_.place(transaction, command.node, volume->node);
    if (!placed) return tl::unexpected(placed.error());
    for (const UnsettledPlace& place : transaction.unsettled_places(volume->id)) {
      if (place.node != *placed) continue;
      return fail(StatusCode::busy, name_of(*placed) + " hasn't given back what it had of " +
                                        quoted(volume->name) + " before; try again in a moment");
    }
    target = *placed;
    transaction.put_unsettled({volume->id, target, Gvn(0)});
    transaction.put_unsettled({volume->id, volume->node, Gvn(0)});
    return {};
  });
  if (!prepared) return tl::unexpected(prepared.error());
  if (target == NodeId(0)) return taken;  // it is moving there already
  const auto started = ledger_.service().start_move(taken.volume, target);
  if (started) return taken;
  sync(taken.volume);
  return tl::unexpected(started.error());
}

Result<VolumeRegistry::Taken> VolumeRegistry::cancel_move(const VolumeCommand& command) {
  Taken taken;
  const Status found = ledger_.update([&](MetadataTransaction& transaction) -> Status {
    const std::optional<VolumeRecord> volume = transaction.find_volume(command.name);
    if (!volume) return no_such_volume(command.name);
    taken = {volume->id, volume->node, false};
    return {};
  });
  if (!found) return tl::unexpected(found.error());
  if (Status cancelled = ledger_.service().cancel_move(taken.volume); !cancelled) {
    return tl::unexpected(cancelled.error());
  }
  return taken;
}

// --- From the store to the orders --------------------------------------------------------------------

Status VolumeRegistry::take_up() {
  std::set<VolumeId> volumes;
  Status read = ledger_.update([&](MetadataTransaction& transaction) -> Status {
    for (const UnsettledPlace& place : transaction.unsettled_places())
      volumes.insert(place.volume);
    return {};
  });
  if (!read) return read;
  for (const VolumeId volume : volumes)
    sync(volume);
  return {};
}

void VolumeRegistry::sync(VolumeId id) {
  std::optional<VolumeRecord> volume;
  std::vector<UnsettledPlace> places;
  const Status read = ledger_.update([&](MetadataTransaction& transaction) -> Status {
    volume = transaction.find_volume(id);
    places = transaction.unsettled_places(id);
    std::erase_if(places, [&](const UnsettledPlace& place) {
      const bool settled = duty_of(volume, place) == Duty::none;
      if (settled) transaction.settle(place.volume, place.node);
      return settled;
    });
    return {};
  });
  if (!read) {
    unsynced_.insert(id);
    return;
  }
  unsynced_.erase(id);
  orders_.sync(id, volume, places);
}

void VolumeRegistry::tick() {
  for (const VolumeId volume : std::exchange(unsynced_, {}))
    sync(volume);
}

// --- Answers -----------------------------------------------------------------------------------------

void VolumeRegistry::answer(const Asker& asker, StatusCode status, VolumeId volume, NodeId node,
                            const std::string& reason) {
  answers_.push_back({asker, {status, volume, node, protocol::Text::clipped(reason)}});
}

void VolumeRegistry::answer_waiters(VolumeId volume, NodeId node, const Status& status) {
  const auto [first, last] = waiters_.equal_range(volume);
  for (auto at = first; at != last; ++at) {
    answer(at->second.asker, status ? StatusCode::ok : status.error().code, volume, node,
           status ? std::string() : status.error().message);
  }
  waiters_.erase(first, last);
}

std::vector<DueAnswer> VolumeRegistry::take_answers() {
  return std::exchange(answers_, {});
}

void VolumeRegistry::answer_all(StatusCode status, const std::string& reason) {
  for (const auto& [volume, waiter] : waiters_)
    answer(waiter.asker, status, volume, waiter.node, reason);
  waiters_.clear();
}

VolumeList VolumeRegistry::list(const ListVolumes& request) {
  VolumeList list;
  const Status read = ledger_.update([&](MetadataTransaction& transaction) -> Status {
    if (!request.name.empty()) {
      const std::optional<VolumeRecord> volume = transaction.find_volume(request.name);
      if (!volume) return fail(StatusCode::not_found);
      list.volumes.push_back(entry_of(*volume));
      return {};
    }
    for (const VolumeRecord& volume : transaction.volumes_after(request.after, kMaxListEntries + 1)) {
      list.more = list.volumes.full();
      if (!list.more) list.volumes.push_back(entry_of(volume));
    }
    return {};
  });
  if (!read) list = {.status = read.error().code, .manager_version = {}, .more = false, .volumes = {}};
  list.manager_version = ledger_.manager_version();
  return list;
}

VolumeEntry VolumeRegistry::entry_of(const VolumeRecord& record) const {
  VolumeEntry entry;
  entry.id = record.id;
  entry.name = record.name;
  entry.size = record.size;
  entry.block_size = record.block_size;
  entry.policy = record.policy;
  entry.node = record.node;
  entry.moving_to = record.moving_to;
  if (record.moving_to != NodeId(0)) entry.moved = orders_.moved(record.id);
  entry.current_gvn = record.current_gvn;
  entry.holders = static_cast<std::uint8_t>(record.holders.size());
  entry.mode = record.mode;
  if (!record.holders.empty()) entry.holder = record.holders[0].client;
  return entry;
}

void VolumeRegistry::log(LogLevel level, const std::string& line) const {
  if (log_) log_(level, line);
}

}  // namespace sluice::master
