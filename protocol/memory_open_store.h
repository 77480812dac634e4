#pragma once

#include <map>
#include <set>

#include "protocol/open_store.h"

namespace sluice::protocol {

/// An OpenStore in memory, for tests and simulations: the copies of its contents are backups, and several
/// masters may share one. Not thread-safe.
class MemoryOpenStore final : public OpenStore {
 public:
  struct Contents {
    ManagerVersion manager_version;
    VolumeId highest_volume_id;
    std::map<VolumeId, VolumeRecord> volumes;
    std::map<NodeId, std::map<VolumeId, Gvn>> reported_fences;
    std::set<NodeId> rolled_back;
  };

  MemoryOpenStore() = default;
  explicit MemoryOpenStore(Contents contents) : contents_(std::move(contents)) {}

  [[nodiscard]] Result<ManagerVersion> manager_version() override { return contents_.manager_version; }
  [[nodiscard]] Status transact(ManagerVersion mine, const Body& body) override;

  [[nodiscard]] const Contents& contents() const noexcept { return contents_; }
  [[nodiscard]] Contents& contents() noexcept { return contents_; }

 private:
  Contents contents_;
};

}  // namespace sluice::protocol
