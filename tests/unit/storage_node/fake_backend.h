#pragma once

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "storage_node/backend.h"

namespace sluice::storage_node::test {

/// What outlives a node's process: its volumes, and who has their locks.
struct FakeDisk {
  struct Volume {
    VolumeState state;
    std::vector<std::byte> data;
  };
  std::map<VolumeId, Volume> volumes;
  std::set<VolumeId> locked_elsewhere;
  std::set<VolumeId> locked;
  ByteCount capacity{1ULL << 40U};
};

/// A backend in memory whose completions the test may hold back, and whose operations it may let fail.
class FakeBackend final : public Backend {
 public:
  explicit FakeBackend(std::shared_ptr<FakeDisk> disk) : disk_(std::move(disk)) {
    started_.reserve(4096);
    done_.reserve(4096);
  }

  // ---- The test's hands
  bool hold_io = false;     ///< operations stay at the backend
  bool hold_state = false;  ///< stores of state stay
  StatusCode next_io = StatusCode::ok;
  StatusCode next_store = StatusCode::ok;
  std::size_t io_count = 0;
  std::size_t submits = 0;
  std::vector<BackendRequest> seen;  ///< only while `remember`
  bool remember = false;

  [[nodiscard]] std::size_t held() const noexcept { return started_.size(); }

  // ---- Backend
  Result<std::vector<VolumeState>> list() override {
    std::vector<VolumeState> states;
    for (const auto& [id, volume] : disk_->volumes)
      states.push_back(volume.state);
    return states;
  }
  Status create(const VolumeState& state) override {
    const auto found = disk_->volumes.find(state.volume);
    if (found != disk_->volumes.end() && !found->second.state.removed) {
      const VolumeState& there = found->second.state;
      if (there.size == state.size && there.block_size == state.block_size) return {};
      return fail(StatusCode::already_exists, "another shape");
    }
    VolumeState made = state;
    if (found != disk_->volumes.end()) made.fence = std::max(made.fence, found->second.state.fence);
    disk_->volumes[state.volume] = {made, std::vector<std::byte>(state.size.value())};
    return {};
  }
  Result<std::unique_ptr<VolumeStorage>> open(VolumeId volume) override {
    const auto found = disk_->volumes.find(volume);
    if (found == disk_->volumes.end() || found->second.state.removed) return fail(StatusCode::not_found);
    if (disk_->locked_elsewhere.contains(volume) || disk_->locked.contains(volume)) {
      return fail(StatusCode::busy, "locked by process 1234");
    }
    disk_->locked.insert(volume);
    return std::make_unique<Storage>(*this, found->second);
  }
  Status remove(VolumeId volume) override {
    const auto found = disk_->volumes.find(volume);
    if (found == disk_->volumes.end()) return {};
    const Gvn fence = found->second.state.fence;
    found->second = {};
    found->second.state.volume = volume;
    found->second.state.fence = fence;
    found->second.state.removed = true;
    return {};
  }
  Result<BackendSpace> space() override { return BackendSpace{disk_->capacity, disk_->capacity}; }
  Status register_buffers(std::span<std::byte> buffers) override {
    buffers_ = buffers;
    return {};
  }
  void submit() noexcept override { ++submits; }
  std::size_t poll(std::span<BackendCompletion> out) noexcept override {
    std::size_t count = 0;
    std::size_t kept = 0;
    for (std::size_t i = 0; i < started_.size(); ++i) {
      const bool is_held = started_[i].is_store ? hold_state : hold_io;
      if (is_held || count == out.size()) {
        started_[kept++] = started_[i];
      } else {
        out[count++] = {started_[i].tag, run(started_[i])};
      }
    }
    started_.resize(kept);
    return count;
  }
  [[nodiscard]] int wait_fd() const noexcept override { return -1; }
  bool arm() noexcept override { return started_.empty(); }

 private:
  struct Started {
    FakeDisk::Volume* volume = nullptr;
    BackendRequest request;
    VolumeState state;
    std::uint64_t tag = 0;
    bool is_store = false;
    std::size_t number = 0;
  };

  class Storage final : public VolumeStorage {
   public:
    Storage(FakeBackend& backend, FakeDisk::Volume& volume) : backend_(backend), volume_(volume) {}
    ~Storage() override { backend_.disk_->locked.erase(volume_.state.volume); }
    [[nodiscard]] const VolumeState& state() const noexcept override { return volume_.state; }
    void start(const BackendRequest& request) noexcept override {
      ++backend_.io_count;
      if (backend_.remember) backend_.seen.push_back(request);
      backend_.started_.push_back({&volume_, request, {}, request.tag, false, 0});
    }
    void start_store(const VolumeState& state, std::uint64_t tag) noexcept override {
      backend_.started_.push_back({&volume_, {}, state, tag, true, 0});
    }
    Status resize(ByteCount size) override {
      volume_.data.resize(size.value());
      volume_.state.size = size;
      return {};
    }

   private:
    FakeBackend& backend_;
    FakeDisk::Volume& volume_;
  };

  /// An operation takes effect when it completes.
  StatusCode run(const Started& started) {
    if (started.is_store) {
      const StatusCode status = std::exchange(next_store, StatusCode::ok);
      if (status == StatusCode::ok) started.volume->state = started.state;
      return status;
    }
    const StatusCode status = std::exchange(next_io, StatusCode::ok);
    if (status != StatusCode::ok) return status;
    const BackendRequest& io = started.request;
    std::byte* const at = started.volume->data.data() + io.offset.value();
    switch (io.op) {
      case protocol::IoOp::read:
        std::memcpy(io.data, at, io.length);
        break;
      case protocol::IoOp::write:
        std::memcpy(at, io.data, io.length);
        break;
      case protocol::IoOp::write_zeroes:
      case protocol::IoOp::discard:
        std::memset(at, 0, io.length);
        break;
      case protocol::IoOp::flush:
        break;
    }
    return StatusCode::ok;
  }

  std::shared_ptr<FakeDisk> disk_;
  std::span<std::byte> buffers_;
  std::vector<Started> started_;
  std::vector<Started> done_;
};

}  // namespace sluice::storage_node::test
