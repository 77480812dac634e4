#include "master/memory_metadata_store.h"

#include <algorithm>

namespace sluice::master {
namespace {

using protocol::FenceReport;
using protocol::NodeId;
using protocol::VolumeName;
using protocol::VolumeRecord;

class MemoryTransaction final : public MetadataTransaction {
 public:
  explicit MemoryTransaction(MemoryMetadataStore::Contents& contents) : contents_(contents) {}

  std::optional<VolumeRecord> find_volume(VolumeId id) override {
    const auto found = contents_.volumes.find(id);
    if (found == contents_.volumes.end()) return std::nullopt;
    return found->second;
  }
  std::optional<VolumeRecord> find_volume(const VolumeName& name) override {
    const auto found =
        std::ranges::find_if(contents_.volumes, [&](const auto& entry) { return entry.second.name == name; });
    if (found == contents_.volumes.end()) return std::nullopt;
    return found->second;
  }
  std::vector<VolumeRecord> moving_volumes() override {
    std::vector<VolumeRecord> moving;
    for (const auto& [id, record] : contents_.volumes) {
      if (record.moving_to != NodeId(0)) moving.push_back(record);
    }
    return moving;
  }
  std::vector<VolumeRecord> volumes_after(VolumeId after, std::size_t limit) override {
    std::vector<VolumeRecord> records;
    for (auto at = contents_.volumes.upper_bound(after); at != contents_.volumes.end(); ++at) {
      if (records.size() == limit) break;
      records.push_back(at->second);
    }
    return records;
  }
  void put_volume(const VolumeRecord& record) override { contents_.volumes[record.id] = record; }
  void remove_volume(VolumeId id) override { contents_.volumes.erase(id); }
  std::uint64_t volume_count() override { return contents_.volumes.size(); }
  std::uint64_t count_volumes_at(NodeId node) override {
    std::uint64_t count = 0;
    for (const auto& [id, record] : contents_.volumes) {
      if (record.node == node || record.moving_to == node) ++count;
    }
    return count;
  }
  VolumeId highest_volume_id() override { return contents_.highest_volume_id; }
  void put_highest_volume_id(VolumeId id) override { contents_.highest_volume_id = id; }

  std::vector<UnsettledPlace> unsettled_places() override {
    std::vector<UnsettledPlace> places;
    for (const auto& [key, place] : contents_.unsettled)
      places.push_back(place);
    return places;
  }
  std::vector<UnsettledPlace> unsettled_places(VolumeId volume) override {
    std::vector<UnsettledPlace> places = unsettled_places();
    std::erase_if(places, [&](const UnsettledPlace& place) { return place.volume != volume; });
    return places;
  }
  void put_unsettled(const UnsettledPlace& place) override {
    contents_.unsettled[{place.volume, place.node}] = place;
  }
  void settle(VolumeId volume, NodeId node) override { contents_.unsettled.erase({volume, node}); }

  std::optional<NodeRecord> find_node(NodeId id) override {
    const auto found = contents_.nodes.find(id);
    if (found == contents_.nodes.end()) return std::nullopt;
    return found->second;
  }
  std::vector<NodeRecord> nodes() override {
    std::vector<NodeRecord> records;
    for (const auto& [id, record] : contents_.nodes)
      records.push_back(record);
    return records;
  }
  void put_node(const NodeRecord& record) override { contents_.nodes[record.id] = record; }
  void remove_node(NodeId id) override { contents_.nodes.erase(id); }

  std::vector<FenceReport> reported_fences(NodeId node) override {
    std::vector<FenceReport> reports;
    for (const auto& [volume, fence] : contents_.reported_fences[node])
      reports.push_back({volume, fence});
    return reports;
  }
  void put_reported_fence(NodeId node, const FenceReport& report) override {
    contents_.reported_fences[node][report.volume] = report.fence;
  }
  void forget_reported_fences(NodeId node) override { contents_.reported_fences.erase(node); }
  bool is_rolled_back(NodeId node) override { return contents_.rolled_back.contains(node); }
  void put_rolled_back(NodeId node, bool rolled_back) override {
    if (rolled_back) {
      contents_.rolled_back.insert(node);
    } else {
      contents_.rolled_back.erase(node);
    }
  }
  void put_manager_version(ManagerVersion version) override { contents_.manager_version = version; }

 private:
  MemoryMetadataStore::Contents& contents_;
};

}  // namespace

Status MemoryMetadataStore::update(ManagerVersion mine, const UpdateBody& body) {
  if (contents_.manager_version != mine) {
    return fail(StatusCode::not_master, "another master has taken over");
  }
  Contents draft = contents_;
  MemoryTransaction transaction(draft);
  Status status = body(transaction);
  if (!status) return status;
  const Commit commit = hook_ ? hook_(commits_++) : Commit::done;
  if (commit == Commit::refused) return fail(StatusCode::unavailable, "the store refused to commit");
  if (commit != Commit::lost) contents_ = std::move(draft);
  if (commit != Commit::done) return fail(StatusCode::outcome_unknown, "the store failed while it committed");
  return {};
}

}  // namespace sluice::master
