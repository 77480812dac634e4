#pragma once

#include <optional>
#include <vector>

#include "master/metadata_store.h"

namespace sluice::master {

class SqliteDatabase;
class SqliteStatement;

/// What a transaction on the SQLite file reads and puts. What fails sticks to the database, whose owner looks
/// before it commits: after a failure, what is read is empty.
class SqliteTransaction final : public MetadataTransaction {
 public:
  explicit SqliteTransaction(SqliteDatabase& database) : database_(database) {}

  std::optional<protocol::VolumeRecord> find_volume(VolumeId id) override;
  std::optional<protocol::VolumeRecord> find_volume(const protocol::VolumeName& name) override;
  std::vector<protocol::VolumeRecord> moving_volumes() override;
  void put_volume(const protocol::VolumeRecord& record) override;
  VolumeId highest_volume_id() override;
  void put_highest_volume_id(VolumeId id) override;
  std::vector<protocol::FenceReport> reported_fences(protocol::NodeId node) override;
  void put_reported_fence(protocol::NodeId node, const protocol::FenceReport& report) override;
  void forget_reported_fences(protocol::NodeId node) override;
  bool is_rolled_back(protocol::NodeId node) override;
  void put_rolled_back(protocol::NodeId node, bool rolled_back) override;
  void put_manager_version(ManagerVersion version) override;

  std::vector<protocol::VolumeRecord> volumes_after(VolumeId after, std::size_t limit) override;
  std::uint64_t volume_count() override;
  std::uint64_t count_volumes_at(protocol::NodeId node) override;
  void remove_volume(VolumeId id) override;
  std::vector<UnsettledPlace> unsettled_places() override;
  std::vector<UnsettledPlace> unsettled_places(VolumeId volume) override;
  void put_unsettled(const UnsettledPlace& place) override;
  void settle(VolumeId volume, protocol::NodeId node) override;
  std::optional<NodeRecord> find_node(protocol::NodeId id) override;
  std::vector<NodeRecord> nodes() override;
  void put_node(const NodeRecord& record) override;
  void remove_node(protocol::NodeId id) override;

 private:
  [[nodiscard]] std::vector<protocol::VolumeRecord> take_volumes(SqliteStatement& statement);
  [[nodiscard]] std::optional<protocol::VolumeRecord> take_volume(SqliteStatement& statement);
  void take_holders(protocol::VolumeRecord& record);

  SqliteDatabase& database_;
};

}  // namespace sluice::master
