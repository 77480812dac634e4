#include "protocol/volume_sessions.h"

#include <algorithm>

#include "protocol/base/check.h"

namespace sluice::protocol {
namespace {

constexpr std::size_t kNotFound = SIZE_MAX;

}  // namespace

VolumeSessions::VolumeSessions(const VolumeSessionsConfig& config, const VolumeRecovery& found)
    : config_(config),
      fence_(found.fence),
      highest_persisted_(found.fence),
      manager_version_(found.manager_version),
      unflushed_writes_may_be_lost_(found.writes_may_be_lost) {}

void VolumeSessions::on_manager_version(ManagerVersion seen) noexcept {
  manager_version_ = std::max(manager_version_, seen);
}

void VolumeSessions::on_session_open(Token token, const SessionOpen& open, Cookie cookie, Instant now,
                                     ServerActions& actions) {
  check(open.volume == config_.volume, "a session open is given to the volume that it names");
  if (!backend_is_locked_) {  // F2
    return refuse(token, open.gvn, StatusCode::unavailable, actions);
  }
  // Its acknowledgement was lost and is asked for again: by this very opening, not by another of its client.
  if (const ServerSession* same = find(open.gvn); same != nullptr && same->is_active() &&
                                                  same->config().client == open.client &&
                                                  same->config().nonce == open.nonce) {
    return acknowledge(token, *same, actions);
  }
  // Never accepted twice, and nothing older: delayed opens, opens from before a restart, other openings.
  if (is_fenced(open.gvn)) {
    return refuse(token, open.gvn, StatusCode::stale_version, actions);
  }
  if (const std::size_t index = find_candidate(open); index != kNotFound) {
    Candidate& candidate = candidates_[index];
    if (candidate.token) refuse(*candidate.token, open.gvn, StatusCode::unavailable, actions);
    candidate.token = token;
    candidate.deadline = now + config_.open_timeout;
    // The master's answer may have been lost, with the connection or with the master.
    if (candidate.phase == Candidate::Phase::verifying) ask_master(candidate, actions);
    return;
  }
  if (candidates_.full()) return refuse(token, open.gvn, StatusCode::unavailable, actions);

  // P3, first: the master says whether this is the volume's session.
  Candidate candidate;
  candidate.open = open;
  candidate.cookie = cookie;
  candidate.token = token;
  candidate.deadline = now + config_.open_timeout;
  last_verify_ = RequestId(last_verify_.value() + 1);
  candidate.verify_id = last_verify_;
  candidates_.push_back(candidate);
  ask_master(candidate, actions);
}

void VolumeSessions::ask_master(const Candidate& candidate, ServerActions& actions) const {
  const SessionOpen& open = candidate.open;
  actions.push_back(AskMaster{candidate.verify_id,
                              {open.volume, open.gvn, open.client, open.nonce, config_.node, config_.boot}});
}

std::optional<Gvn> VolumeSessions::prepare_hello(ServerActions& actions) {
  bool fence_is_being_written = false;
  for (std::size_t i = candidates_.size(); i > 0; --i) {
    const Candidate& candidate = candidates_[i - 1];
    if (candidate.phase == Candidate::Phase::persisting) {
      fence_is_being_written = true;
      continue;
    }
    answer_open(candidate, StatusCode::unavailable, actions);
    remove_candidate(i - 1);
  }
  return fence_is_being_written ? std::nullopt : std::optional(fence_.value());
}

void VolumeSessions::on_verify_answer(RequestId id, const VerifyAnswer& answer, ServerActions& actions) {
  // A deposed master's word is void (P1), whatever it says.
  if (answer.manager_version < manager_version_) {
    ++ignored_answers_;
    return;
  }
  manager_version_ = answer.manager_version;
  const auto* const asked =
      std::find_if(candidates_.begin(), candidates_.end(), [id](const Candidate& candidate) {
        return candidate.kind == Candidate::Kind::open && candidate.phase == Candidate::Phase::verifying &&
               candidate.verify_id == id;
      });
  if (asked == candidates_.end()) {
    ++ignored_answers_;
    return;
  }
  const auto index = static_cast<std::size_t>(asked - candidates_.begin());
  Candidate& candidate = candidates_[index];
  if (!is_verified(candidate, answer)) {
    const StatusCode why = answer.status == StatusCode::ok ? StatusCode::stale_version : answer.status;
    answer_open(candidate, why, actions);
    return remove_candidate(index);
  }
  candidate.phase = Candidate::Phase::draining;
  candidate.verified = answer;
  advance(actions);
}

/// Only the volume's current GVN passes; of readers, those of the current era.
bool VolumeSessions::is_verified(const Candidate& candidate, const VerifyAnswer& answer) const noexcept {
  const Gvn gvn = candidate.open.gvn;
  if (answer.status != StatusCode::ok || answer.volume != config_.volume || answer.gvn != gvn) return false;
  if (sluice::manager_version(gvn) > answer.manager_version) return false;
  return answer.mode == AccessMode::read_only ? gvn <= answer.current_gvn : gvn == answer.current_gvn;
}

/// P3 from the verification on, as far as it goes now; called after every event that may move it on.
void VolumeSessions::advance(ServerActions& actions) {
  reap(actions);
  const std::size_t index = best_verified();
  if (index == kNotFound || candidates_[index].phase == Candidate::Phase::persisting) return;
  Candidate& candidate = candidates_[index];
  // Stop admitting, destroy the queue pairs, drain (F1: nothing is cancelled, its end is waited for).
  if (!end_older_sessions(candidate, actions)) return;
  if (candidate.kind == Candidate::Kind::open && free_place() == nullptr) {
    answer_open(candidate, StatusCode::limit_reached, actions);
    remove_candidate(index);
    return advance(actions);
  }
  if (candidate.open.gvn == fence_.value()) {  // a quiesce of the last session: the fence is its tombstone
    answer_open(candidate, StatusCode::ok, actions);
    remove_candidate(index);
    return advance(actions);
  }
  // Make the fence durable.
  candidate.phase = Candidate::Phase::persisting;
  highest_persisted_ = std::max(highest_persisted_, candidate.open.gvn);
  actions.push_back(PersistFence{config_.volume, candidate.open.gvn, manager_version_});
}

/// The verified candidate to go on with: one whose fence is being written, or else the newest.
std::size_t VolumeSessions::best_verified() const noexcept {
  std::size_t best = kNotFound;
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    const Candidate& candidate = candidates_[i];
    if (candidate.phase == Candidate::Phase::persisting) return i;
    if (candidate.phase == Candidate::Phase::verifying) continue;
    if (best == kNotFound || candidates_[best].open.gvn < candidate.open.gvn) best = i;
  }
  return best;
}

