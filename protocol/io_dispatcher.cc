#include "protocol/io_dispatcher.h"

#include <algorithm>
#include <optional>

#include "protocol/base/check.h"

namespace sluice::protocol {
namespace {

/// Times that a node may find an operation's data damaged before that is its outcome.
constexpr std::uint8_t kMaxBadChecksums = 3;

ByteRange range_of(const IoSubmission& io) noexcept {
  return {io.offset.value(), io.offset.value() + io.length};
}

std::uint32_t data_to_send(const IoSubmission& io) noexcept {
  return io.op == IoOp::write ? io.length : 0;
}

}  // namespace

IoDispatcher::IoDispatcher(const Limits& limits, Backoff backoff, ClientActions& actions)
    : io_timeout_(limits.io_timeout),
      actions_(actions),
      table_(limits.max_outstanding, limits.max_window),
      overlaps_(limits.max_outstanding),
      paths_(backoff) {}

std::uint32_t IoDispatcher::longest_write() const noexcept {
  std::uint32_t longest = 0;
  for (Id id = 0; id < table_.capacity(); ++id) {
    const Operation& operation = table_[id];
    const bool is_unanswered = operation.state == OperationState::waiting ||
                               operation.state == OperationState::ready ||
                               operation.state == OperationState::sent;
    if (is_unanswered) longest = std::max(longest, data_to_send(operation.io));
  }
  return longest;
}

void IoDispatcher::submit(const IoSubmission& io, Instant now) {
  const Id id = table_.claim();
  Operation& operation = table_[id];
  operation.io = io;
  operation.flush = unflushed_.flush_submitted();
  // C1. A flush overlaps nothing and is never made to wait.
  if (io.op != IoOp::flush &&
      !overlaps_.add(id, range_of(io), changes_data(io.op) ? Access::exclusive : Access::shared)) {
    operation.state = OperationState::waiting;
    return;
  }
  make_ready(id);
  pump(now);
}

void IoDispatcher::make_ready(Id id) {
  Operation& operation = table_[id];
  operation.state = OperationState::ready;
  if (operation.ever_sent) {
    retries_.push(table_, id);
  } else {
    OperationQueue& queue = data_to_send(operation.io) > kMaxInCapsuleData ? fresh_big_ : fresh_;
    queue.push(table_, id);
  }
}

void IoDispatcher::pump(Instant now) {
  if (gvn_ == Gvn(0)) return;
  pump_queue(retries_, now);
  // A write that is sent again and waits for a slot isn't overtaken by new ones that want slots too.
  if (retries_.empty()) pump_queue(fresh_big_, now);
  pump_queue(fresh_, now);
}

void IoDispatcher::pump_queue(OperationQueue& queue, Instant now) {
  while (!queue.empty() && post(queue.front(), now))
    queue.pop(table_);
}

bool IoDispatcher::post(Id id, Instant now) {
  Operation& operation = table_[id];
  if (operation.seq == Seq(0) && !table_.may_number()) return false;
  const std::uint32_t data_length = data_to_send(operation.io);
  const std::optional<PathId> path = paths_.choose(data_length);
  if (!path) return false;
  if (operation.seq == Seq(0)) table_.number(id);
  const SlotIndex slot = paths_.take(*path, data_length);
  operation.attempts.at(path->value()) = {now, slot};
  operation.live |= mask_of(*path);
  operation.state = OperationState::sent;
  operation.ever_sent = true;

  const IoSubmission& io = operation.io;
  PostIo action{.path = *path, .epoch = paths_.epoch(*path), .tag = io.tag, .request = {}};
  action.request = {.op = io.op,
                    .fua = io.fua,
                    .placement = DataPlacement::none,
                    .slot = slot,
                    .gvn = gvn_,
                    .seq = operation.seq,
                    .low = table_.low(),
                    .offset = io.offset,
                    .length = io.length,
                    .data_crc = io.data_crc,
                    .target = {},
                    .path_tag = paths_.tag(*path)};
  if (io.op == IoOp::read) {
    action.request.placement = DataPlacement::remote;
  } else if (io.op == IoOp::write) {
    action.request.placement = slot == kNoSlot ? DataPlacement::in_capsule : DataPlacement::slot;
  }
  actions_.add(action);
  return true;
}

/// The unanswered operation with a live attempt of this number on this path. An answered one has attempts on
/// paths that are dying alone, from which no response is taken any more.
IoDispatcher::Id IoDispatcher::find_attempt(Seq seq, PathId path) const {
  const Id id = table_.find(seq);
  const bool has_attempt = id != OutstandingTable::kNone && (table_[id].live & mask_of(path)) != 0;
  return has_attempt ? id : OutstandingTable::kNone;
}

ResponseVerdict IoDispatcher::respond(PathId path, const IoResponse& response, Instant now) {
  if (response.gvn != gvn_) return ResponseVerdict::path_broken;
  const Id id = find_attempt(response.seq, path);
  if (id == OutstandingTable::kNone || table_[id].io.op != response.op) return ResponseVerdict::path_broken;
  // C3: answered on its own queue pair, this attempt is retired.
  Operation& operation = table_[id];
  operation.live &= static_cast<PathMask>(~mask_of(path));
  paths_.give_back(path, operation.attempts.at(path.value()).slot);
  const ResponseVerdict verdict = settle(id, response);
  // Otherwise this path, or the session, is about to go: what is sent now would go with it.
  if (verdict == ResponseVerdict::fine) pump(now);
  return verdict;
}

/// What the status means for an operation that has no definitive answer yet.
ResponseVerdict IoDispatcher::settle(Id id, const IoResponse& response) {
  switch (response.status) {
    case StatusCode::ok:
    case StatusCode::io_error:
    case StatusCode::no_space:
    case StatusCode::invalid_request:
    case StatusCode::read_only:
      answer(id, response.status, response.data_crc);
      return ResponseVerdict::fine;
    case StatusCode::bad_checksum:
      return count_bad_checksum(id);
    case StatusCode::stale_version:
    case StatusCode::no_session:
      make_ready(id);
      return ResponseVerdict::session_over;
    case StatusCode::expired:        // W3, W4: the base moves by this client's `low` alone, which never
    case StatusCode::out_of_window:  // passed this operation and is never a window or more behind it
    case StatusCode::seq_misuse:     // W5: the node has fenced the session
      make_ready(id);
      return ResponseVerdict::session_confused;
    default:
      make_ready(id);
      return ResponseVerdict::path_broken;
  }
}

/// Nothing was done for this attempt. If it goes on, the caller has changed the data or its memory is
/// damaged: the outcome, unless an attempt that got no answer may have had its effect.
ResponseVerdict IoDispatcher::count_bad_checksum(Id id) {
  Operation& operation = table_[id];
  ++operation.bad_checksums;
  if (operation.bad_checksums < kMaxBadChecksums) {
    make_ready(id);
    return ResponseVerdict::fine;
  }
  if (operation.live != 0 || operation.lost_attempt_in == gvn_) {
    make_ready(id);
    return ResponseVerdict::session_confused;
  }
  answer(id, operation.lost_attempt_in == Gvn(0) ? StatusCode::bad_checksum : StatusCode::outcome_unknown, 0);
  return ResponseVerdict::fine;
}

void IoDispatcher::answer(Id id, StatusCode status, std::uint32_t data_crc) {
  Operation& operation = table_[id];
  operation.state = OperationState::answered;
  operation.status = status;
  operation.data_crc = data_crc;
  table_.answered(operation.seq);
  if (policy_ == WritePolicy::write_back) account_flushes(operation);
  complete_if_retired(id);
}

// P4: what an answered write leaves to be flushed, and what an answered flush has made durable.
void IoDispatcher::account_flushes(Operation& operation) {
  if (operation.status != StatusCode::ok) return;
  if (changes_data(operation.io.op) && !operation.io.fua) unflushed_.acknowledged();
  if (operation.io.op == IoOp::flush && !operation.flush.lossy) unflushed_.flush_succeeded(operation.flush);
}

void IoDispatcher::complete_if_retired(Id id) {
  const Operation& operation = table_[id];
  if (operation.live != 0) return;  // C3
  if (operation.state == OperationState::answered) complete(id, operation.status);
  if (operation.state == OperationState::abandoned) complete(id, StatusCode::outcome_unknown);
}

void IoDispatcher::complete(Id id, StatusCode status) {
  const Operation& operation = table_[id];
  if (operation.flush.lossy && operation.io.op == IoOp::flush) {
    status = StatusCode::io_error;  // P4: a flush never hides a loss
    unflushed_.loss_told();
  }
  const bool succeeded = status == StatusCode::ok;
  actions_.add(CompleteIo{operation.io.tag, status, succeeded ? operation.data_crc : 0});
  // C1: what waited for it may start. After abandon() the index is empty.
  if (overlaps_.contains(id)) overlaps_.remove(id, [&](Id started) { make_ready(started); });
  table_.release(id);
}

void IoDispatcher::path_killed(PathId path, Instant now) {
  // By number, so that the lowest goes out first and `low` moves.
  for (Seq seq = table_.low(); seq < table_.next(); seq = Seq(seq.value() + 1)) {
    const Id id = table_.find(seq);
    if (id == OutstandingTable::kNone) continue;
    Operation& operation = table_[id];
    if ((operation.live & mask_of(path)) == 0) continue;
    operation.lost_attempt_in = gvn_;
    // An operation that is sent has exactly one attempt on a path that is up: this one.
    if (operation.state == OperationState::sent) make_ready(id);
  }
  pump(now);
}

void IoDispatcher::path_destroyed(PathId path, Instant now) {
  for (Id id = 0; id < table_.capacity(); ++id) {
    Operation& operation = table_[id];
    if ((operation.live & mask_of(path)) == 0) continue;
    operation.live &= static_cast<PathMask>(~mask_of(path));  // C3: in ERR, flushed and destroyed
    complete_if_retired(id);
  }
  pump(now);
}

PathMask IoDispatcher::overdue(Instant now) const {
  PathMask late = 0;
  for (Id id = 0; id < table_.capacity(); ++id) {
    const Operation& operation = table_[id];
    for (std::size_t i = 0; i < paths_.count() && operation.live != 0; ++i) {
      const PathId path(static_cast<std::uint8_t>(i));
      if ((operation.live & mask_of(path)) == 0 || paths_.state(path) != PathState::up) continue;
      if (now - operation.attempts.at(i).posted_at >= io_timeout_) late |= mask_of(path);
    }
  }
  return late;
}

void IoDispatcher::end_session() {
  check(!paths_.any_in(PathState::up), "a session ends after its paths were killed");
  for (Id id = 0; id < table_.capacity(); ++id) {
    if (table_[id].live != 0) table_[id].lost_attempt_in = gvn_;
  }
  gvn_ = Gvn(0);
}

void IoDispatcher::begin_session(Gvn gvn, std::uint32_t window, WritePolicy policy) {
  check(gvn_ == Gvn(0), "a session begins after the last one has ended");
  // C5: in the order of their old numbers, and then those that weren't even sent in the last session.
  OperationQueue not_numbered;
  while (!retries_.empty()) {
    const Id id = retries_.front();
    retries_.pop(table_);
    if (table_[id].seq == Seq(0)) not_numbered.push(table_, id);
  }
  for (Seq seq = table_.low(); seq < table_.next(); seq = Seq(seq.value() + 1)) {
    const Id id = table_.find(seq);
    if (id == OutstandingTable::kNone) continue;
    Operation& operation = table_[id];
    check(operation.live == 0, "C3: a session begins when every attempt in the last one is retired");
    operation.seq = Seq(0);
    make_ready(id);
  }
  while (!not_numbered.empty()) {
    const Id id = not_numbered.front();
    not_numbered.pop(table_);
    make_ready(id);
  }
  // P4: what the old session's node acknowledged and didn't flush may be gone.
  for (Id id = 0; id < table_.capacity(); ++id) {
    Operation& operation = table_[id];
    if (operation.state != OperationState::free && operation.io.op == IoOp::flush &&
        unflushed_.would_lose(operation.flush)) {
      operation.flush.lossy = true;
    }
  }
  unflushed_.session_changed();
  table_.begin_numbering(window);
  gvn_ = gvn;
  policy_ = policy;
}

void IoDispatcher::abandon(StatusCode unsent) {
  check(gvn_ == Gvn(0), "C2: operations are given up only once nothing is sent in their session any more");
  retries_.clear();
  fresh_.clear();
  fresh_big_.clear();
  overlaps_.clear();
  table_.begin_numbering(0);
  for (Id id = 0; id < table_.capacity(); ++id) {
    Operation& operation = table_[id];
    switch (operation.state) {
      case OperationState::waiting:
      case OperationState::ready:
      case OperationState::sent:
        if (operation.ever_sent) {
          operation.state = OperationState::abandoned;
          complete_if_retired(id);
        } else {
          complete(id, unsent);
        }
        break;
      case OperationState::free:
      case OperationState::answered:
      case OperationState::abandoned:
        break;
    }
  }
}

}  // namespace sluice::protocol
