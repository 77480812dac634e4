#include "master/node_registry.h"

#include <algorithm>
#include <string>

#include "master/node_name.h"
#include "protocol/node_address.h"

namespace sluice::master {
namespace {

using protocol::BootId;
using protocol::FixedVector;
using protocol::Heartbeat;
using protocol::Hello;
using protocol::kMaxPaths;
using protocol::ListNodes;
using protocol::NodeAddress;
using protocol::NodeEntry;
using protocol::NodeId;
using protocol::NodeList;

/// "About as much" free space: within this part of the larger one. Measurements of one disk, taken one after
/// the other, differ a little.
constexpr std::uint64_t kAlike = 64;

}  // namespace

// --- From nodes --------------------------------------------------------------------------------------

Status NodeRegistry::admit(NodeId node) {
  if (live_.contains(node)) return {};
  return ledger_.update([&](MetadataTransaction& transaction) -> Status {
    if (transaction.find_node(node) || transaction.nodes().size() < kMaxNodes) return {};
    return fail(StatusCode::limit_reached, "the master knows " + std::to_string(kMaxNodes) +
                                               " nodes already; remove those that are gone");
  });
}

Status NodeRegistry::on_hello(const Hello& hello, bool usable, Instant now) {
  Live live;
  live.boot = hello.boot;
  live.usable = usable;
  live.reactors = hello.reactors;
  live.addresses = hello.addresses;
  live.last_heard = now;
  Status kept = ledger_.update([&](MetadataTransaction& transaction) -> Status {
    const std::optional<NodeRecord> before = transaction.find_node(hello.node);
    NodeRecord record = before.value_or(NodeRecord{});
    record.id = hello.node;
    record.reactors = hello.reactors;
    record.addresses = hello.addresses;
    live.capacity = record.capacity;
    live.free = record.free;
    if (record != before) transaction.put_node(record);
    return {};
  });
  if (kept) live_[hello.node] = live;
  return kept;
}

StatusCode NodeRegistry::on_heartbeat(const Heartbeat& heartbeat, Instant now) {
  const auto found = live_.find(heartbeat.node);
  if (found == live_.end() || found->second.boot != heartbeat.boot) return StatusCode::no_session;
  Live& live = found->second;
  live.last_heard = now;
  live.capacity = heartbeat.capacity;
  live.free = heartbeat.free;
  live.sessions = heartbeat.sessions;
  if (!live.has_room_figures) keep_figures(heartbeat.node, live);
  live.has_room_figures = true;
  return live.usable ? StatusCode::ok : StatusCode::rolled_back;
}

/// Once a connection and when it ends, not with each heartbeat: they are for people to look at.
void NodeRegistry::keep_figures(NodeId node, const Live& live) {
  static_cast<void>(ledger_.update([&](MetadataTransaction& transaction) -> Status {
    std::optional<NodeRecord> record = transaction.find_node(node);
    if (!record || (record->capacity == live.capacity && record->free == live.free)) return {};
    record->capacity = live.capacity;
    record->free = live.free;
    transaction.put_node(*record);
    return {};
  }));
}

void NodeRegistry::on_lost(NodeId node) {
  const auto found = live_.find(node);
  if (found == live_.end()) return;
  if (found->second.has_room_figures) keep_figures(node, found->second);
  live_.erase(node);
}

std::vector<NodeId> NodeRegistry::silent_since(Instant when) const {
  std::vector<NodeId> silent;
  for (const auto& [node, live] : live_) {
    if (live.last_heard < when) silent.push_back(node);
  }
  return silent;
}

// --- Who is there ------------------------------------------------------------------------------------

const NodeRegistry::Live* NodeRegistry::find_usable(NodeId node) const {
  const auto found = live_.find(node);
  return found == live_.end() || !found->second.usable ? nullptr : &found->second;
}

bool NodeRegistry::is_up(NodeId node) const {
  return find_usable(node) != nullptr;
}

bool NodeRegistry::is_up(NodeId node, BootId boot) const {
  const Live* const live = find_usable(node);
  return live != nullptr && live->boot == boot;
}

FixedVector<NodeAddress, kMaxPaths> NodeRegistry::addresses_of(NodeId node, VolumeId volume) const {
  FixedVector<NodeAddress, kMaxPaths> addresses;
  if (const Live* const live = find_usable(node)) {
    for (const NodeAddress& address : live->addresses)
      addresses.push_back(protocol::address_for(address, volume, live->reactors));
  }
  return addresses;
}

Status NodeRegistry::check_place(MetadataTransaction& transaction, NodeId node) const {
  const std::optional<NodeRecord> record = transaction.find_node(node);
  if (!record) {
    return fail(StatusCode::not_found, "there is no " + name_of(node) + "; `sluice node ls` lists the nodes");
  }
  if (transaction.is_rolled_back(node)) {
    return fail(StatusCode::rolled_back, name_of(node) + " was rolled back; decide about it first");
  }
  if (!is_up(node)) {
    return fail(StatusCode::unavailable,
                name_of(node) + " isn't connected to the master; start it, or choose another");
  }
  if (record->draining) {
    return fail(StatusCode::invalid_argument, name_of(node) + " is draining; undrain it, or choose another");
  }
  return {};
}

Result<NodeId> NodeRegistry::place(MetadataTransaction& transaction, NodeId wanted, NodeId except) const {
  if (wanted != NodeId(0)) {
    if (Status fits = check_place(transaction, wanted); !fits) return tl::unexpected(fits.error());
    return wanted;
  }
  struct Candidate {
    NodeId node;
    std::uint64_t free;
    std::uint64_t volumes;
  };
  std::vector<Candidate> candidates;
  for (const auto& [node, live] : live_) {
    if (node == except || !check_place(transaction, node)) continue;
    candidates.push_back({node, live.free.value(), transaction.count_volumes_at(node)});
  }
  if (candidates.empty()) {
    return fail(StatusCode::unavailable,
                "no node can take the volume: none is connected that isn't draining or in the way; "
                "`sluice node ls` shows them");
  }
  const std::uint64_t most = std::ranges::max(candidates, {}, &Candidate::free).free;
  std::erase_if(candidates,
                [&](const Candidate& candidate) { return candidate.free < most - most / kAlike; });
  return std::ranges::min(candidates, {}, &Candidate::volumes).node;
}

// --- From operators ----------------------------------------------------------------------------------

Status NodeRegistry::set_draining(NodeId node, bool draining) {
  return ledger_.update([&](MetadataTransaction& transaction) -> Status {
    std::optional<NodeRecord> record = transaction.find_node(node);
    if (!record) return fail(StatusCode::not_found, "there is no " + name_of(node));
    record->draining = draining;
    transaction.put_node(*record);
    return {};
  });
}

Status NodeRegistry::remove(NodeId node) {
  if (live_.contains(node)) {
    return fail(StatusCode::busy, name_of(node) + " is connected; stop its daemon first");
  }
  return ledger_.update([&](MetadataTransaction& transaction) -> Status {
    if (!transaction.find_node(node)) return fail(StatusCode::not_found, "there is no " + name_of(node));
    const std::uint64_t volumes = transaction.count_volumes_at(node);
    if (volumes > 0) {
      return fail(StatusCode::busy, name_of(node) + " holds " + std::to_string(volumes) +
                                        " volumes; migrate or remove them first");
    }
    // What it should have given back goes with it.
    for (const UnsettledPlace& place : transaction.unsettled_places()) {
      if (place.node == node) transaction.settle(place.volume, node);
    }
    transaction.forget_reported_fences(node);
    transaction.put_rolled_back(node, false);
    transaction.remove_node(node);
    return {};
  });
}

NodeList NodeRegistry::list(const ListNodes& request) {
  NodeList list;
  const Status read = ledger_.update([&](MetadataTransaction& transaction) -> Status {
    for (const NodeRecord& record : transaction.nodes()) {
      if (record.id <= request.after) continue;
      if (list.nodes.full()) {
        list.more = true;
        break;
      }
      list.nodes.push_back(entry_of(transaction, record));
    }
    return {};
  });
  if (!read) list = {.status = read.error().code, .manager_version = {}, .more = false, .nodes = {}};
  list.manager_version = ledger_.manager_version();
  return list;
}

NodeEntry NodeRegistry::entry_of(MetadataTransaction& transaction, const NodeRecord& record) const {
  NodeEntry entry;
  entry.id = record.id;
  entry.draining = record.draining;
  entry.rolled_back = transaction.is_rolled_back(record.id);
  entry.capacity = record.capacity;
  entry.free = record.free;
  entry.volumes = static_cast<std::uint32_t>(transaction.count_volumes_at(record.id));
  entry.addresses = record.addresses;
  if (const auto found = live_.find(record.id); found != live_.end()) {
    const Live& live = found->second;
    entry.boot = live.boot;
    entry.up = live.usable;
    entry.capacity = live.capacity;
    entry.free = live.free;
    entry.sessions = live.sessions;
  }
  return entry;
}

}  // namespace sluice::master