/// Whether every session that `candidate` replaces is over; ends those that aren't.
bool VolumeSessions::end_older_sessions(const Candidate& candidate, ServerActions& actions) {
  for (Held& held : held_) {
    if (!held.session || shares_era(*held.session, candidate)) continue;
    held.session->stop(fence_.value(), actions);
  }
  reap(actions);  // what had nothing to drain
  return std::all_of(held_.begin(), held_.end(),
                     [&](const Held& held) { return !held.session || shares_era(*held.session, candidate); });
}

/// Readers of one era live side by side; a writer's open, or a reader's after a writer's, ends them. A reader
/// that reopened has one session, the newer: its older ones would fill the volume's places.
bool VolumeSessions::shares_era(const ServerSession& session, const Candidate& candidate) const noexcept {
  const ServerSessionConfig& held = session.config();
  const bool is_same_opening = held.client == candidate.open.client && held.nonce == candidate.open.nonce;
  return candidate.kind == Candidate::Kind::open && candidate.verified.mode == AccessMode::read_only &&
         held.mode == AccessMode::read_only && held.era == candidate.verified.era && !is_same_opening;
}

/// Forgets the sessions that are over, and tells whoever asked for that.
void VolumeSessions::reap(ServerActions& actions) {
  for (Held& held : held_) {
    if (!held.session || !held.session->is_drained()) continue;
    // P4: the next writer's first flush must tell.
    unflushed_writes_may_be_lost_ |= held.session->leaves_unflushed_writes();
    refusals_of_ended_.add(held.session->refusals());
    // C2: a confirmed close: nothing of the session can have an effect any more.
    if (held.closer) answer_close(*held.closer, held.session->config().gvn, StatusCode::ok, actions);
    held = Held{};
  }
}

