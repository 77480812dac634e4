#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "protocol/base/clock.h"
#include "protocol/base/status.h"
#include "protocol/client_actions.h"
#include "protocol/client_config.h"
#include "protocol/io_dispatcher.h"

namespace sluice::protocol {

/// One opening of one volume, from open() to `ended`, through every loss of a path, a node or a master.
///
/// Events go in, each with the present time; actions come out, and the owner does them, in order, before the
/// next event. The session calls nobody, reads no clock and draws no random number. No event about IO
/// allocates. Not thread-safe: one thread owns a session.
///
/// The life of an opening:
///
///     idle -> opening -> joining -> active <-> reopening -> replacing -> joining ...
///                                      any of them -> closing -> ended
///
/// - C4: a reopen never steals. Once the master says that this opening is no longer the holder, it has ended
///   for good, and asks nothing more.
/// - C5: the old session's paths are destroyed, the new session is acknowledged, and only then is anything
///   sent again, under new numbers.
/// - C2: operations are failed to the caller only by ending the whole session; when it is not known whether
///   one had its effect, that is what the caller is told. After `OnLoss::fail` has done so, nothing more is
///   sent under the old version, and new IO is taken only once a newer session was acknowledged.
/// The data path's rules (C1, C3, P4 of write_back volumes) are kept in IoDispatcher.
class ClientSession {
 public:
  explicit ClientSession(const ClientConfig& config);

  // --- From the caller -------------------------------------------------------------------------------

  /// Starts the opening, once. `nonce` is random and not 0: it tells this opening from all others.
  void open(Nonce nonce, Instant now);

  /// Takes an operation, or refuses it at once, for certain without effect: `queue_full` (try again after a
  /// completion), `invalid_request` (operation, length, alignment or range), `read_only`, `unavailable` (not
  /// open yet, or OnLoss::fail and lost), `shutting_down` (closing), or what ended the session.
  [[nodiscard]] StatusCode submit(const IoSubmission& io, Instant now);

  /// Gives the volume up: completes what is outstanding, ends the session at the node, then tells the master.
  /// Each step is bounded by `close_timeout`.
  void close(Instant now);

  // --- From the master and the node ------------------------------------------------------------------

  void on_open_answer(RequestId id, const OpenAnswer& answer, Instant now);
  void on_session_answer(RequestId id, const SessionAnswer& answer, Instant now);
  void on_close_answer(RequestId id, const CloseAnswer& answer, Instant now);

  // --- From the paths --------------------------------------------------------------------------------
  // Events about a connection that is no longer the path's present one are ignored.

  void on_path_accepted(const PathAccept& grant, Instant now);
  /// No connection came of it; nothing of it is left. `status`: of the node's reject, or the transport's.
  void on_path_refused(PathId path, PathEpoch epoch, StatusCode status, Instant now);
  /// The connection broke: a failed completion, a bad frame or checksum, a disconnect.
  void on_path_failed(PathId path, PathEpoch epoch, Instant now);
  /// What KillPath asked for is done: nothing of the connection can reach memory any more (C3).
  void on_path_destroyed(PathId path, PathEpoch epoch, Instant now);
  void on_response(PathId path, PathEpoch epoch, const IoResponse& response, Instant now);
  void on_keepalive(PathId path, PathEpoch epoch, const Keepalive& message, Instant now);

  /// To be called regularly, a few times in the shortest of the config's times: acts on whatever is due.
  void on_tick(Instant now);

  // --- To the owner ----------------------------------------------------------------------------------

  [[nodiscard]] std::span<const ClientAction> actions() const noexcept { return actions_.view(); }
  void clear_actions() noexcept { actions_.clear(); }

