#include "protocol/path_set.h"

#include <algorithm>

#include "protocol/base/check.h"

namespace sluice::protocol {

std::string_view to_string(PathState state) noexcept {
  switch (state) {
    case PathState::down:
      return "down";
    case PathState::connecting:
      return "connecting";
    case PathState::up:
      return "up";
    case PathState::dying:
      return "dying";
  }
  return "unknown_path_state";
}

PathSet::PathSet(Backoff backoff) : backoff_(backoff) {}

void PathSet::reset(std::size_t count, Instant now) {
  check(all_down(), "a new session starts when every path of the old one is destroyed");
  check(count >= 1 && count <= kMaxPaths, "a session has 1 to kMaxPaths paths");
  count_ = count;
  for (Path& path : paths_) {
    path.retry_at = now;
    path.wait = Duration::zero();
  }
}

bool PathSet::is_current(PathId path, PathEpoch epoch, PathState state) const noexcept {
  if (path.value() >= kMaxPaths) return false;
  const Path& candidate = paths_.at(path.value());
  return candidate.epoch == epoch && candidate.state == state;
}

bool PathSet::any_in(PathState state) const noexcept {
  return std::any_of(paths_.begin(), paths_.end(), [&](const Path& path) { return path.state == state; });
}

bool PathSet::all_down() const noexcept {
  return std::all_of(paths_.begin(), paths_.end(),
                     [](const Path& path) { return path.state == PathState::down; });
}

bool PathSet::may_connect(PathId path, Instant now) const {
  return path.value() < count_ && at(path).state == PathState::down && now >= at(path).retry_at;
}

PathEpoch PathSet::connect(PathId path) {
  Path& connecting = at(path);
  check(connecting.state == PathState::down, "a path connects only once its old queue pair is destroyed");
  check(connecting.epoch.value() < UINT32_MAX, "a path's epoch never wraps");
  connecting.state = PathState::connecting;
  connecting.epoch = PathEpoch(connecting.epoch.value() + 1);
  return connecting.epoch;
}

void PathSet::accept(PathId path, const PathAccept& grant, PathTag tag, Instant now) {
  Path& accepted = at(path);
  check(accepted.state == PathState::connecting, "only a connecting path is accepted");
  accepted.state = PathState::up;
  accepted.tag = tag;
  accepted.depth = grant.depth;
  accepted.in_flight = 0;
  accepted.in_capsule_limit = grant.in_capsule_limit;
  accepted.slots.grant(grant.slots);
  accepted.last_heard = now;
}

void PathSet::refuse(PathId path, Instant now) {
  check(at(path).state == PathState::connecting, "only a connecting path is refused");
  wait_before_retry(at(path), now);
}

void PathSet::kill(PathId path) {
  Path& killed = at(path);
  check(killed.state == PathState::connecting || killed.state == PathState::up,
        "only a path with a connection is killed");
  killed.state = PathState::dying;
}

void PathSet::destroy(PathId path, Instant now) {
  check(at(path).state == PathState::dying, "only a dying path is destroyed");
  wait_before_retry(at(path), now);
}

void PathSet::wait_before_retry(Path& path, Instant now) const {
  path.state = PathState::down;
  path.in_flight = 0;
  path.retry_at = now + path.wait;
  path.wait = std::clamp(path.wait * 2, backoff_.min, backoff_.max);
}

std::optional<PathId> PathSet::choose(std::uint32_t data_length) const {
  const Path* best = nullptr;
  for (std::size_t i = 0; i < count_; ++i) {
    const Path& path = paths_[i];
    if (path.state != PathState::up || path.in_flight >= path.depth) continue;
    if (best != nullptr && best->in_flight <= path.in_flight) continue;
    if (data_length > path.in_capsule_limit && !path.slots.has_free(data_length)) continue;
    best = &path;
  }
  if (best == nullptr) return std::nullopt;
  return PathId(static_cast<std::uint8_t>(best - paths_.data()));
}

SlotIndex PathSet::take(PathId path, std::uint32_t data_length) {
  Path& chosen = at(path);
  check(chosen.state == PathState::up && chosen.in_flight < chosen.depth,
        "a request goes to a path that has room for it");
  ++chosen.in_flight;
  if (data_length <= chosen.in_capsule_limit) return kNoSlot;
  const std::optional<SlotIndex> slot = chosen.slots.take(data_length);
  check(slot.has_value(), "a write goes to a path that has a slot for it");
  return *slot;
}

void PathSet::give_back(PathId path, SlotIndex slot) {
  Path& answered = at(path);
  check(answered.in_flight > 0, "only a request in flight is answered");
  --answered.in_flight;
  if (slot != kNoSlot) answered.slots.release(slot);
}

}  // namespace sluice::protocol