void VolumeSessions::on_fence_durable(Gvn fence, StatusCode durable, ServerActions& actions) {
  const std::size_t index = best_verified();
  check(index != kNotFound, "a fence is made durable for somebody");
  check(candidates_[index].phase == Candidate::Phase::persisting, "a fence is made durable once asked for");
  check(candidates_[index].open.gvn == fence, "the fence that is durable is the one that was asked for");
  const Candidate candidate = candidates_[index];
  remove_candidate(index);
  if (durable != StatusCode::ok) {
    // The older sessions are over and stay so; the disk may hold the new fence or the old one. This GVN or a
    // higher one can try again.
    answer_open(candidate, durable, actions);
    drop_fenced_candidates(actions);
    return advance(actions);
  }
  fence_.raise(fence);
  if (candidate.kind == Candidate::Kind::open) {
    establish(candidate, actions);
  } else {
    answer_open(candidate, StatusCode::ok, actions);
  }
  drop_fenced_candidates(actions);
  advance(actions);
}

/// Last step of P3: the session exists, and only now is it acknowledged.
void VolumeSessions::establish(const Candidate& candidate, ServerActions& actions) {
  Held* const place = free_place();
  check(place != nullptr, "a place was free before the fence was written, and nobody else takes one");
  const VerifyAnswer& verified = candidate.verified;
  ServerSessionConfig session;
  session.volume = config_.volume;
  session.gvn = candidate.open.gvn;
  session.era = verified.era;
  session.client = candidate.open.client;
  session.nonce = candidate.open.nonce;
  session.cookie = candidate.cookie;
  session.mode = verified.mode;
  session.policy = verified.policy;
  session.size = verified.size;
  session.block_size = verified.block_size;
  session.window_size = config_.window_size;
  session.max_paths = config_.max_paths;
  session.path_depth = config_.path_depth;
  // P4: readers lost nothing, and mustn't take the news from the writer that comes after them.
  if (verified.mode == AccessMode::read_write) {
    session.fail_next_flush = unflushed_writes_may_be_lost_;
    unflushed_writes_may_be_lost_ = false;  // the session has it now, and leaves it if it never flushes
  }
  place->session = std::make_unique<ServerSession>(session);
  if (candidate.token) acknowledge(*candidate.token, *place->session, actions);
}

/// Whether a session of `gvn` must never be accepted any more. A version whose fence may or may not have
/// reached the disk can be tried again, but none below it: the fence on the disk never falls.
bool VolumeSessions::is_fenced(Gvn gvn) const noexcept {
  return !fence_.is_below(gvn) || gvn < highest_persisted_;
}

void VolumeSessions::drop_fenced_candidates(ServerActions& actions) {
  for (std::size_t i = candidates_.size(); i > 0; --i) {
    const Candidate& candidate = candidates_[i - 1];
    const bool is_open = candidate.kind == Candidate::Kind::open;
    if (is_open ? !is_fenced(candidate.open.gvn) : candidate.open.gvn >= highest_persisted_) continue;
    answer_open(candidate, StatusCode::stale_version, actions);
    remove_candidate(i - 1);
  }
}

VolumeSessions::Held* VolumeSessions::free_place() noexcept {
  auto* const place =
      std::find_if(held_.begin(), held_.end(), [](const Held& held) { return !held.session; });
  return place == held_.end() ? nullptr : place;
}

void VolumeSessions::on_quiesce(Token token, const QuiesceRequest& request, Instant now,
                                ServerActions& actions) {
  check(request.volume == config_.volume, "a quiesce is given to the volume that it names");
  if (request.manager_version < manager_version_) {
    ++ignored_answers_;
    return answer_quiesce(token, StatusCode::not_master, actions);
  }
  manager_version_ = request.manager_version;
  if (!backend_is_locked_) return answer_quiesce(token, StatusCode::unavailable, actions);
  // A newer session has been accepted since this quiesce was sent.
  if (request.gvn < highest_persisted_) {
    return answer_quiesce(token, StatusCode::stale_version, actions);
  }
  if (candidates_.full()) return answer_quiesce(token, StatusCode::unavailable, actions);
  // The tombstone is the fence at the volume's highest version, with no session: nothing up to it can come
  // back.
  Candidate candidate;
  candidate.kind = Candidate::Kind::quiesce;
  candidate.phase = Candidate::Phase::draining;
  candidate.open.volume = request.volume;
  candidate.open.gvn = request.gvn;
  candidate.token = token;
  candidate.deadline = now + config_.open_timeout;
  candidates_.push_back(candidate);
  advance(actions);
}

