#include "protocol/path_table.h"

#include <algorithm>

#include "protocol/base/check.h"

namespace sluice::protocol {

PathTable::PathTable(VolumeId volume, Gvn gvn, Cookie cookie, std::uint16_t max_paths,
                     std::uint16_t max_depth) noexcept
    : volume_(volume), gvn_(gvn), cookie_(cookie), max_paths_(max_paths), max_depth_(max_depth) {
  check(max_paths >= 1, "a session has at least one path");
  check(max_paths <= kMaxPaths, "a session has no more paths than the table");
  check(max_depth >= 1, "a path takes at least one request");
  check(max_depth <= kMaxPathDepth, "a path's depth lies within its limit");
}

std::optional<PathId> PathTable::attach(Token token, const PathAttach& attach, Gvn fence,
                                        ServerActions& actions) {
  const auto reject = [&](Token whom, StatusCode status, PathEpoch epoch) {
    actions.push_back(RejectPath{whom, {attach.path, status, epoch, fence}});
  };
  // A delayed attach of a session that is gone, or of another boot, doesn't know the cookie.
  if (attach.cookie != cookie_) {
    reject(token, StatusCode::no_session, PathEpoch(0));
    return std::nullopt;
  }
  if (attach.path.value() >= max_paths_) {
    reject(token, StatusCode::limit_reached, PathEpoch(0));
    return std::nullopt;
  }
  Path& path = paths_[attach.path.value()];
  // An epoch is used once: a delayed attach can't take the place of the connection that followed it.
  if (attach.epoch <= highest_epoch(path)) {
    reject(token, StatusCode::expired, highest_epoch(path));
    return std::nullopt;
  }
  if (path.pending) reject(path.pending->token, StatusCode::expired, attach.epoch);
  path.pending = Pending{token, attach.epoch, std::min(attach.depth, max_depth_)};
  if (path.state == State::detached) {
    accept(attach.path, *path.pending, actions);
    return std::nullopt;
  }
  // R4: the old queue pair is destroyed, and its slots are released, before slots are granted again.
  return kill(attach.path, actions) ? std::optional(attach.path) : std::nullopt;
}

PathEpoch PathTable::highest_epoch(const Path& path) const noexcept {
  return path.pending ? path.pending->epoch : path.epoch;
}

void PathTable::accept(PathId id, const Pending& pending, ServerActions& actions) {
  Path& path = paths_[id.value()];
  path.state = State::attached;
  path.epoch = pending.epoch;
  path.depth = pending.depth;
  path.tag = make_path_tag(volume_, gvn_, cookie_, id, pending.epoch);
  actions.push_back(AcceptPath{pending.token, key(id), pending.depth, path.tag});
  path.pending.reset();
}

bool PathTable::kill(PathId id, ServerActions& actions) {
  Path& path = paths_[id.value()];
  if (path.state != State::attached) return false;
  path.state = State::destroying;
  actions.push_back(DestroyQueuePair{key(id)});
  return true;
}

void PathTable::kill_all(Gvn fence, ServerActions& actions) {
  for (std::uint8_t i = 0; i < kMaxPaths; ++i) {
    Path& path = paths_[i];
    if (path.pending) {
      actions.push_back(
          RejectPath{path.pending->token, {PathId(i), StatusCode::no_session, path.pending->epoch, fence}});
      path.pending.reset();
    }
    kill(PathId(i), actions);
  }
}

void PathTable::on_queue_pair_destroyed(PathId id, PathEpoch epoch, ServerActions& actions) {
  check(id.value() < kMaxPaths, "a path's number lies within the table");
  Path& path = paths_[id.value()];
  check(path.state == State::destroying, "a queue pair is destroyed because that was asked for, and once");
  check(path.epoch == epoch, "the queue pair that is destroyed is the one that was to be");
  path.state = State::releasing;
  release_if_unused(id, actions);
}

bool PathTable::hold(PathId id) noexcept {
  Path& path = paths_[id.value()];
  if (path.held == path.depth) return false;
  ++path.held;
  return true;
}

void PathTable::release(PathId id, ServerActions& actions) {
  Path& path = paths_[id.value()];
  check(path.held > 0, "a path is released once for each time that it was held");
  --path.held;
  release_if_unused(id, actions);
}

// R4: memory is only released once no queue pair can reach it, and R3: once no request refers to it.
void PathTable::release_if_unused(PathId id, ServerActions& actions) {
  Path& path = paths_[id.value()];
  if (path.state != State::releasing || path.held != 0) return;
  actions.push_back(ReleasePath{key(id)});
  path.state = State::detached;
  if (path.pending) accept(id, Pending(*path.pending), actions);
}

bool PathTable::is_attached(PathId id, PathEpoch epoch) const noexcept {
  return id.value() < kMaxPaths && is_attached(id) && paths_[id.value()].epoch == epoch;
}

bool PathTable::is_attached(PathId id) const noexcept {
  return paths_[id.value()].state == State::attached;
}

PathKey PathTable::key(PathId id) const noexcept {
  return {gvn_, id, paths_[id.value()].epoch};
}

bool PathTable::all_released() const noexcept {
  return std::all_of(paths_.begin(), paths_.end(),
                     [](const Path& path) { return path.state == State::detached; });
}

}  // namespace sluice::protocol
