#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "client/bounce_pool.h"
#include "client/io_request_args.h"
#include "client/registered_memory.h"
#include "protocol/base/status.h"
#include "protocol/io_submission.h"

namespace sluice::client {

/// One operation of a request, as the session knows it: its index is the session's tag.
struct Piece {
  protocol::IoSubmission io;
  std::uint32_t request = 0;
  std::byte* caller_data = nullptr;        ///< null: no data
  std::byte* data = nullptr;               ///< what the devices see: the caller's, or a slot that stands in
  const RegisteredRange* range = nullptr;  ///< that `data` lies in
  std::uint32_t sends = 0;                 ///< since it was last submitted
  std::uint32_t bad_checksums = 0;         ///< of data read
  std::uint32_t next_free = 0;
};

/// The requests of a client: splits them into operations that the protocol takes, lends memory to those whose
/// own isn't registered, and puts the outcomes together.
///
///     submit() -> waiting -> next_piece() -> with the session -> piece_done() -> completed -> take()
///
/// Requests leave in the order of their submission, so that the session sees overlapping ones in that order.
/// Never allocates after construction. One thread.
class RequestTable {
 public:
  RequestTable(std::uint32_t max_requests, std::uint32_t max_pieces, std::uint32_t max_data_length,
               const RegisteredMemory& memory, BouncePool& bounce);

  /// Submitted and not yet taken, those with a waiter apart.
  [[nodiscard]] std::uint32_t outstanding() const noexcept { return outstanding_; }
  /// `has_waiter`: of the next request. There is always room for one that has.
  [[nodiscard]] bool full(bool has_waiter) const noexcept {
    return !has_waiter && outstanding_ == max_requests_;
  }

  /// Requests of which the session hasn't been given everything.
  [[nodiscard]] bool has_waiting() const noexcept { return first_waiting_ != kNone; }

  /// Takes a request that fits the volume; the table isn't full. One that has a waiter at a time.
  void submit(const IoRequestArgs& args) noexcept;

  /// The next operation for the session, its data in registered memory and its checksum made; a write of at
  /// most `longest_write` bytes. Nothing if no request waits, or there is no memory or entry for it now. Ends
  /// in piece_taken() or piece_refused().
  [[nodiscard]] std::optional<protocol::IoSubmission> next_piece(std::uint32_t longest_write) noexcept;
  void piece_taken() noexcept;
  /// The session didn't take it: the rest of its request isn't tried. True if no part of the request was ever
  /// taken: then it is forgotten without a completion if it is the youngest, for submit() to refuse.
  [[nodiscard]] bool piece_refused(StatusCode status, bool forget) noexcept;

  [[nodiscard]] Piece& piece(std::uint64_t tag) noexcept { return pieces_[tag]; }
  void piece_done(std::uint64_t tag, StatusCode status) noexcept;

  /// What has completed, oldest first; how many were written.
  struct Outcome {
    std::uint64_t tag = 0;
    StatusCode status = StatusCode::ok;
  };
  [[nodiscard]] bool has_completed() const noexcept { return first_completed_ != kNone; }
  Outcome take() noexcept;

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;

  struct Request {
    IoRequestArgs args;
    RegisteredRange* range = nullptr;  ///< that holds its memory; null: the pool stands in
    std::uint64_t taken = 0;           ///< bytes that the session took
    std::uint32_t pieces = 0;          ///< with the session
    std::uint32_t pieces_taken = 0;    ///< by the session, so far
    bool all_taken = false;            ///< or the rest isn't tried any more
    StatusCode status = StatusCode::ok;
    std::uint32_t next = kNone;
  };

  [[nodiscard]] std::uint32_t length_of_next(const Request& request,
                                             std::uint32_t longest_write) const noexcept;
  [[nodiscard]] bool place_data(const Request& request, Piece& piece) noexcept;
  void leave_waiting(Request& request) noexcept;
  void finish_if_done(std::uint32_t index) noexcept;
  void release(std::uint32_t index) noexcept;
  void release_piece(std::uint32_t index) noexcept;

  std::uint32_t max_requests_;
  std::uint32_t max_data_length_;
  const RegisteredMemory& memory_;
  BouncePool& bounce_;
  std::vector<Request> requests_;
  std::vector<Piece> pieces_;
  std::uint32_t first_free_ = 0;
  std::uint32_t first_free_piece_ = 0;
  std::uint32_t first_waiting_ = kNone;
  std::uint32_t last_waiting_ = kNone;
  std::uint32_t first_completed_ = kNone;
  std::uint32_t last_completed_ = kNone;
  std::uint32_t outstanding_ = 0;
  std::uint32_t prepared_ = kNone;  ///< the piece of next_piece()
};

}  // namespace sluice::client
