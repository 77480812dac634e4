#include "storage_node/backends/memory_backend.h"

#include <algorithm>
#include <string>
#include <utility>

#include "protocol/base/check.h"
#include "storage_node/backends/memory_volume.h"
#include "storage_node/backends/volume_states.h"

namespace sluice::storage_node {

bool MemoryBudget::take(std::uint64_t bytes) noexcept {
  std::uint64_t used = used_.load(std::memory_order_relaxed);
  do {
    if (bytes > capacity_ - used) return false;
  } while (!used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
  return true;
}

BackendSpace MemoryBudget::space() const noexcept {
  return {.capacity = ByteCount(capacity_),
          .free = ByteCount(capacity_ - used_.load(std::memory_order_relaxed))};
}

/// A volume as it is open: operations wait in the backend until the next submit().
class MemoryStorage final : public VolumeStorage {
 public:
  MemoryStorage(MemoryBackend& backend, MemoryVolume& volume) noexcept : backend_(backend), volume_(volume) {
    volume_.is_open = true;
  }
  ~MemoryStorage() override {
    check(volume_.in_flight == 0, "a volume's storage is closed when nothing of it is in flight");
    volume_.is_open = false;
  }

  [[nodiscard]] const VolumeState& state() const noexcept override { return volume_.state; }

  void start(const BackendRequest& request) noexcept override {
    check(lies_within(request, volume_.state), "an operation lies within its volume, in whole blocks");
    ++volume_.in_flight;
    backend_.start({.volume = &volume_, .request = request, .is_store = false, .state = {}});
  }

  void start_store(const VolumeState& state, std::uint64_t tag) noexcept override {
    check(keeps_shape(volume_.state, state), "a store changes neither a volume's shape nor its existence");
    ++volume_.in_flight;
    BackendRequest request;
    request.tag = tag;
    backend_.start({.volume = &volume_, .request = request, .is_store = true, .state = state});
  }

  Status resize(ByteCount size) override { return volume_.resize(size); }

 private:
  MemoryBackend& backend_;
  MemoryVolume& volume_;
};

MemoryBackend::MemoryBackend(std::shared_ptr<MemoryBudget> budget, ReactorShare share) noexcept
    : budget_(std::move(budget)), share_(share) {}

MemoryBackend::~MemoryBackend() {
  check(started_.empty() && completed_ == completions_.size(), "a backend is idle when it is destroyed");
}

Result<std::vector<VolumeState>> MemoryBackend::list() {
  std::vector<VolumeState> states;
  for (const auto& [id, volume] : volumes_)
    states.push_back(volume->state);
  return states;
}

Status MemoryBackend::create(const VolumeState& state) {
  if (auto possible = check_shape(state); !possible) return possible;
  check(share_.has(state.volume), "a volume is created at the reactor that it belongs to");
  auto& volume = volumes_[state.volume];
  if (volume != nullptr && !volume->state.removed) return check_same_shape(volume->state, state);
  auto made = MemoryVolume::create(volume == nullptr ? state : with_fence_of(state, volume->state), *budget_);
  if (made) {
    volume = std::move(*made);
    return {};
  }
  if (volume == nullptr) volumes_.erase(state.volume);
  return tl::unexpected(made.error());
}

Result<std::unique_ptr<VolumeStorage>> MemoryBackend::open(VolumeId volume) {
  const std::string name = "volume " + std::to_string(volume.value());
  const auto found = volumes_.find(volume);
  if (found == volumes_.end() || found->second->state.removed) {
    return fail(StatusCode::not_found, name + " isn't in this node's memory");
  }
  if (found->second->is_open) return fail(StatusCode::busy, name + " is open in this process");
  return std::make_unique<MemoryStorage>(*this, *found->second);
}

Status MemoryBackend::remove(VolumeId volume) {
  const auto found = volumes_.find(volume);
  if (found == volumes_.end()) return {};
  if (found->second->is_open) {
    return fail(StatusCode::busy, "volume " + std::to_string(volume.value()) + " is open in this process");
  }
  auto tombstone = MemoryVolume::create(tombstone_of(found->second->state), *budget_);
  if (!tombstone) return tl::unexpected(tombstone.error());
  found->second = std::move(*tombstone);
  return {};
}

void MemoryBackend::submit() noexcept {
  for (const Started& operation : started_) {
    StatusCode status = StatusCode::ok;
    if (operation.is_store) {
      operation.volume->state = operation.state;
    } else {
      status = operation.volume->execute(operation.request);
    }
    --operation.volume->in_flight;
    completions_.push_back({.tag = operation.request.tag, .status = status});
  }
  started_.clear();
}

std::size_t MemoryBackend::poll(std::span<BackendCompletion> out) noexcept {
  const std::size_t count = std::min(out.size(), completions_.size() - completed_);
  std::copy_n(completions_.begin() + static_cast<std::ptrdiff_t>(completed_), count, out.begin());
  completed_ += count;
  if (completed_ == completions_.size()) {
    completions_.clear();
    completed_ = 0;
  }
  return count;
}

}  // namespace sluice::storage_node