void VolumeSessions::on_close(Token token, const CloseRequest& request, Instant now, ServerActions& actions) {
  check(request.volume == config_.volume, "a close is given to the volume that it names");
  // F2: what the process before this one left in flight may be the session's, and isn't over.
  if (!backend_is_locked_) return answer_close(token, request.gvn, StatusCode::unavailable, actions);
  for (Held& held : held_) {
    if (!held.session || held.session->config().gvn != request.gvn) continue;
    if (held.session->config().client != request.client || held.session->config().nonce != request.nonce) {
      return answer_close(token, request.gvn, StatusCode::no_session, actions);
    }
    if (held.closer) answer_close(*held.closer, request.gvn, StatusCode::unavailable, actions);
    held.closer = token;
    held.close_deadline = now + config_.open_timeout;
    held.session->stop(fence_.value(), actions);
    return advance(actions);
  }
  // Over already, and never to come back; or never accepted, and then it may yet be: a delayed open.
  const StatusCode status = fence_.is_below(request.gvn) ? StatusCode::no_session : StatusCode::ok;
  answer_close(token, request.gvn, status, actions);
}

// P3: an open that hangs fails by its deadline; the fencing itself goes on, and is never cut short.
void VolumeSessions::on_tick(Instant now, ServerActions& actions) {
  for (std::size_t i = candidates_.size(); i > 0; --i) {
    Candidate& candidate = candidates_[i - 1];
    if (now < candidate.deadline) continue;
    answer_open(candidate, StatusCode::timed_out, actions);
    candidate.token.reset();
    if (candidate.phase == Candidate::Phase::verifying) remove_candidate(i - 1);
  }
  for (Held& held : held_) {
    if (!held.closer || now < held.close_deadline) continue;
    answer_close(*held.closer, held.session->config().gvn, StatusCode::timed_out, actions);
    held.closer.reset();
  }
}

void VolumeSessions::on_path_attach(Token token, const PathAttach& attach, ServerActions& actions) {
  check(attach.volume == config_.volume, "an attach is given to the volume that it names");
  ServerSession* session = find(attach.gvn);
  if (session == nullptr || !session->is_active()) {
    const bool is_stale = attach.gvn < fence_.value();
    const StatusCode status = is_stale ? StatusCode::stale_version : StatusCode::no_session;
    actions.push_back(RejectPath{token, {attach.path, status, PathEpoch(0), fence_.value()}});
    return;
  }
  session->on_path_attach(token, attach, fence_.value(), actions);
}

void VolumeSessions::on_path_lost(const PathKey& path, ServerActions& actions) {
  if (ServerSession* session = find(path.gvn)) session->on_path_lost(path, actions);
}

void VolumeSessions::on_queue_pair_destroyed(const PathKey& path, ServerActions& actions) {
  ServerSession* session = find(path.gvn);
  check(session != nullptr, "a session outlives its queue pairs");
  session->on_queue_pair_destroyed(path, actions);
  if (!session->is_active()) advance(actions);
}

void VolumeSessions::on_request(const PathKey& path, std::span<const std::byte> capsule,
                                ServerActions& actions) {
  // What was still in the completion queue when its queue pair was destroyed has no session, and no way back.
  ServerSession* session = find(path.gvn);
  if (session == nullptr) return;
  session->on_request(path, capsule, fence_.value(), actions);
}

bool VolumeSessions::may_submit(Gvn gvn, AttemptId attempt, ServerActions& actions) {
  ServerSession* session = find(gvn);
  check(session != nullptr, "a session outlives its attempts");
  const bool may = session->may_submit(attempt, actions);
  if (!session->is_active()) advance(actions);
  return may;
}

