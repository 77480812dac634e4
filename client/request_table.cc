#include "client/request_table.h"

#include <algorithm>

#include "protocol/base/check.h"
#include "protocol/base/crc32c.h"
#include "protocol/limits.h"

namespace sluice::client {
namespace {

using protocol::IoOp;

bool has_data(IoOp op) noexcept {
  return op == IoOp::read || op == IoOp::write;
}

/// Statuses which say that the operation was never sent.
bool never_sent(StatusCode status) noexcept {
  switch (status) {
    case StatusCode::unavailable:
    case StatusCode::cancelled:
    case StatusCode::shutting_down:
    case StatusCode::stale_version:
      return true;
    default:
      return false;
  }
}

}  // namespace

RequestTable::RequestTable(std::uint32_t max_requests, std::uint32_t max_pieces,
                           std::uint32_t max_data_length, const RegisteredMemory& memory, BouncePool& bounce)
    : max_requests_(max_requests),
      max_data_length_(max_data_length),
      memory_(memory),
      bounce_(bounce),
      requests_(max_requests + 1),  // one that somebody waits for
      pieces_(max_pieces) {
  for (std::uint32_t i = 0; i <= max_requests; ++i)
    requests_[i].next = i < max_requests ? i + 1 : kNone;
  for (std::uint32_t i = 0; i < max_pieces; ++i)
    pieces_[i].next_free = i + 1 < max_pieces ? i + 1 : kNone;
}

void RequestTable::submit(const IoRequestArgs& args) noexcept {
  check(first_free_ != kNone, "a request is submitted when there is room for it");
  const std::uint32_t index = first_free_;
  Request& request = requests_[index];
  first_free_ = request.next;
  if (args.waiter == nullptr) ++outstanding_;
  request = {};
  request.args = args;
  if (has_data(args.op)) request.range = memory_.find({args.memory, args.length});
  if (request.range != nullptr) request.range->use();
  if (last_waiting_ == kNone) {
    first_waiting_ = index;
  } else {
    requests_[last_waiting_].next = index;
  }
  last_waiting_ = index;
}

// ---- Pieces

std::uint32_t RequestTable::length_of_next(const Request& request,
                                           std::uint32_t longest_write) const noexcept {
  std::uint32_t longest = has_data(request.args.op) ? max_data_length_ : protocol::kMaxRangeLength;
  if (request.args.op == IoOp::write) longest = longest_write;
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(longest, request.args.length - request.taken));
}

std::optional<protocol::IoSubmission> RequestTable::next_piece(std::uint32_t longest_write) noexcept {
  check(prepared_ == kNone, "a piece is taken or refused before the next one");
  if (first_waiting_ == kNone || first_free_piece_ == kNone) return std::nullopt;
  const Request& request = requests_[first_waiting_];
  const std::uint32_t index = first_free_piece_;
  Piece& piece = pieces_[index];
  const std::uint32_t next_free = piece.next_free;
  piece = {};
  piece.next_free = next_free;
  piece.request = first_waiting_;
  piece.io.tag = index;
  piece.io.op = request.args.op;
  piece.io.fua = request.args.fua;
  piece.io.offset = ByteCount(request.args.offset + request.taken);
  piece.io.length = length_of_next(request, longest_write);
  if (has_data(request.args.op) && !place_data(request, piece)) return std::nullopt;
  first_free_piece_ = next_free;
  prepared_ = index;
  return piece.io;
}

/// False: there is no memory that could stand in now.
bool RequestTable::place_data(const Request& request, Piece& piece) noexcept {
  piece.caller_data = request.args.memory + request.taken;
  piece.data = piece.caller_data;
  piece.range = request.range;
  if (request.range == nullptr) {
    piece.data = bounce_.take(piece.io.length);
    if (piece.data == nullptr) return false;
    piece.range = &bounce_.range();
    if (piece.io.op == IoOp::write) std::copy_n(piece.caller_data, piece.io.length, piece.data);
  }
  if (piece.io.op == IoOp::write) piece.io.data_crc = crc32c({piece.data, piece.io.length});
  return true;
}

