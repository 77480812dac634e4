#include "master/sqlite_transaction.h"

#include <algorithm>
#include <limits>
#include <string>

#include "master/sqlite_database.h"
#include "protocol/base/check.h"

namespace sluice::master {
namespace {

using protocol::AccessMode;
using protocol::BootId;
using protocol::ClientId;
using protocol::FenceReport;
using protocol::FixedVector;
using protocol::Holder;
using protocol::kMaxPaths;
using protocol::NodeAddress;
using protocol::NodeId;
using protocol::Nonce;
using protocol::VolumeName;
using protocol::VolumeRecord;
using protocol::WritePolicy;

// The columns of a volume, in the order of the table.
VolumeRecord volume_of(const SqliteStatement& row) {
  VolumeRecord record;
  record.id = VolumeId(row.integer(0));
  record.name = VolumeName::clipped(row.text(1));
  record.size = ByteCount(row.integer(2));
  record.block_size = static_cast<std::uint32_t>(row.integer(3));
  record.policy = static_cast<WritePolicy>(row.integer(4));
  record.node = NodeId(row.integer(5));
  record.moving_to = NodeId(row.integer(6));
  record.has_storage = row.integer(7) != 0;
  record.resizing_to = ByteCount(row.integer(8));
  record.open_version = OpenVersion(static_cast<std::uint32_t>(row.integer(9)));
  record.current_gvn = Gvn(row.integer(10));
  record.mode = static_cast<AccessMode>(row.integer(11));
  record.era = Gvn(row.integer(12));
  return record;
}

// Addresses have no spaces.
std::string join(const FixedVector<NodeAddress, kMaxPaths>& addresses) {
  std::string joined;
  for (const NodeAddress& address : addresses) {
    if (!joined.empty()) joined += ' ';
    joined += address.view();
  }
  return joined;
}

FixedVector<NodeAddress, kMaxPaths> split(std::string_view joined) {
  FixedVector<NodeAddress, kMaxPaths> addresses;
  while (!joined.empty() && !addresses.full()) {
    const std::size_t end = std::min(joined.find(' '), joined.size());
    addresses.push_back(NodeAddress::clipped(joined.substr(0, end)));
    joined.remove_prefix(std::min(end + 1, joined.size()));
  }
  return addresses;
}

NodeRecord node_of(const SqliteStatement& row) {
  NodeRecord record;
  record.id = NodeId(row.integer(0));
  record.draining = row.integer(1) != 0;
  record.capacity = ByteCount(row.integer(2));
  record.free = ByteCount(row.integer(3));
  record.reactors = static_cast<std::uint16_t>(row.integer(4));
  record.addresses = split(row.text(5));
  return record;
}

std::vector<UnsettledPlace> take_places(SqliteStatement& statement) {
  std::vector<UnsettledPlace> places;
  while (statement.step())
    places.push_back(
        {VolumeId(statement.integer(0)), NodeId(statement.integer(1)), Gvn(statement.integer(2))});
  return places;
}

}  // namespace

// --- Volumes -----------------------------------------------------------------------------------------

std::optional<VolumeRecord> SqliteTransaction::find_volume(VolumeId id) {
  SqliteStatement statement = database_.prepare("SELECT * FROM volumes WHERE id = ?");
  return take_volume(statement.bind(id));
}

std::optional<VolumeRecord> SqliteTransaction::find_volume(const VolumeName& name) {
  SqliteStatement statement = database_.prepare("SELECT * FROM volumes WHERE name = ?");
  return take_volume(statement.bind(name.view()));
}

std::vector<VolumeRecord> SqliteTransaction::moving_volumes() {
  SqliteStatement statement = database_.prepare("SELECT * FROM volumes WHERE moving_to <> 0 ORDER BY id");
  return take_volumes(statement);
}

std::vector<VolumeRecord> SqliteTransaction::volumes_after(VolumeId after, std::size_t limit) {
  SqliteStatement statement = database_.prepare("SELECT * FROM volumes WHERE id > ? ORDER BY id LIMIT ?");
  // Ids given fit a signed integer (see put_volume): none is above one that doesn't.
  constexpr std::uint64_t kHighest = std::numeric_limits<std::int64_t>::max();
  return take_volumes(statement.bind(std::min(after.value(), kHighest)).bind(limit));
}

std::vector<VolumeRecord> SqliteTransaction::take_volumes(SqliteStatement& statement) {
  std::vector<VolumeRecord> records;
  while (statement.step())
    records.push_back(volume_of(statement));
  for (VolumeRecord& record : records)
    take_holders(record);
  return records;
}

std::optional<VolumeRecord> SqliteTransaction::take_volume(SqliteStatement& statement) {
  if (!statement.step()) return std::nullopt;
  VolumeRecord record = volume_of(statement);
  take_holders(record);
  return record;
}

void SqliteTransaction::take_holders(VolumeRecord& record) {
  SqliteStatement statement = database_.prepare(
      "SELECT client, nonce, gvn, node, boot FROM holders WHERE volume = ? ORDER BY position");
  statement.bind(record.id);
  while (statement.step() && !record.holders.full()) {
    record.holders.push_back(Holder{ClientId::clipped(statement.text(0)), Nonce(statement.integer(1)),
                                    Gvn(statement.integer(2)), NodeId(statement.integer(3)),
                                    BootId(statement.integer(4))});
  }
}

void SqliteTransaction::put_volume(const VolumeRecord& record) {
  check(record.id.value() <= std::uint64_t{std::numeric_limits<std::int64_t>::max()},
        "the order of volume ids is that of signed integers");
  // Not REPLACE, which would remove another volume of the same name.
  database_.prepare("DELETE FROM volumes WHERE id = ?").bind(record.id).step();
  database_.prepare("INSERT INTO volumes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
      .bind(record.id)
      .bind(record.name.view())
      .bind(record.size)
      .bind(record.block_size)
      .bind(static_cast<std::uint64_t>(record.policy))
      .bind(record.node)
      .bind(record.moving_to)
      .bind(std::uint64_t{record.has_storage})
      .bind(record.resizing_to)
      .bind(record.open_version)
      .bind(record.current_gvn)
      .bind(static_cast<std::uint64_t>(record.mode))
      .bind(record.era)
      .step();
  database_.prepare("DELETE FROM holders WHERE volume = ?").bind(record.id).step();
  for (std::size_t i = 0; i < record.holders.size(); ++i) {
    const Holder& holder = record.holders[i];
    database_.prepare("INSERT INTO holders VALUES (?, ?, ?, ?, ?, ?, ?)")
        .bind(record.id)
        .bind(i)
        .bind(holder.client.view())
        .bind(holder.nonce)
        .bind(holder.gvn)
        .bind(holder.node)
        .bind(holder.boot)
        .step();
  }
}

void SqliteTransaction::remove_volume(VolumeId id) {
  database_.prepare("DELETE FROM volumes WHERE id = ?").bind(id).step();
  database_.prepare("DELETE FROM holders WHERE volume = ?").bind(id).step();
}

std::uint64_t SqliteTransaction::volume_count() {
  SqliteStatement statement = database_.prepare("SELECT count(*) FROM volumes");
  return statement.step() ? statement.integer(0) : 0;
}

std::uint64_t SqliteTransaction::count_volumes_at(NodeId node) {
  SqliteStatement statement = database_.prepare(
      "SELECT (SELECT count(*) FROM volumes WHERE node = ?1) + "
      "(SELECT count(*) FROM volumes WHERE moving_to = ?1 AND moving_to <> 0)");
  return statement.bind(node).step() ? statement.integer(0) : 0;
}

VolumeId SqliteTransaction::highest_volume_id() {
  SqliteStatement statement = database_.prepare("SELECT highest_volume_id FROM cluster");
  return VolumeId(statement.step() ? statement.integer(0) : 0);
}

void SqliteTransaction::put_highest_volume_id(VolumeId id) {
  database_.prepare("UPDATE cluster SET highest_volume_id = ?").bind(id).step();
}

void SqliteTransaction::put_manager_version(ManagerVersion version) {
  database_.prepare("UPDATE cluster SET manager_version = ?").bind(version).step();
}

// --- Unsettled places --------------------------------------------------------------------------------

std::vector<UnsettledPlace> SqliteTransaction::unsettled_places() {
  SqliteStatement statement = database_.prepare("SELECT * FROM unsettled_places ORDER BY volume, node");
  return take_places(statement);
}

std::vector<UnsettledPlace> SqliteTransaction::unsettled_places(VolumeId volume) {
  SqliteStatement statement =
      database_.prepare("SELECT * FROM unsettled_places WHERE volume = ? ORDER BY node");
  return take_places(statement.bind(volume));
}

void SqliteTransaction::put_unsettled(const UnsettledPlace& place) {
  database_.prepare("INSERT OR REPLACE INTO unsettled_places VALUES (?, ?, ?)")
      .bind(place.volume)
      .bind(place.node)
      .bind(place.last_gvn)
      .step();
}

void SqliteTransaction::settle(VolumeId volume, NodeId node) {
  database_.prepare("DELETE FROM unsettled_places WHERE volume = ? AND node = ?")
      .bind(volume)
      .bind(node)
      .step();
}

// --- Nodes -------------------------------------------------------------------------------------------

std::optional<NodeRecord> SqliteTransaction::find_node(NodeId id) {
  SqliteStatement statement = database_.prepare("SELECT * FROM nodes WHERE id = ?");
  if (!statement.bind(id).step()) return std::nullopt;
  return node_of(statement);
}

std::vector<NodeRecord> SqliteTransaction::nodes() {
  std::vector<NodeRecord> records;
  {
    SqliteStatement statement = database_.prepare("SELECT * FROM nodes");
    while (statement.step())
      records.push_back(node_of(statement));
  }
  // SQLite's order is that of signed integers.
  std::ranges::sort(records, {}, &NodeRecord::id);
  return records;
}

void SqliteTransaction::put_node(const NodeRecord& record) {
  database_.prepare("INSERT OR REPLACE INTO nodes VALUES (?, ?, ?, ?, ?, ?)")
      .bind(record.id)
      .bind(std::uint64_t{record.draining})
      .bind(record.capacity)
      .bind(record.free)
      .bind(record.reactors)
      .bind(join(record.addresses))
      .step();
}

void SqliteTransaction::remove_node(NodeId id) {
  database_.prepare("DELETE FROM nodes WHERE id = ?").bind(id).step();
}

bool SqliteTransaction::is_rolled_back(NodeId node) {
  SqliteStatement statement = database_.prepare("SELECT 1 FROM rolled_back_nodes WHERE node = ?");
  return statement.bind(node).step();
}

void SqliteTransaction::put_rolled_back(NodeId node, bool rolled_back) {
  if (rolled_back) {
    database_.prepare("INSERT OR IGNORE INTO rolled_back_nodes VALUES (?)").bind(node).step();
  } else {
    database_.prepare("DELETE FROM rolled_back_nodes WHERE node = ?").bind(node).step();
  }
}

std::vector<FenceReport> SqliteTransaction::reported_fences(NodeId node) {
  std::vector<FenceReport> reports;
  SqliteStatement statement =
      database_.prepare("SELECT volume, fence FROM reported_fences WHERE node = ? ORDER BY volume");
  statement.bind(node);
  while (statement.step())
    reports.push_back({VolumeId(statement.integer(0)), Gvn(statement.integer(1))});
  return reports;
}

void SqliteTransaction::put_reported_fence(NodeId node, const FenceReport& report) {
  database_.prepare("INSERT OR REPLACE INTO reported_fences VALUES (?, ?, ?)")
      .bind(node)
      .bind(report.volume)
      .bind(report.fence)
      .step();
}

void SqliteTransaction::forget_reported_fences(NodeId node) {
  database_.prepare("DELETE FROM reported_fences WHERE node = ?").bind(node).step();
}

}  // namespace sluice::master
