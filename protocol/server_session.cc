#include "protocol/server_session.h"

#include <algorithm>

#include "protocol/base/check.h"

namespace sluice::protocol {
namespace {

std::uint32_t max_attempts(const ServerSessionConfig& config) {
  return std::uint32_t{config.max_paths} * config.path_depth;
}

/// What a backend's failure is to the client: one of the few statuses that end an operation for good. Any
/// other would have it asked for for ever, because the window keeps it.
StatusCode final_status(StatusCode of_backend) noexcept {
  const bool is_final = of_backend == StatusCode::ok || of_backend == StatusCode::no_space;
  return is_final ? of_backend : StatusCode::io_error;
}

/// W1, third row: length, alignment and range. Written so that no sum can overflow.
bool is_in_range(const IoRequest& request, const ServerSessionConfig& volume) noexcept {
  if (request.op == IoOp::flush) return true;
  const bool carries_data = request.op == IoOp::read || request.op == IoOp::write;
  const std::uint32_t longest = carries_data ? kMaxDataLength : kMaxRangeLength;
  const std::uint64_t offset = request.offset.value();
  return request.length != 0 && request.length <= longest && request.length % volume.block_size == 0 &&
         offset % volume.block_size == 0 && offset <= volume.size.value() &&
         request.length <= volume.size.value() - offset;
}

}  // namespace

ServerSession::ServerSession(const ServerSessionConfig& config)
    : config_(config),
      window_(config.window_size, max_attempts(config)),
      paths_(config.volume, config.gvn, config.cookie, config.max_paths, config.path_depth),
      attempts_(max_attempts(config)),
      fail_next_flush_(config.fail_next_flush) {
  free_attempts_.reserve(attempts_.size());
  for (std::uint32_t i = max_attempts(config); i > 0; --i)
    free_attempts_.emplace_back(i - 1);
}

void ServerSession::on_request(const PathKey& path, std::span<const std::byte> capsule, Gvn fence,
                               ServerActions& actions) {
  // Completions that were already in the queue when the path died.
  if (!paths_.is_attached(path.path, path.epoch)) return;

  const Result<IoRequest> request = decode_request(capsule);
  if (!request) return kill_path(path.path, Refusal::malformed, actions);
  if (!window_.is_low_possible(request->seq, request->low)) {  // W1, first row, too
    return kill_path(path.path, Refusal::bad_low, actions);
  }
  if (!belongs_here(path, *request, fence, actions) || !is_allowed(path, *request, actions)) return;
  pass_window(path, *request, fence, actions);
}

/// W1, second row, and the path tag.
bool ServerSession::belongs_here(const PathKey& path, const IoRequest& request, Gvn fence,
                                 ServerActions& actions) {
  // A session that isn't active has no path on which a request could come: see stop.
  check(active_, "W1: a request on an attached path finds its session active");
  if (request.gvn != config_.gvn) {
    if (request.gvn < fence) {
      refuse(path, request, Refusal::stale_version, StatusCode::stale_version, actions);
    } else {
      refuse(path, request, Refusal::no_session, StatusCode::no_session, actions);
    }
    return false;
  }
  if (request.path_tag != paths_.tag(path.path)) {
    kill_path(path.path, Refusal::wrong_path, actions);
    return false;
  }
  return true;
}

/// W1, third row, and read-only sessions.
bool ServerSession::is_allowed(const PathKey& path, const IoRequest& request, ServerActions& actions) {
  if (!is_in_range(request, config_)) {
    refuse(path, request, Refusal::invalid_request, StatusCode::invalid_request, actions);
    return false;
  }
  if (config_.mode == AccessMode::read_only && changes_data(request.op)) {
    refuse(path, request, Refusal::read_only, StatusCode::read_only, actions);
    return false;
  }
  return true;
}

void ServerSession::pass_window(const PathKey& path, const IoRequest& request, Gvn fence,
                                ServerActions& actions) {
  // R3: from here to the attempt's end its path's slots stay.
  if (!paths_.hold(path.path)) return kill_path(path.path, Refusal::no_credit, actions);
  const AttemptId attempt = allocate(path.path, request);
  const SequenceWindow::Decision decision =
      window_.admit(request.seq, request.low, identity_of(request), attempt);
  switch (decision.verdict) {
    case Verdict::execute:
      return start(attempt, Role::executor, actions);
    case Verdict::run_again:
      return start(attempt, Role::rerun, actions);
    case Verdict::wait:
      at(attempt, "an admitted attempt has a place").role = Role::waiter;
      // A client sends one number on one path again only over a new connection (C3), so that an entry has at
      // most one waiter a path.
      if (is_on_path_already(path.path, request)) kill_path(path.path, Refusal::repeated_on_path, actions);
      return;
    case Verdict::stored_status:
      return respond(attempt, {decision.stored, 0}, true, actions);
    case Verdict::expired:
      count(path.path, Refusal::expired);
      return respond(attempt, {StatusCode::expired, 0}, false, actions);
    case Verdict::bad_low:
      return check(false, "W1: numbers that no client sends never get here");
    case Verdict::seq_misuse:
      count(path.path, Refusal::seq_misuse);
      respond(attempt, {StatusCode::seq_misuse, 0}, false, actions);
      return stop(fence, actions);
    case Verdict::passes_executing:
      count(path.path, Refusal::passes_executing);
      free(attempt, actions);
      return stop(fence, actions);
  }
}

/// Whether the executor, or more than one waiter, of the request's number came on this path's connection.
bool ServerSession::is_on_path_already(PathId path, const IoRequest& request) const noexcept {
  // An executor holds its path, so that no later connection has its place while it lives.
  if (attempts_[window_.executor(request.seq).value()].path == path) return true;
  std::uint32_t on_path = 0;
  for (auto waiter = window_.first_waiter(request.seq); waiter; waiter = window_.next_waiter(*waiter)) {
    if (attempts_[waiter->value()].path == path) ++on_path;
  }
  return on_path > 1;
}

void ServerSession::start(AttemptId id, Role role, ServerActions& actions) {
  Attempt& attempt = at(id, "an attempt that starts has a place");
  attempt.role = role;
  ++in_flight_;  // W7: counted before the session's state is looked at again
  // P4: the first flush after a session that left unflushed writes tells of the loss.
  if (fail_next_flush_ && attempt.request.op == IoOp::flush) {
    fail_next_flush_ = false;
    attempt.submitted = true;
    return on_io_done(id, {StatusCode::io_error, 0}, actions);
  }
  actions.push_back(Execute{paths_.key(attempt.path), id});
}

bool ServerSession::may_submit(AttemptId id, ServerActions& actions) {
  Attempt& attempt = at(id, "an attempt that is submitted has a place");
  check(attempt.role != Role::waiter, "what is submitted was to be executed");
  check(!attempt.submitted, "what is submitted wasn't before");
  // W7: a fence that began after the admission counts this attempt as in flight, and waits for this answer.
  if (active_) {
    attempt.submitted = true;
    attempt.flush_covers = unflushed_.changes();
    return true;
  }
  count(attempt.path, Refusal::ended_before_run);
  // Its waiters went when the session stopped, with their paths.
  if (attempt.role == Role::executor) window_.withdraw(attempt.request.seq);
  --in_flight_;
  free(id, actions);
  return false;
}

void ServerSession::on_bad_payload(AttemptId id, ServerActions& actions) {
  const Attempt& attempt = at(id, "an attempt with a payload has a place");
  check(attempt.role == Role::executor, "only what executes has a payload to check");
  check(!attempt.submitted, "a payload is checked before it is submitted");
  count(attempt.path, Refusal::bad_checksum);
  const std::optional<AttemptId> next = window_.withdraw(attempt.request.seq);
  --in_flight_;
  respond(id, {StatusCode::bad_checksum, 0}, false, actions);
  if (next) start(*next, Role::executor, actions);
}

void ServerSession::on_io_done(AttemptId id, const IoOutcome& of_backend, ServerActions& actions) {
  const IoOutcome outcome{final_status(of_backend.status), of_backend.data_crc};
  Attempt& attempt = at(id, "an attempt that is done has a place");
  check(attempt.submitted, "what is done was submitted");
  --in_flight_;
  note_durability(attempt, outcome.status);
  const bool is_executor = attempt.role == Role::executor;
  const Seq seq = attempt.request.seq;
  if (is_executor) window_.complete(seq, outcome.status);
  respond(id, outcome, false, actions);
  if (is_executor) answer_waiters(seq, outcome, actions);
}

/// W6: those that waited get the stored status, or if it's a read, the operation once more for each.
void ServerSession::answer_waiters(Seq seq, const IoOutcome& outcome, ServerActions& actions) {
  while (const auto waiter = window_.take_waiter(seq)) {
    if (at(*waiter, "a waiter has a place").request.op == IoOp::read) {
      start(*waiter, Role::rerun, actions);
    } else {
      respond(*waiter, outcome, true, actions);
    }
  }
}

/// P4: in a write-back session what isn't FUA is durable after a flush that was submitted later. In a
/// write-through session the backend has made it so before it says that it's done.
void ServerSession::note_durability(const Attempt& attempt, StatusCode status) noexcept {
  const bool is_flush = attempt.request.op == IoOp::flush;
  if (is_flush && status != StatusCode::ok)
    last_failed_flush_ = std::max(last_failed_flush_, attempt.request.seq);
  if (status != StatusCode::ok || config_.policy == WritePolicy::write_through) return;
  if (is_flush) {
    unflushed_.on_flushed(attempt.flush_covers);
  } else if (changes_data(attempt.request.op) && !attempt.request.fua) {
    unflushed_.on_volatile_change();
  }
}

/// R2: to the connection that this attempt came on, or to nobody. Ends the attempt.
void ServerSession::respond(AttemptId id, const IoOutcome& outcome, bool repeated, ServerActions& actions) {
  const Attempt& attempt = at(id, "an attempt that is answered has a place");
  // The attempt holds its path, so that no later connection can have taken its place.
  if (paths_.is_attached(attempt.path)) {
    const IoRequest& request = attempt.request;
    const bool has_data = request.op == IoOp::read && outcome.status == StatusCode::ok;
    const std::uint32_t data_crc = has_data ? outcome.data_crc : 0;
    actions.push_back(Respond{paths_.key(attempt.path),
                              id,
                              {request.op, repeated, outcome.status, request.gvn, request.seq, data_crc},
                              request.target});
  } else {
    ++undeliverable_;
  }
  free(id, actions);
}

/// A refusal before the window knows of the request.
void ServerSession::refuse(const PathKey& path, const IoRequest& request, Refusal reason, StatusCode status,
                           ServerActions& actions) {
  count(path.path, reason);
  actions.push_back(Respond{
      path, AttemptId(max_attempts(config_)), {request.op, false, status, request.gvn, request.seq, 0}, {}});
}

void ServerSession::count(PathId path, Refusal reason) noexcept {
  refusals_.add(reason);
  paths_.refusals(path).add(reason);
}

void ServerSession::kill_path(PathId path, Refusal reason, ServerActions& actions) {
  count(path, reason);
  paths_.kill(path, actions);
  drop_waiters_of(path, actions);
}

/// Nobody is left to answer them to. What executes goes on: its number's status will be asked for.
void ServerSession::drop_waiters_of(PathId path, ServerActions& actions) {
  for (std::uint32_t i = 0; i < attempts_.size(); ++i) {
    const Attempt& attempt = attempts_[i];
    if (attempt.role != Role::waiter || attempt.path != path) continue;
    window_.drop_waiter(attempt.request.seq, AttemptId(i));
    free(AttemptId(i), actions);
  }
}

void ServerSession::on_path_attach(Token token, const PathAttach& attach, Gvn fence, ServerActions& actions) {
  check(active_, "an attach is given to an active session");
  check(attach.gvn == config_.gvn, "an attach is given to the session that it names");
  if (const auto replaced = paths_.attach(token, attach, fence, actions)) drop_waiters_of(*replaced, actions);
}

void ServerSession::on_path_lost(const PathKey& path, ServerActions& actions) {
  if (!paths_.is_attached(path.path, path.epoch)) return;
  paths_.kill(path.path, actions);
  drop_waiters_of(path.path, actions);
}

void ServerSession::on_queue_pair_destroyed(const PathKey& path, ServerActions& actions) {
  paths_.on_queue_pair_destroyed(path.path, path.epoch, actions);
}

void ServerSession::stop(Gvn fence, ServerActions& actions) {
  if (!active_) return;
  active_ = false;
  paths_.kill_all(fence, actions);
  for (std::uint8_t i = 0; i < kMaxPaths; ++i)
    drop_waiters_of(PathId(i), actions);
}

bool ServerSession::is_drained() const noexcept {
  if (active_ || !paths_.all_released()) return false;
  check(in_flight_ == 0, "F1: what is in flight holds the slots of its path");
  return true;
}

bool ServerSession::leaves_unflushed_writes() const noexcept {
  return unflushed_.any() || owes_flush_error();
}

bool ServerSession::owes_flush_error() const noexcept {
  // A flush's failure is told once the client's `low` shows that it has the answer.
  const bool failure_is_untold = window_.base() <= last_failed_flush_;
  return fail_next_flush_ || failure_is_untold;
}

const IoRequest& ServerSession::request(AttemptId attempt) const noexcept {
  check(attempt.value() < attempts_.size(), "an attempt lies within its session's table");
  check(attempts_[attempt.value()].role != Role::none, "a request is asked for while its attempt lives");
  return attempts_[attempt.value()].request;
}

AttemptId ServerSession::allocate(PathId path, const IoRequest& request) noexcept {
  // As many places as all paths may hold together.
  check(!free_attempts_.empty(), "who holds a path finds a place for its attempt");
  const AttemptId id = free_attempts_.back();
  free_attempts_.pop_back();
  Attempt& attempt = attempts_[id.value()];
  attempt = {request, path, Role::executor, false, 0};
  return id;
}

void ServerSession::free(AttemptId id, ServerActions& actions) {
  Attempt& attempt = at(id, "an attempt ends once");
  attempt.role = Role::none;
  free_attempts_.push_back(id);
  paths_.release(attempt.path, actions);
}

ServerSession::Attempt& ServerSession::at(AttemptId attempt, const char* rule) noexcept {
  check(attempt.value() < attempts_.size(), "an attempt lies within its session's table");
  check(attempts_[attempt.value()].role != Role::none, rule);
  return attempts_[attempt.value()];
}

}  // namespace sluice::protocol