void RequestTable::piece_taken() noexcept {
  Request& request = requests_[pieces_[prepared_].request];
  request.taken += pieces_[prepared_].io.length;
  ++request.pieces_taken;
  ++request.pieces;
  prepared_ = kNone;
  if (request.taken == request.args.length) leave_waiting(request);
}

bool RequestTable::piece_refused(StatusCode status, bool forget) noexcept {
  const std::uint32_t index = pieces_[prepared_].request;
  Request& request = requests_[index];
  release_piece(prepared_);
  prepared_ = kNone;
  if (request.status == StatusCode::ok) request.status = status;
  leave_waiting(request);
  if (forget && request.pieces_taken == 0 && first_waiting_ == kNone) {
    release(index);
    return true;
  }
  finish_if_done(index);
  return false;
}

/// The head of the waiting requests: nothing of it is left to be tried.
void RequestTable::leave_waiting(Request& request) noexcept {
  request.all_taken = true;
  first_waiting_ = request.next;
  if (first_waiting_ == kNone) last_waiting_ = kNone;
  request.next = kNone;
}

void RequestTable::piece_done(std::uint64_t tag, StatusCode status) noexcept {
  const auto index = static_cast<std::uint32_t>(tag);
  Piece& piece = pieces_[index];
  if (piece.io.op == IoOp::read && status == StatusCode::ok && piece.data != piece.caller_data) {
    std::copy_n(piece.data, piece.io.length, piece.caller_data);
  }
  const std::uint32_t request_index = piece.request;
  release_piece(index);
  Request& request = requests_[request_index];
  --request.pieces;
  // The first failure counts, but not knowing is worse than any.
  if (request.status == StatusCode::ok || status == StatusCode::outcome_unknown) request.status = status;
  if (request.status != StatusCode::ok && !request.all_taken && first_waiting_ == request_index) {
    leave_waiting(request);
  }
  finish_if_done(request_index);
}

void RequestTable::finish_if_done(std::uint32_t index) noexcept {
  Request& request = requests_[index];
  if (request.pieces > 0 || !request.all_taken) return;
  // Another piece of it may have had its effect.
  const bool has_others =
      request.pieces_taken > 1 || (request.pieces_taken == 1 && request.taken < request.args.length);
  if (has_others && changes_data(request.args.op) && never_sent(request.status)) {
    request.status = StatusCode::outcome_unknown;
  }
  if (request.args.waiter != nullptr) {
    *request.args.waiter = {.is_done = true, .status = request.status};
    return release(index);
  }
  if (request.range != nullptr) request.range->let_go();
  request.range = nullptr;
  if (last_completed_ == kNone) {
    first_completed_ = index;
  } else {
    requests_[last_completed_].next = index;
  }
  last_completed_ = index;
}

RequestTable::Outcome RequestTable::take() noexcept {
  check(has_completed(), "a completion is taken when there is one");
  const std::uint32_t index = first_completed_;
  const Outcome outcome{requests_[index].args.tag, requests_[index].status};
  first_completed_ = requests_[index].next;
  if (first_completed_ == kNone) last_completed_ = kNone;
  release(index);
  return outcome;
}

void RequestTable::release(std::uint32_t index) noexcept {
  Request& request = requests_[index];
  if (request.range != nullptr) request.range->let_go();
  request.range = nullptr;
  request.next = first_free_;
  first_free_ = index;
  if (request.args.waiter == nullptr) --outstanding_;
}

void RequestTable::release_piece(std::uint32_t index) noexcept {
  Piece& piece = pieces_[index];
  if (piece.data != piece.caller_data) bounce_.give_back(piece.data);
  piece.data = nullptr;
  piece.caller_data = nullptr;
  piece.next_free = first_free_piece_;
  first_free_piece_ = index;
}

}  // namespace sluice::client
