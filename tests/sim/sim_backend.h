#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "storage_node/backend.h"
#include "tests/sim/disk.h"

namespace sluice::sim {

class SimStorage;

/// A process's hold on a simulated disk. Made by SimDisk::open_backend().
class SimBackend final : public storage_node::Backend {
 public:
  SimBackend(SimDisk& disk, std::uint64_t number, std::size_t reactor, std::size_t reactors,
             std::function<void()> ready);
  ~SimBackend() override;

  Result<std::vector<storage_node::VolumeState>> list() override;
  Status create(const storage_node::VolumeState& state) override;
  Result<std::unique_ptr<storage_node::VolumeStorage>> open(VolumeId volume) override;
  Status remove(VolumeId volume) override;
  Result<storage_node::BackendSpace> space() override;
  Status register_buffers(std::span<std::byte> buffers) override;
  void submit() noexcept override;
  std::size_t poll(std::span<storage_node::BackendCompletion> out) noexcept override;
  [[nodiscard]] int wait_fd() const noexcept override { return -1; }
  bool arm() noexcept override { return completions_.empty(); }

  [[nodiscard]] std::uint64_t number() const noexcept { return number_; }
  [[nodiscard]] bool is_ready() const noexcept { return !completions_.empty(); }

 private:
  friend class SimDisk;
  friend class SimStorage;

  [[nodiscard]] bool is_mine(VolumeId volume) const noexcept;
  [[nodiscard]] bool is_in_buffers(const storage_node::BackendRequest& request) const noexcept;
  [[nodiscard]] ByteCount used() const;
  void start(VolumeId volume, const storage_node::BackendRequest& request);
  void start_store(VolumeId volume, const storage_node::VolumeState& state, std::uint64_t tag);
  void complete(const storage_node::BackendCompletion& completion, VolumeId volume,
                const storage_node::VolumeState& stored, bool is_store);
  void die();

  SimDisk& disk_;
  std::uint64_t number_;
  std::size_t reactor_;
  std::size_t reactors_;
  std::function<void()> ready_;
  bool is_dead_ = false;
  std::span<std::byte> buffers_;
  std::vector<SimDisk::Operation> started_;
  std::deque<storage_node::BackendCompletion> completions_;
  std::map<VolumeId, SimStorage*> open_;
};

}  // namespace sluice::sim
