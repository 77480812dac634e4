#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "storage_node/backend.h"
#include "storage_node/backends/reactor_share.h"

namespace sluice::storage_node {

/// Memory that the volumes of all of a node's reactors share. Any thread.
class MemoryBudget {
 public:
  explicit MemoryBudget(ByteCount capacity) noexcept : capacity_(capacity.value()) {}

  [[nodiscard]] bool take(std::uint64_t bytes) noexcept;
  void give_back(std::uint64_t bytes) noexcept { used_.fetch_sub(bytes, std::memory_order_relaxed); }
  [[nodiscard]] BackendSpace space() const noexcept;

 private:
  const std::uint64_t capacity_;
  std::atomic<std::uint64_t> used_{0};
};

class MemoryVolume;

/// Volumes in memory, for measuring everything but disks: they and their fences are gone with the process,
/// after which the master refuses the node as rolled back until an operator accepts it. Memory is taken as it
/// is written, in pieces of 64 KiB.
class MemoryBackend final : public Backend {
 public:
  MemoryBackend(std::shared_ptr<MemoryBudget> budget, ReactorShare share) noexcept;
  ~MemoryBackend() override;

  Result<std::vector<VolumeState>> list() override;
  Status create(const VolumeState& state) override;
  Result<std::unique_ptr<VolumeStorage>> open(VolumeId volume) override;
  Status remove(VolumeId volume) override;
  Result<BackendSpace> space() override { return budget_->space(); }

  Status register_buffers(std::span<std::byte> /*buffers*/) override { return {}; }
  void submit() noexcept override;
  std::size_t poll(std::span<BackendCompletion> out) noexcept override;
  [[nodiscard]] int wait_fd() const noexcept override { return -1; }
  bool arm() noexcept override { return started_.empty() && completed_ == completions_.size(); }

 private:
  friend class MemoryStorage;
  struct Started {
    MemoryVolume* volume = nullptr;
    BackendRequest request;
    bool is_store = false;
    VolumeState state;  ///< to store
  };

  void start(const Started& operation) { started_.push_back(operation); }

  std::shared_ptr<MemoryBudget> budget_;
  ReactorShare share_;
  std::map<VolumeId, std::unique_ptr<MemoryVolume>> volumes_;
  std::vector<Started> started_;
  std::vector<BackendCompletion> completions_;
  std::size_t completed_ = 0;  ///< completions handed out
};

}  // namespace sluice::storage_node
