// The part of ClientSession that keeps its paths: connect, accept, watch, kill, destroy.

#include <algorithm>
#include <optional>

#include "protocol/client_session.h"

namespace sluice::protocol {

void ClientSession::connect_due_paths(Instant now) {
  for (std::size_t i = 0; i < io_.paths().count(); ++i) {
    const PathId path(static_cast<std::uint8_t>(i));
    if (!io_.paths().may_connect(path, now)) continue;
    ConnectPath action;
    action.address = addresses_[i];
    action.attach = {.path = path,
                     .depth = config_.path_depth,
                     .epoch = io_.paths().connect(path),
                     .gvn = acknowledged_gvn_,
                     .volume = volume_,
                     .cookie = cookie_};
    actions_.add(action);
  }
}

void ClientSession::on_path_accepted(const PathAccept& grant, Instant now) {
  begin_event();
  if (!io_.paths().is_current(grant.path, grant.epoch, PathState::connecting)) return;
  if (const std::optional<PathEnd> fault = fault_of(grant)) {
    kill_path(grant.path, *fault, now);
    advance(now);
    return;
  }
  note_longest_write(grant);
  const PathTag tag = make_path_tag(volume_, acknowledged_gvn_, cookie_, grant.path, grant.epoch);
  io_.paths().accept(grant.path, grant, tag, now);
  keepalive_sent_.at(grant.path.value()) = now;
  io_.pump(now);
  advance(now);
}

/// Why a path of this grant is of no use.
std::optional<PathEnd> ClientSession::fault_of(const PathAccept& grant) const {
  const bool is_as_asked =
      grant.is_consistent() && grant.gvn == acknowledged_gvn_ && grant.depth <= config_.path_depth;
  if (!is_as_asked) return PathEnd::bad_grant;
  const bool carries_writes =
      config_.mode == AccessMode::read_only || grant.longest_write() >= shortest_useful_slot();
  return carries_writes ? std::nullopt : std::optional(PathEnd::small_slots);
}

/// A write is sent in one piece, and stays what it is when another node takes the place of the first.
std::uint32_t ClientSession::shortest_useful_slot() const noexcept {
  return std::max(block_size_, io_.longest_write());
}

/// From now on, writes that every path can carry.
void ClientSession::note_longest_write(const PathAccept& grant) {
  if (config_.mode == AccessMode::read_only) return;
  const std::uint32_t granted =
      std::min(grant.longest_write(), config_.max_data_length) / block_size_ * block_size_;
  longest_write_ = io_.paths().any_in(PathState::up) ? std::min(longest_write_, granted) : granted;
}

void ClientSession::on_path_refused(PathId path, PathEpoch epoch, StatusCode status, Instant now) {
  begin_event();
  if (!io_.paths().is_current(path, epoch, PathState::connecting)) return;
  io_.paths().refuse(path, now);
  // C4: the master decides what a node's "no such session" means.
  if (is_end_of_session(status)) reopen(Standing::lost, now);
  advance(now);
}

void ClientSession::on_path_failed(PathId path, PathEpoch epoch, Instant now) {
  begin_event();
  const bool has_connection = io_.paths().is_current(path, epoch, PathState::up) ||
                              io_.paths().is_current(path, epoch, PathState::connecting);
  if (!has_connection) return;
  kill_path(path, PathEnd::broken, now);
  advance(now);
}

void ClientSession::on_path_destroyed(PathId path, PathEpoch epoch, Instant now) {
  begin_event();
  if (!io_.paths().is_current(path, epoch, PathState::dying)) return;
  io_.paths().destroy(path, now);
  io_.path_destroyed(path, now);
  if (io_.in_session()) connect_due_paths(now);
  advance(now);
}

void ClientSession::on_keepalive(PathId path, PathEpoch epoch, const Keepalive& message, Instant now) {
  begin_event();
  if (!io_.paths().is_current(path, epoch, PathState::up)) return;
  io_.paths().heard(path, now);
  if (!message.reply) actions_.add(SendKeepalive{path, epoch, {.reply = true, .count = message.count}});
}

/// Asks silent paths for a sign of life; returns those that give none.
PathMask ClientSession::check_keepalives(Instant now) {
  PathMask silent = 0;
  for (std::size_t i = 0; i < io_.paths().count(); ++i) {
    const PathId path(static_cast<std::uint8_t>(i));
    if (io_.paths().state(path) != PathState::up) continue;
    const Duration silence = now - io_.paths().last_heard(path);
    if (silence >= config_.keepalive_interval * config_.keepalive_misses) {
      silent |= mask_of(path);
    } else if (std::min(silence, now - keepalive_sent_.at(i)) >= config_.keepalive_interval) {
      keepalive_sent_.at(i) = now;
      actions_.add(SendKeepalive{path, io_.paths().epoch(path), {.reply = false, .count = ++keepalives_}});
    }
  }
  return silent;
}

void ClientSession::disconnect(PathMask paths, PathEnd why) {
  for (std::size_t i = 0; i < kMaxPaths; ++i) {
    const PathId path(static_cast<std::uint8_t>(i));
    if ((paths & mask_of(path)) == 0) continue;
    io_.paths().kill(path);
    actions_.add(KillPath{path, io_.paths().epoch(path), why});
  }
}

/// What was under way on paths that were disconnected.
void ClientSession::send_again(PathMask lost, Instant now) {
  for (std::size_t i = 0; i < kMaxPaths; ++i) {
    const PathId path(static_cast<std::uint8_t>(i));
    if ((lost & mask_of(path)) != 0) io_.path_killed(path, now);
  }
}

void ClientSession::kill_path(PathId path, PathEnd why, Instant now) {
  disconnect(mask_of(path), why);
  io_.path_killed(path, now);
}

/// Nothing more is sent in the present session, if there is one, and its paths die.
void ClientSession::leave_session() {
  if (!io_.in_session()) return;
  PathMask connected = 0;
  for (std::size_t i = 0; i < kMaxPaths; ++i) {
    const PathId path(static_cast<std::uint8_t>(i));
    const PathState state = io_.paths().state(path);
    if (state == PathState::up || state == PathState::connecting) connected |= mask_of(path);
  }
  disconnect(connected, PathEnd::not_needed);
  io_.end_session();
}

void ClientSession::note_paths(Instant now) {
  if (io_.paths().any_in(PathState::up)) {
    lost_since_.reset();
  } else if (!lost_since_ && acknowledged_gvn_ != Gvn(0)) {
    lost_since_ = now;
  }
}

}  // namespace sluice::protocol
