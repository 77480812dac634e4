#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "protocol/base/status.h"
#include "protocol/control_messages.h"
#include "protocol/identifiers.h"
#include "protocol/io_frame.h"
#include "protocol/path_table.h"
#include "protocol/refusals.h"
#include "protocol/sequence_window.h"
#include "protocol/server_actions.h"
#include "protocol/unflushed_writes.h"

namespace sluice::protocol {

/// What a session on a node is made of.
struct ServerSessionConfig {
  VolumeId volume;
  Gvn gvn;
  Gvn era;  ///< see VerifyAnswer
  ClientId client;
  Nonce nonce;
  Cookie cookie;
  AccessMode mode = AccessMode::read_write;
  WritePolicy policy = WritePolicy::write_through;
  ByteCount size;
  std::uint32_t block_size = kMaxBlockSize;  ///< bytes
  std::uint32_t window_size = kDefaultWindowSize;
  std::uint16_t max_paths = kMaxPaths;
  std::uint16_t path_depth = kDefaultPathDepth;
  bool fail_next_flush = false;  ///< P4: an earlier session left acknowledged writes unflushed
};

/// What the backend says about one operation.
struct IoOutcome {
  StatusCode status = StatusCode::ok;
  std::uint32_t data_crc = 0;  ///< CRC32C of a successful read's data
};

/// One session on its node: admits requests by W1 to W7, keeps each number's answer, and knows what must be
/// over before the session is. Events in, actions out: it calls nobody. Memory is taken at construction, no
/// event allocates. Not thread-safe: one thread owns a volume.
///
/// A request's life, with an AttemptId from admission to its answer:
///
///     on_request --execute--> [payload checked] --may_submit--> backend --on_io_done--> response
///         |                         |                                        |
///         |                   on_bad_payload: nothing happened               +--> waiters: the same status,
///         +--wait (W6)                                                            or for a read: execute
///         +--response now, or the path is killed, or the session is fenced
class ServerSession {
 public:
  explicit ServerSession(const ServerSessionConfig& config);

  /// A message of an IO request's kind has arrived on `path`. `fence` is the volume's.
  void on_request(const PathKey& path, std::span<const std::byte> capsule, Gvn fence, ServerActions& actions);

  /// W7: the last check, by whoever is about to submit: true if the session is still active. If not, the
  /// attempt is over: nothing was done for it and nothing may be.
  [[nodiscard]] bool may_submit(AttemptId attempt, ServerActions& actions);

  /// The payload doesn't match its CRC: the attempt is answered `bad_checksum` and its number is free again,
  /// or goes to an attempt that waits for it.
  void on_bad_payload(AttemptId attempt, ServerActions& actions);

  /// The backend has a definitive outcome for a submitted attempt. Whatever fails is answered as `no_space`
  /// or `io_error`.
  void on_io_done(AttemptId attempt, const IoOutcome& of_backend, ServerActions& actions);

  /// See PathTable.
  void on_path_attach(Token token, const PathAttach& attach, Gvn fence, ServerActions& actions);
  void on_path_lost(const PathKey& path, ServerActions& actions);
  void on_queue_pair_destroyed(const PathKey& path, ServerActions& actions);

  /// P3: from now on nothing is admitted and no path accepted; all queue pairs are to be destroyed. Again:
  /// nothing more.
  void stop(Gvn fence, ServerActions& actions);

  [[nodiscard]] bool is_active() const noexcept { return active_; }

  /// F1: whether a stopped session is over: no queue pair, no slots, and nothing in flight at the backend.
  [[nodiscard]] bool is_drained() const noexcept;

  /// P4: whether this session leaves acknowledged writes that no flush covered, or the news of a loss that no
  /// flush has told, as far as the node can know.
  [[nodiscard]] bool leaves_unflushed_writes() const noexcept;

  /// P4: whether a flush still has to tell of a loss, as far as the node can know.
  [[nodiscard]] bool owes_flush_error() const noexcept;

  /// The request of an attempt between its admission and its end.
  [[nodiscard]] const IoRequest& request(AttemptId attempt) const noexcept;

  [[nodiscard]] const ServerSessionConfig& config() const noexcept { return config_; }
  [[nodiscard]] const SequenceWindow& window() const noexcept { return window_; }
  /// Admitted and not yet over: at the backend, or on the way to it.
  [[nodiscard]] std::uint32_t in_flight() const noexcept { return in_flight_; }
  [[nodiscard]] const RefusalCounts& refusals() const noexcept { return refusals_; }
  [[nodiscard]] const RefusalCounts& refusals(PathId path) const noexcept { return paths_.refusals(path); }
  /// Answers that nobody could get any more, because the path that asked was gone (R2).
  [[nodiscard]] std::uint64_t undeliverable() const noexcept { return undeliverable_; }

 private:
  enum class Role : std::uint8_t {
    none,      ///< the attempt's place is free
    executor,  ///< holds the window's entry
    waiter,    ///< waits for the executor (W6)
    rerun,     ///< a done read, run again for this attempt (W6)
  };

  struct Attempt {
    IoRequest request;
    PathId path;
    Role role = Role::none;
    bool submitted = false;
    std::uint64_t flush_covers = 0;  ///< see UnflushedWrites
  };

  // Admission, in the order of the checks.
  [[nodiscard]] bool belongs_here(const PathKey& path, const IoRequest& request, Gvn fence,
                                  ServerActions& actions);
  [[nodiscard]] bool is_allowed(const PathKey& path, const IoRequest& request, ServerActions& actions);
  [[nodiscard]] bool is_on_path_already(PathId path, const IoRequest& request) const noexcept;
  void pass_window(const PathKey& path, const IoRequest& request, Gvn fence, ServerActions& actions);
  void start(AttemptId attempt, Role role, ServerActions& actions);

  void refuse(const PathKey& path, const IoRequest& request, Refusal reason, StatusCode status,
              ServerActions& actions);
  void kill_path(PathId path, Refusal reason, ServerActions& actions);
  void drop_waiters_of(PathId path, ServerActions& actions);
  void count(PathId path, Refusal reason) noexcept;

  void respond(AttemptId attempt, const IoOutcome& outcome, bool repeated, ServerActions& actions);
  void answer_waiters(Seq seq, const IoOutcome& outcome, ServerActions& actions);
  void note_durability(const Attempt& attempt, StatusCode status) noexcept;

  AttemptId allocate(PathId path, const IoRequest& request) noexcept;
  void free(AttemptId attempt, ServerActions& actions);
  [[nodiscard]] Attempt& at(AttemptId attempt, const char* rule) noexcept;

  ServerSessionConfig config_;
  SequenceWindow window_;
  PathTable paths_;
  std::vector<Attempt> attempts_;
  std::vector<AttemptId> free_attempts_;
  UnflushedWrites unflushed_;
  RefusalCounts refusals_;
  std::uint64_t undeliverable_ = 0;
  std::uint32_t in_flight_ = 0;
  Seq last_failed_flush_;  ///< the highest; 0: none failed
  bool active_ = true;
  bool fail_next_flush_;
};

}  // namespace sluice::protocol
