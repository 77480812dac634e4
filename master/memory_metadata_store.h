#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>

#include "master/metadata_store.h"

namespace sluice::master {

/// A MetadataStore in memory, for tests and simulations. A copy of its contents is a backup, and several
/// masters may share one. Not thread-safe.
class MemoryMetadataStore final : public MetadataStore {
 public:
  struct Contents {
    ManagerVersion manager_version;
    VolumeId highest_volume_id;
    std::map<VolumeId, protocol::VolumeRecord> volumes;
    std::map<std::pair<VolumeId, protocol::NodeId>, UnsettledPlace> unsettled;
    std::map<protocol::NodeId, NodeRecord> nodes;
    std::map<protocol::NodeId, std::map<VolumeId, Gvn>> reported_fences;
    std::set<protocol::NodeId> rolled_back;
  };

  /// What becomes of a commit.
  enum class Commit : std::uint8_t {
    done,
    refused,  ///< unavailable: nothing was changed
    lost,     ///< outcome_unknown, and it had no effect
    unheard,  ///< outcome_unknown, and it had its effect
  };
  /// Asked before each commit, with the number of those before it: where a simulation stops a master, or lets
  /// the store fail.
  using CommitHook = std::function<Commit(std::uint64_t commit)>;

  MemoryMetadataStore() = default;
  explicit MemoryMetadataStore(Contents contents) : contents_(std::move(contents)) {}

  [[nodiscard]] Result<ManagerVersion> manager_version() override { return contents_.manager_version; }
  [[nodiscard]] Status update(ManagerVersion mine, const UpdateBody& body) override;

  void set_commit_hook(CommitHook hook) { hook_ = std::move(hook); }
  [[nodiscard]] const Contents& contents() const noexcept { return contents_; }
  [[nodiscard]] Contents& contents() noexcept { return contents_; }

 private:
  Contents contents_;
  CommitHook hook_;
  std::uint64_t commits_ = 0;
};

}  // namespace sluice::master