  [[nodiscard]] SessionPhase phase() const noexcept { return phase_; }
  /// Why the session ended; ok after a confirmed close.
  [[nodiscard]] StatusCode end_reason() const noexcept { return end_reason_; }
  [[nodiscard]] Gvn gvn() const noexcept { return gvn_; }
  [[nodiscard]] VolumeId volume() const noexcept { return volume_; }
  [[nodiscard]] ByteCount size() const noexcept { return size_; }
  [[nodiscard]] std::uint32_t block_size() const noexcept { return block_size_; }
  [[nodiscard]] const OutstandingTable& outstanding() const noexcept { return io_.table(); }
  [[nodiscard]] const PathSet& paths() const noexcept { return io_.paths(); }
  /// Bytes of the longest write that submit() takes now: what every path that is up has slots for, or the
  /// last ones had. The caller splits longer ones.
  [[nodiscard]] std::uint32_t longest_write() const noexcept { return longest_write_; }
  /// Bytes that a path must have room for, in capsule or slot, to be of use: a block, and what is
  /// outstanding.
  [[nodiscard]] std::uint32_t shortest_useful_slot() const noexcept;

 private:
  enum class CloseStep : std::uint8_t { finish_io, tell_node, tell_master };
  /// What the session knows when it asks the master whether it still stands.
  enum class Standing : std::uint8_t { perhaps, lost };

  /// The node has no such session any more, or never had: ask the master.
  [[nodiscard]] static bool is_end_of_session(StatusCode status) noexcept;

  void begin_event() const;
  void enter(SessionPhase phase, Instant now, StatusCode reason = StatusCode::ok);
  void ask(Instant now);
  void ask_again_later(Instant now);
  [[nodiscard]] bool expects(RequestId id) const noexcept;
  [[nodiscard]] OpenRequest open_request() const;

  void opening_answered(const OpenAnswer& answer, Instant now);
  void reopening_answered(const OpenAnswer& answer, Instant now);
  [[nodiscard]] bool adopt(const OpenAnswer& answer);
  void activate(const SessionAnswer& answer, Instant now);
  void reopen(Standing standing, Instant now);
  void end(StatusCode reason, Instant now);

  void connect_due_paths(Instant now);
  [[nodiscard]] std::optional<PathEnd> fault_of(const PathAccept& grant) const;
  void note_longest_write(const PathAccept& grant);
  [[nodiscard]] PathMask check_keepalives(Instant now);
  void disconnect(PathMask paths, PathEnd why);
  void send_again(PathMask lost, Instant now);
  void kill_path(PathId path, PathEnd why, Instant now);
  void leave_session();
  void note_paths(Instant now);
  void give_up(Instant now);
  void act_on_verdict(ResponseVerdict verdict, PathId path, Instant now);

  void start_closing(Instant now);
  void close_step_over(Instant now);
  void advance(Instant now);

  ClientConfig config_;
  ClientActions actions_;
  IoDispatcher io_;

  SessionPhase phase_ = SessionPhase::idle;
  Instant phase_since_;
  StatusCode end_reason_ = StatusCode::ok;
  StatusCode last_refusal_ = StatusCode::timed_out;

  // The question that the phase waits for an answer to; idempotent, so that any answer to any of its
  // repetitions will do.
  RequestId next_request_{1};
  RequestId first_of_phase_{1};
  Instant ask_at_;
  Duration ask_wait_{};

  // What the master gave.
  Nonce nonce_;
  VolumeId volume_;
  Gvn gvn_;
  WritePolicy policy_ = WritePolicy::write_through;
  ByteCount size_;
  std::uint32_t block_size_ = 0;
  NodeId node_;
  FixedVector<NodeAddress, kMaxPaths> addresses_;

  // What the node gave with its acknowledgement.
  Gvn acknowledged_gvn_;  ///< 0: never acknowledged
  NodeId acknowledged_node_;
  BootId acknowledged_boot_;
  Cookie cookie_;
  std::uint32_t longest_write_;  ///< bytes

  Standing standing_ = Standing::lost;
  std::optional<Instant> lost_since_;  ///< since when no path is up
  bool gave_up_ = false;               ///< OnLoss::fail took effect; over with the next session
  bool closing_ = false;
  bool close_unconfirmed_ = false;  ///< the node never said that the session is over
  CloseStep close_step_ = CloseStep::finish_io;
  Instant close_step_since_;
  std::array<Instant, kMaxPaths> keepalive_sent_{};
  std::uint64_t keepalives_ = 0;
};

}  // namespace sluice::protocol
