#include "protocol/client_session.h"

#include <algorithm>

#include "protocol/base/check.h"

namespace sluice::protocol {
namespace {

/// Each operation is sent and completed at most once in an event; the rest is a few for each path, and
/// messages.
std::size_t max_actions(const ClientConfig& config) {
  return std::size_t{2} * config.max_outstanding + 4 * kMaxPaths + 16;
}

/// Whether asking the same question again can't help. What isn't final is a matter of time or of an
/// operator.
bool is_final(StatusCode status) noexcept {
  switch (status) {
    case StatusCode::busy:
    case StatusCode::stale_version:
    case StatusCode::not_found:
    case StatusCode::exhausted:
    case StatusCode::invalid_request:
    case StatusCode::invalid_argument:
    case StatusCode::version_mismatch:
    case StatusCode::unsupported:
    case StatusCode::permission_denied:
      return true;
    default:
      return false;
  }
}

}  // namespace

std::string_view to_string(SessionPhase phase) noexcept {
  switch (phase) {
    case SessionPhase::idle:
      return "idle";
    case SessionPhase::opening:
      return "opening";
    case SessionPhase::joining:
      return "joining";
    case SessionPhase::active:
      return "active";
    case SessionPhase::reopening:
      return "reopening";
    case SessionPhase::replacing:
      return "replacing";
    case SessionPhase::closing:
      return "closing";
    case SessionPhase::ended:
      return "ended";
  }
  return "unknown_session_phase";
}

ClientSession::ClientSession(const ClientConfig& config)
    : config_(config),
      actions_(max_actions(config)),
      io_({config.max_outstanding, config.max_window, config.io_timeout}, config.reconnect, actions_),
      longest_write_(config.max_data_length) {}

void ClientSession::begin_event() const {
  check(actions_.view().empty(), "the owner does a session's actions before the next event");
}

void ClientSession::enter(SessionPhase phase, Instant now, StatusCode reason) {
  phase_ = phase;
  phase_since_ = now;
  first_of_phase_ = next_request_;
  ask_wait_ = config_.ask_again.min;
  actions_.add(ReportPhase{phase, gvn_, reason});
}

bool ClientSession::is_end_of_session(StatusCode status) noexcept {
  return status == StatusCode::stale_version || status == StatusCode::no_session ||
         status == StatusCode::not_found || status == StatusCode::moving;
}

// --- Asking ------------------------------------------------------------------------------------------

/// Sends the question of the present phase, and again after `control_timeout` without an answer.
void ClientSession::ask(Instant now) {
  const RequestId id = next_request_;
  next_request_ = RequestId(id.value() + 1);
  ask_at_ = now + config_.control_timeout;
  switch (phase_) {
    case SessionPhase::opening:
    case SessionPhase::reopening:
      actions_.add(SendOpen{id, open_request()});
      break;
    case SessionPhase::joining:
      actions_.add(SendSessionOpen{id, node_, {volume_, gvn_, config_.client, nonce_}});
      break;
    case SessionPhase::closing: {
      const NodeId to = close_step_ == CloseStep::tell_node ? acknowledged_node_ : NodeId(0);
      const Gvn gvn = close_step_ == CloseStep::tell_node ? acknowledged_gvn_ : gvn_;
      actions_.add(SendClose{id, to, {volume_, gvn, config_.client, nonce_}});
      break;
    }
    case SessionPhase::idle:
    case SessionPhase::active:
    case SessionPhase::replacing:
    case SessionPhase::ended:
      check(false, "a phase without a question asks none");
  }
}

void ClientSession::ask_again_later(Instant now) {
  ask_at_ = now + ask_wait_;
  ask_wait_ = std::min(ask_wait_ * 2, config_.ask_again.max);
}

bool ClientSession::expects(RequestId id) const noexcept {
  return id >= first_of_phase_ && id < next_request_;
}

OpenRequest ClientSession::open_request() const {
  OpenRequest request;
  request.mode = config_.mode;
  request.client = config_.client;
  request.nonce = nonce_;
  if (phase_ == SessionPhase::opening) {
    request.kind = OpenKind::open;
    request.steal = config_.steal;
    request.name = config_.volume;
    return request;
  }
  // C4: without steal. With no node and boot named, the master gives a newer version in any case.
  request.kind = OpenKind::reopen;
  request.volume = volume_;
  request.previous_gvn = gvn_;
  if (standing_ == Standing::perhaps) {
    request.node = acknowledged_node_;
    request.boot = acknowledged_boot_;
  }
  return request;
}

// --- Opening and reopening ---------------------------------------------------------------------------

void ClientSession::open(Nonce nonce, Instant now) {
  begin_event();
  check(phase_ == SessionPhase::idle, "a session is opened once");
  check(nonce != Nonce(0), "an opening has a nonce");
  nonce_ = nonce;
  enter(SessionPhase::opening, now);
  ask(now);
}

void ClientSession::on_open_answer(RequestId id, const OpenAnswer& answer, Instant now) {
  begin_event();
  if (!expects(id) || !answer.is_consistent()) return;
  if (phase_ == SessionPhase::opening && answer.kind == OpenKind::open) opening_answered(answer, now);
  if (phase_ == SessionPhase::reopening && answer.kind == OpenKind::reopen) reopening_answered(answer, now);
  advance(now);
}

void ClientSession::opening_answered(const OpenAnswer& answer, Instant now) {
  if (answer.status == StatusCode::ok && adopt(answer)) {
    enter(SessionPhase::joining, now);
    ask(now);
    return;
  }
  last_refusal_ = answer.status == StatusCode::ok ? StatusCode::unavailable : answer.status;
  if (is_final(answer.status)) {
    end(answer.status, now);
    return;
  }
  ask_again_later(now);
}

void ClientSession::reopening_answered(const OpenAnswer& answer, Instant now) {
  if (is_final(answer.status)) {
    end(answer.status, now);  // C4: no longer the holder, so it fails for good
    return;
  }
  const bool stands = answer.status == StatusCode::ok && answer.gvn == gvn_ && standing_ == Standing::perhaps;
  if (stands) {
    enter(SessionPhase::active, now);
    return;
  }
  if (answer.status != StatusCode::ok || answer.gvn <= gvn_ || !adopt(answer)) {
    ask_again_later(now);
    return;
  }
  leave_session();
  enter(SessionPhase::replacing, now);
}

/// Takes over what the master gave; false if that is nothing to work with.
bool ClientSession::adopt(const OpenAnswer& answer) {
  if (answer.addresses.empty() || answer.mode != config_.mode) return false;
  volume_ = answer.volume;
  gvn_ = answer.gvn;
  policy_ = answer.policy;
  size_ = answer.size;
  block_size_ = answer.block_size;
  node_ = answer.node;
  addresses_ = answer.addresses;
  return true;
}

void ClientSession::on_session_answer(RequestId id, const SessionAnswer& answer, Instant now) {
  begin_event();
  const bool expected = phase_ == SessionPhase::joining && expects(id) && answer.is_consistent() &&
                        answer.volume == volume_ && answer.gvn == gvn_;
  if (!expected) return;
  if (answer.status == StatusCode::ok) {
    activate(answer, now);
  } else if (is_end_of_session(answer.status)) {
    reopen(Standing::lost, now);
  } else {
    ask_again_later(now);
  }
  advance(now);
}

void ClientSession::activate(const SessionAnswer& answer, Instant now) {
  acknowledged_gvn_ = gvn_;
  acknowledged_node_ = node_;
  acknowledged_boot_ = answer.boot;
  cookie_ = answer.cookie;
  standing_ = Standing::perhaps;
  if (gave_up_) lost_since_ = now;  // the new session gets the whole deadline
  gave_up_ = false;
  io_.paths().reset(std::min<std::size_t>(addresses_.size(), answer.max_paths), now);
  io_.begin_session(gvn_, answer.window, policy_);  // C5
  enter(SessionPhase::active, now);
  connect_due_paths(now);
}

/// Asks the master whether this opening is still the holder, and whether its session still stands (C4).
void ClientSession::reopen(Standing standing, Instant now) {
  if (standing == Standing::lost) leave_session();
  standing_ = standing;
  enter(SessionPhase::reopening, now);
  ask(now);
}

/// For good. What was never sent fails; what was sent completes as unknown once its paths are destroyed.
void ClientSession::end(StatusCode reason, Instant now) {
  leave_session();
  end_reason_ = reason;
  enter(SessionPhase::ended, now, reason);
  io_.abandon(reason == StatusCode::ok ? StatusCode::cancelled : reason);
}

// --- IO ----------------------------------------------------------------------------------------------

StatusCode ClientSession::submit(const IoSubmission& io, Instant now) {
  begin_event();
  if (phase_ == SessionPhase::ended) {
    return end_reason_ == StatusCode::ok ? StatusCode::cancelled : end_reason_;
  }
  if (closing_) return StatusCode::shutting_down;
  if (acknowledged_gvn_ == Gvn(0) || gave_up_) return StatusCode::unavailable;
  if (config_.mode == AccessMode::read_only && changes_data(io.op)) return StatusCode::read_only;
  const std::uint32_t longest = io.op == IoOp::write ? longest_write_ : config_.max_data_length;
  if (!is_valid(io, {size_, block_size_, longest})) return StatusCode::invalid_request;
  if (io_.full()) return StatusCode::queue_full;
  io_.submit(io, now);
  return StatusCode::ok;
}

void ClientSession::on_response(PathId path, PathEpoch epoch, const IoResponse& response, Instant now) {
  begin_event();
  if (!io_.paths().is_current(path, epoch, PathState::up)) return;
  io_.paths().heard(path, now);
  act_on_verdict(io_.respond(path, response, now), path, now);
  advance(now);
}

void ClientSession::act_on_verdict(ResponseVerdict verdict, PathId path, Instant now) {
  switch (verdict) {
    case ResponseVerdict::fine:
      break;
    case ResponseVerdict::path_broken:
      kill_path(path, PathEnd::wrong_response, now);
      break;
    case ResponseVerdict::session_over:
    case ResponseVerdict::session_confused:
      reopen(Standing::lost, now);
      break;
  }
}

// --- Closing -----------------------------------------------------------------------------------------

void ClientSession::close(Instant now) {
  begin_event();
  if (closing_ || phase_ == SessionPhase::ended) return;
  closing_ = true;
  close_step_since_ = now;
  if (phase_ == SessionPhase::idle) end(StatusCode::ok, now);
  advance(now);
}

void ClientSession::start_closing(Instant now) {
  leave_session();
  close_step_ = acknowledged_gvn_ == Gvn(0) ? CloseStep::tell_master : CloseStep::tell_node;
  close_step_since_ = now;
  enter(SessionPhase::closing, now);
  ask(now);
}

void ClientSession::on_close_answer(RequestId id, const CloseAnswer& answer, Instant now) {
  begin_event();
  if (phase_ != SessionPhase::closing || !expects(id) || answer.volume != volume_) return;
  // Not the holder's, or no such session: there is nothing left to close.
  if (answer.status == StatusCode::ok || is_final(answer.status) || is_end_of_session(answer.status)) {
    close_step_over(now);
  } else {
    ask_again_later(now);
  }
  advance(now);
}

void ClientSession::close_step_over(Instant now) {
  if (close_step_ == CloseStep::tell_master) {
    end(close_unconfirmed_ ? StatusCode::timed_out : StatusCode::ok, now);
    return;
  }
  close_step_ = CloseStep::tell_master;
  close_step_since_ = now;
  enter(SessionPhase::closing, now);
  ask(now);
}

// --- Time --------------------------------------------------------------------------------------------

void ClientSession::on_tick(Instant now) {
  begin_event();
  if (io_.in_session()) {
    connect_due_paths(now);
    const PathMask unanswered = io_.overdue(now);  // a timed-out request kills its connection
    const PathMask silent = check_keepalives(now);
    // All of them at once, so that nothing is sent again on one that is next.
    disconnect(silent, PathEnd::silent);
    disconnect(static_cast<PathMask>(unanswered & ~silent), PathEnd::unanswered);
    send_again(unanswered | silent, now);
  }
  const bool waits_for_answer = phase_ == SessionPhase::opening || phase_ == SessionPhase::reopening ||
                                phase_ == SessionPhase::joining || phase_ == SessionPhase::closing;
  if (waits_for_answer && now >= ask_at_) ask(now);
  advance(now);
}

/// What the passing of time, or an event, has made possible.
void ClientSession::advance(Instant now) {
  note_paths(now);
  give_up(now);
  const bool phase_is_old = now - phase_since_ >= config_.ask_master_after;
  if (phase_ == SessionPhase::opening && now - phase_since_ >= config_.open_timeout) end(last_refusal_, now);
  if (phase_ == SessionPhase::joining && phase_is_old) reopen(Standing::lost, now);
  if (phase_ == SessionPhase::active && phase_is_old && lost_since_ &&
      now - *lost_since_ >= config_.ask_master_after) {
    reopen(Standing::perhaps, now);
  }
  if (phase_ == SessionPhase::replacing && io_.paths().all_down()) {
    enter(SessionPhase::joining, now);
    ask(now);
  }

  const bool step_timed_out = closing_ && now - close_step_since_ >= config_.close_timeout;
  if (phase_ == SessionPhase::closing) {
    if (step_timed_out && close_step_ == CloseStep::tell_master) {
      end(StatusCode::timed_out, now);
    } else if (step_timed_out) {
      close_unconfirmed_ = true;  // C2: what the session left in flight may still have its effect
      close_step_over(now);
    }
  } else if (closing_ && phase_ != SessionPhase::ended) {
    const bool may_start = phase_ != SessionPhase::opening && (io_.idle() || step_timed_out);
    if (may_start) start_closing(now);
  }
}

/// C2: OnLoss::fail. Nothing of the session is sent any more, and only a newer one takes its place.
void ClientSession::give_up(Instant now) {
  const bool due = config_.on_loss == OnLoss::fail && lost_since_ && !gave_up_ &&
                   now - *lost_since_ >= config_.loss_deadline;
  if (!due || phase_ == SessionPhase::ended || phase_ == SessionPhase::closing) return;
  gave_up_ = true;
  const bool in_session = io_.in_session();
  leave_session();
  io_.abandon(StatusCode::unavailable);
  if (in_session) reopen(Standing::lost, now);
}

}  // namespace sluice::protocol
