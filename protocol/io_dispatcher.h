#pragma once

#include <cstdint>

#include "protocol/base/clock.h"
#include "protocol/base/status.h"
#include "protocol/client_actions.h"
#include "protocol/flush_ledger.h"
#include "protocol/outstanding_table.h"
#include "protocol/overlap_index.h"
#include "protocol/path_set.h"

namespace sluice::protocol {

/// What an IO response tells about the session, beyond its operation.
enum class ResponseVerdict : std::uint8_t {
  fine,
  path_broken,       ///< no answer that a node may give here: kill the path
  session_over,      ///< the node has no such session any more: ask the master (C4)
  session_confused,  ///< node and client disagree about the window: only a new session helps
};

/// The data path of a client session: what is outstanding, on which paths, under which numbers. It keeps
/// - C1: overlapping operations are serialised when either one writes; a flush is ordered with nothing, it
///   covers the writes that were completed to the caller before it was submitted;
/// - C2: no single operation is aborted: it is answered, or the whole session is given up;
/// - C3: an operation completes only when every attempt is retired: answered on its own queue pair, or that
///   queue pair in ERR, flushed and destroyed;
/// - C5: unanswered operations are sent again in a new session under new numbers.
///
/// Never allocates after construction. Not thread-safe.
class IoDispatcher {
 public:
  struct Limits {
    std::uint32_t max_outstanding = 0;
    std::uint32_t max_window = 0;  ///< a power of two
    Duration io_timeout{};
  };

  IoDispatcher(const Limits& limits, Backoff backoff, ClientActions& actions);

  [[nodiscard]] PathSet& paths() noexcept { return paths_; }
  [[nodiscard]] const PathSet& paths() const noexcept { return paths_; }
  [[nodiscard]] const OutstandingTable& table() const noexcept { return table_; }
  [[nodiscard]] bool idle() const noexcept { return table_.size() == 0; }
  [[nodiscard]] bool full() const noexcept { return table_.full(); }
  /// Bytes of the longest write that is still to be sent, or may have to be again.
  [[nodiscard]] std::uint32_t longest_write() const noexcept;

  /// Takes a valid operation in; sends it if C1, window and paths allow. The table isn't full.
  void submit(const IoSubmission& io, Instant now);

  /// Sends what may be sent: after a path came up.
  void pump(Instant now);

  /// A response from a path that is up.
  [[nodiscard]] ResponseVerdict respond(PathId path, const IoResponse& response, Instant now);

  /// The path was killed: what was sent on it goes out again on others at once, under its old numbers. Its
  /// attempts stay live until path_destroyed (C3).
  void path_killed(PathId path, Instant now);
  void path_destroyed(PathId path, Instant now);

  /// Paths that are up and have an attempt older than the timeout.
  [[nodiscard]] PathMask overdue(Instant now) const;

  [[nodiscard]] bool in_session() const noexcept { return gvn_ != Gvn(0); }
  /// The present session is over: nothing is sent until the next one. All its paths must have been killed.
  void end_session();
  /// A new session was acknowledged, and all paths of the old one are destroyed (C3): numbers start from 1,
  /// and what is unanswered is queued to be sent again (C5).
  void begin_session(Gvn gvn, std::uint32_t window, WritePolicy policy);

  /// C2: the caller's policy, or the session's end, gives up on everything outstanding. Operations that were
  /// never sent fail with `unsent`; the others complete with `outcome_unknown` when their attempts are
  /// retired. The session must have been ended, so that nothing more is sent in it.
  void abandon(StatusCode unsent);

 private:
  using Id = OutstandingTable::Id;

  [[nodiscard]] bool post(Id id, Instant now);
  void pump_queue(OperationQueue& queue, Instant now);
  void make_ready(Id id);
  [[nodiscard]] Id find_attempt(Seq seq, PathId path) const;
  [[nodiscard]] ResponseVerdict settle(Id id, const IoResponse& response);
  [[nodiscard]] ResponseVerdict count_bad_checksum(Id id);
  void answer(Id id, StatusCode status, std::uint32_t data_crc);
  void account_flushes(Operation& operation);
  void complete_if_retired(Id id);
  void complete(Id id, StatusCode status);

  Duration io_timeout_;
  ClientActions& actions_;
  OutstandingTable table_;
  OverlapIndex overlaps_;
  PathSet paths_;
  FlushLedger unflushed_;
  OperationQueue retries_;    ///< unanswered ones that were sent before
  OperationQueue fresh_;      ///< never sent, data in the capsule or none
  OperationQueue fresh_big_;  ///< never sent, more data than any capsule takes: they wait for slots
  Gvn gvn_;                   ///< 0: no session
  WritePolicy policy_ = WritePolicy::write_through;
};

}  // namespace sluice::protocol
