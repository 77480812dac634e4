#include "storage_node/volumes.h"

#include <algorithm>
#include <utility>

namespace sluice::storage_node {
namespace {

using protocol::OrderVerb;
using protocol::VolumeOrder;

constexpr Duration kLockInterval = std::chrono::milliseconds(200);
constexpr Duration kLockTellInterval = std::chrono::seconds(5);
constexpr Duration kReportInterval = std::chrono::seconds(1);

std::string named(VolumeId volume) {
  return "volume=" + std::to_string(volume.value());
}

}  // namespace

Volumes::Volumes(const VolumeServices& services, Backend& backend, std::size_t max_volumes,
                 AnswerOrder answer_order)
    : services_(services),
      backend_(backend),
      max_volumes_(max_volumes),
      answer_order_(std::move(answer_order)) {}

Status Volumes::load() {
  const auto found = backend_.list();
  if (!found) return tl::unexpected(found.error());
  for (const VolumeState& state : *found) {
    seen_ = std::max({seen_, state.manager_version, sluice::manager_version(state.fence)});
    services_.host.on_fence(state.volume, state.fence);
    if (state.removed) {
      tombstones_[state.volume] = state.fence;
    } else {
      add(state);
    }
  }
  for (const auto& [id, volume] : volumes_)
    volume->on_manager_version(seen_);
  return {};
}

VolumeServer& Volumes::add(const VolumeState& state) {
  tombstones_.erase(state.volume);
  auto& volume = volumes_[state.volume];
  volume = std::make_unique<VolumeServer>(services_, state);
  volume->on_manager_version(seen_);
  return *volume;
}

VolumeServer* Volumes::find(VolumeId volume) noexcept {
  const auto found = volumes_.find(volume);
  return found == volumes_.end() ? nullptr : found->second.get();
}

Gvn Volumes::tombstone(VolumeId volume) const {
  const auto found = tombstones_.find(volume);
  return found == tombstones_.end() ? Gvn(0) : found->second;
}

void Volumes::on_manager_version(ManagerVersion seen) {
  seen_ = std::max(seen_, seen);
  for (const auto& [id, volume] : volumes_)
    volume->on_manager_version(seen_);
}

bool Volumes::prepare_hello() {
  bool are_ready = true;
  for (const auto& [id, volume] : volumes_)
    are_ready = volume->prepare_hello() && are_ready;
  return are_ready;
}

// ---- Locks (F2)

/// The lock may be a dead process's whose last IO hasn't landed yet: it is tried again until it is had.
void Volumes::try_to_lock(VolumeServer& volume) {
  auto storage = backend_.open(volume.id());
  if (!storage) {
    if (lock_told_at_ != now_) return;
    return services_.host.log(transport::LogLevel::warning,
                              named(volume.id()) + ": can't be served yet: " + storage.error().describe());
  }
  if ((*storage)->state().incomplete) return;
  volume.on_locked(std::move(*storage), seen_);
  services_.host.log(transport::LogLevel::info,
                     named(volume.id()) + ": locked, fence=" + to_string(volume.fence()));
}

void Volumes::tick(Instant now) {
  now_ = now;
  for (const auto& [id, volume] : volumes_)
    volume->tick(now);
  tick_copies(now);
  if (now < lock_at_ || is_shutting_down_) return;
  lock_at_ = now + kLockInterval;
  if (now - lock_told_at_ >= kLockTellInterval) lock_told_at_ = now;
  for (const auto& [id, volume] : volumes_) {
    if (!volume->is_locked() && !volume->state().incomplete) try_to_lock(*volume);
  }
}

// ---- Orders

void Volumes::on_order(protocol::RequestId request, const VolumeOrder& order) {
  const VolumeId id = order.volume;
  if (order.manager_version < seen_) {
    return answer(request, id, fail(StatusCode::not_master, "a newer master is known"));
  }
  if (is_shutting_down_) return answer(request, id, fail(StatusCode::shutting_down));
  on_manager_version(order.manager_version);
  switch (order.verb) {
    case OrderVerb::create:
      return answer(request, id, create(order));
    case OrderVerb::resize:
      return answer(request, id, resize(order));
    case OrderVerb::remove:
      return answer(request, id, remove(order));
    case OrderVerb::copy:
      return copy(request, order);
  }
}

void Volumes::answer(protocol::RequestId request, VolumeId volume, const Status& status,
                     ByteCount moved) const {
  protocol::VolumeOrderAnswer answer;
  answer.volume = volume;
  answer.moved = moved;
  if (!status) {
    answer.status = status.error().code;
    answer.reason = protocol::Text::clipped(status.error().message);
  }
  answer_order_(request, answer);
}

Status Volumes::create(const VolumeOrder& order) {
  const VolumeServer* const there = find(order.volume);
  if (copies_.contains(order.volume) || (there != nullptr && there->state().incomplete)) {
    return fail(StatusCode::busy, "the volume is being copied here");
  }
  if (there == nullptr && volumes_.size() >= max_volumes_) {
    return fail(StatusCode::limit_reached, "this thread of the node holds " + std::to_string(max_volumes_) +
                                               " volumes (limits.volumes)");
  }
  VolumeState state;
  state.volume = order.volume;
  state.size = order.size;
  state.block_size = order.block_size;
  state.manager_version = order.manager_version;
  if (Status created = backend_.create(state); !created) return created;
  if (there != nullptr) return {};
  services_.host.log(transport::LogLevel::info, named(order.volume) + ": created");
  try_to_lock(add(state));
  return {};
}

Status Volumes::resize(const VolumeOrder& order) {
  VolumeServer* const volume = find(order.volume);
  if (volume == nullptr) return fail(StatusCode::not_found, "this node doesn't hold the volume");
  if (volume->is_locked() && volume->state().size == order.size) return {};
  Status resized = volume->resize(order.size);
  if (resized) {
    services_.host.log(transport::LogLevel::info,
                       named(order.volume) + ": resized to " + std::to_string(order.size.value()) + " bytes");
  }
  return resized;
}

Status Volumes::remove(const VolumeOrder& order) {
  if (const auto copy = copies_.find(order.volume); copy != copies_.end()) {
    copy->second.copier->cancel();
    if (!copy->second.copier->is_idle()) return fail(StatusCode::busy, "a copy into it is being ended");
    copies_.erase(copy);
  }
  VolumeServer* const volume = find(order.volume);
  if (volume != nullptr && volume->is_locked() && !volume->is_quiet()) {
    return fail(StatusCode::busy, "the volume is in use");
  }
  const VolumeState state = volume == nullptr ? VolumeState{} : volume->state();
  const bool was_there = volume != nullptr;
  volumes_.erase(order.volume);  // closes it
  Status removed = backend_.remove(order.volume);
  if (!was_there) return removed;
  if (!removed) {
    add(state);
    return removed;
  }
  tombstones_[order.volume] = state.fence;
  services_.host.log(transport::LogLevel::info, named(order.volume) + ": removed");
  return {};
}

// ---- Copies

void Volumes::copy(protocol::RequestId request, const VolumeOrder& order) {
  if (const auto running = copies_.find(order.volume); running != copies_.end()) {
    running->second.request = request;
    return report(running->second, now_);
  }
  const VolumeServer* const volume = find(order.volume);
  if (volume != nullptr && !volume->state().incomplete) {
    const bool is_done = volume->fence() >= order.gvn && volume->state().size == order.size;
    if (is_done) return answer(request, order.volume, {}, order.size);
    return answer(request, order.volume,
                  fail(StatusCode::already_exists, "the node holds another state of the volume"));
  }
  if (const Status started = start_copy(request, order); !started) {
    return answer(request, order.volume, started);
  }
  if (!copies_.contains(order.volume)) return copy(request, order);  // it is complete already
  services_.host.log(transport::LogLevel::info,
                     named(order.volume) + ": is copied from " + std::string(order.source[0].view()));
  report(copies_.at(order.volume), now_);
}

Status Volumes::start_copy(protocol::RequestId request, const VolumeOrder& order) {
  VolumeState state;
  state.volume = order.volume;
  state.size = order.size;
  state.block_size = order.block_size;
  state.fence = order.gvn;
  state.manager_version = order.manager_version;
  state.incomplete = true;
  if (Status created = backend_.create(state); !created) return created;
  if (find(order.volume) == nullptr) add(state);
  auto storage = backend_.open(order.volume);
  if (!storage) return tl::unexpected(storage.error());
  // F2: what a process that was killed had in flight has landed by now, the end of its copy perhaps.
  if (!(*storage)->state().incomplete) {
    find(order.volume)->on_locked(std::move(*storage), seen_);
    return {};
  }
  auto memory = services_.memory.take_staging(ByteCount(Copier::kPieces * protocol::kMaxDataLength));
  if (!memory) return tl::unexpected(memory.error());
  auto copier = Copier::create(services_.reactor, order, std::move(*storage), std::move(*memory));
  if (!copier) return tl::unexpected(copier.error());
  copies_[order.volume] = {std::move(*copier), request, now_ + kReportInterval};
  return {};
}

void Volumes::tick_copies(Instant now) {
  for (auto& [id, copy] : copies_) {
    copy.copier->tick(now);
    if (now >= copy.report_at && !copy.copier->is_done()) report(copy, now);
  }
  for (auto copy = copies_.begin(); copy != copies_.end();) {
    Copier& copier = *copy->second.copier;
    if (!copier.is_idle() || !(copier.is_done() || copier.is_cancelled())) {
      ++copy;
      continue;
    }
    if (copier.is_done()) {
      find(copy->first)->on_locked(copier.take_storage(), seen_);
      services_.host.log(transport::LogLevel::info, named(copy->first) + ": copied");
      answer(copy->second.request, copy->first, {}, copier.moved());
    }
    copy = copies_.erase(copy);
  }
}

void Volumes::report(Copy& copy, Instant now) const {
  copy.report_at = now + kReportInterval;
  answer(copy.request, copy.copier->order().volume, fail(StatusCode::moving, copy.copier->trouble()),
         copy.copier->moved());
}

// ---- All of them

std::size_t Volumes::session_count() const noexcept {
  std::size_t count = 0;
  for (const auto& [id, volume] : volumes_)
    count += volume->session_count();
  return count;
}

protocol::RefusalCounts Volumes::refusals() const {
  protocol::RefusalCounts sum;
  for (const auto& [id, volume] : volumes_)
    sum.add(volume->refusals());
  return sum;
}

std::size_t Volumes::path_count() const noexcept {
  std::size_t count = 0;
  for (const auto& [id, volume] : volumes_)
    count += volume->path_count();
  return count;
}

bool Volumes::send_backlogs() {
  bool is_some_left = false;
  for (const auto& [id, volume] : volumes_)
    is_some_left = volume->send_backlog() || is_some_left;
  return is_some_left;
}

void Volumes::shut_down() {
  is_shutting_down_ = true;
  for (const auto& [id, volume] : volumes_)
    volume->shut_down();
  for (auto& [id, copy] : copies_)
    copy.copier->cancel();
}

bool Volumes::is_shut_down() const noexcept {
  return copies_.empty() && std::all_of(volumes_.begin(), volumes_.end(),
                                        [](const auto& entry) { return entry.second->is_shut_down(); });
}

}  // namespace sluice::storage_node
