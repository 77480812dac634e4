#include "protocol/memory_open_store.h"

#include <algorithm>

namespace sluice::protocol {
namespace {

class MemoryTransaction final : public OpenTransaction {
 public:
  explicit MemoryTransaction(MemoryOpenStore::Contents& contents) : contents_(contents) {}

  std::optional<VolumeRecord> find_volume(VolumeId id) override {
    const auto found = contents_.volumes.find(id);
    if (found == contents_.volumes.end()) return std::nullopt;
    return found->second;
  }

  std::optional<VolumeRecord> find_volume(const VolumeName& name) override {
    const auto found = std::find_if(contents_.volumes.begin(), contents_.volumes.end(),
                                    [&](const auto& entry) { return entry.second.name == name; });
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

  void put_volume(const VolumeRecord& record) override { contents_.volumes[record.id] = record; }

  VolumeId highest_volume_id() override { return contents_.highest_volume_id; }
  void put_highest_volume_id(VolumeId id) override { contents_.highest_volume_id = id; }

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
  MemoryOpenStore::Contents& contents_;
};

}  // namespace

Status MemoryOpenStore::transact(ManagerVersion mine, const Body& body) {
  if (contents_.manager_version != mine) return fail(StatusCode::not_master);
  Contents draft = contents_;
  MemoryTransaction transaction(draft);
  Status status = body(transaction);
  if (status) contents_ = std::move(draft);
  return status;
}

}  // namespace sluice::protocol