void VolumeSessions::on_bad_payload(Gvn gvn, AttemptId attempt, ServerActions& actions) {
  ServerSession* session = find(gvn);
  check(session != nullptr, "a session outlives its attempts");
  session->on_bad_payload(attempt, actions);
  if (!session->is_active()) advance(actions);
}

void VolumeSessions::on_io_done(Gvn gvn, AttemptId attempt, const IoOutcome& outcome,
                                ServerActions& actions) {
  ServerSession* session = find(gvn);
  check(session != nullptr, "a session outlives its attempts");
  session->on_io_done(attempt, outcome, actions);
  if (!session->is_active()) advance(actions);
}

const ServerSession* VolumeSessions::session(Gvn gvn) const noexcept {
  const auto* const held = std::find_if(held_.begin(), held_.end(), [gvn](const Held& each) {
    return each.session && each.session->config().gvn == gvn;
  });
  return held == held_.end() ? nullptr : held->session.get();
}

FixedVector<const ServerSession*, kMaxVolumeSessions> VolumeSessions::sessions() const noexcept {
  FixedVector<const ServerSession*, kMaxVolumeSessions> all;
  for (const Held& held : held_) {
    if (held.session) all.push_back(held.session.get());
  }
  return all;
}

bool VolumeSessions::owes_flush_error() const noexcept {
  return unflushed_writes_may_be_lost_ || std::any_of(held_.begin(), held_.end(), [](const Held& held) {
           return held.session && held.session->owes_flush_error();
         });
}

ServerSession* VolumeSessions::find(Gvn gvn) noexcept {
  auto* const held = std::find_if(held_.begin(), held_.end(), [gvn](const Held& each) {
    return each.session && each.session->config().gvn == gvn;
  });
  return held == held_.end() ? nullptr : held->session.get();
}

RefusalCounts VolumeSessions::refusals() const noexcept {
  RefusalCounts sum = refusals_of_ended_;
  for (const Held& held : held_) {
    if (held.session) sum.add(held.session->refusals());
  }
  return sum;
}

std::size_t VolumeSessions::find_candidate(const SessionOpen& open) const noexcept {
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    if (candidates_[i].kind == Candidate::Kind::open && candidates_[i].open == open) return i;
  }
  return kNotFound;
}

void VolumeSessions::remove_candidate(std::size_t index) noexcept {
  candidates_[index] = candidates_[candidates_.size() - 1];
  candidates_.pop_back();
}

/// Tells a candidate how it ended, unless it has been told that this takes too long.
void VolumeSessions::answer_open(const Candidate& candidate, StatusCode status,
                                 ServerActions& actions) const {
  if (!candidate.token) return;
  if (candidate.kind == Candidate::Kind::quiesce) {
    return answer_quiesce(*candidate.token, status, actions);
  }
  refuse(*candidate.token, candidate.open.gvn, status, actions);
}

void VolumeSessions::acknowledge(Token token, const ServerSession& session, ServerActions& actions) const {
  SessionAnswer answer = make_answer(session.config().gvn, StatusCode::ok);
  answer.cookie = session.config().cookie;
  answer.window = session.config().window_size;
  answer.max_paths = session.config().max_paths;
  actions.push_back(AnswerSession{token, answer});
}

void VolumeSessions::refuse(Token token, Gvn gvn, StatusCode status, ServerActions& actions) const {
  actions.push_back(AnswerSession{token, make_answer(gvn, status)});
}

SessionAnswer VolumeSessions::make_answer(Gvn gvn, StatusCode status) const noexcept {
  SessionAnswer answer;
  answer.status = status;
  answer.volume = config_.volume;
  answer.gvn = gvn;
  answer.fence = fence_.value();
  answer.manager_version = manager_version_;
  answer.node = config_.node;
  answer.boot = config_.boot;
  return answer;
}

void VolumeSessions::answer_quiesce(Token token, StatusCode status, ServerActions& actions) const {
  actions.push_back(AnswerQuiesce{token, {status, config_.volume, fence_.value()}});
}

void VolumeSessions::answer_close(Token token, Gvn gvn, StatusCode status, ServerActions& actions) const {
  actions.push_back(AnswerClose{token, {status, config_.volume, gvn}});
}

}  // namespace sluice::protocol
