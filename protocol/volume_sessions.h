#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "protocol/base/clock.h"
#include "protocol/base/status.h"
#include "protocol/control_messages.h"
#include "protocol/fixed_vector.h"
#include "protocol/global_version.h"
#include "protocol/identifiers.h"
#include "protocol/limits.h"
#include "protocol/server_actions.h"
#include "protocol/server_session.h"

namespace sluice::protocol {

/// What a node tells each of its volumes.
struct VolumeSessionsConfig {
  VolumeId volume;
  NodeId node;
  BootId boot;
  std::uint32_t window_size = kDefaultWindowSize;
  std::uint16_t max_paths = kMaxPaths;
  std::uint16_t path_depth = kDefaultPathDepth;
  Duration open_timeout = std::chrono::seconds(30);  ///< a session open or a close is answered within this
};

/// What a node found on its disk when it started.
struct VolumeRecovery {
  Gvn fence;                        ///< 0 if the volume never had a session here
  ManagerVersion manager_version;   ///< highest seen, by the whole node
  bool writes_may_be_lost = false;  ///< P4: a write-back session was open when the last process ended
};

/// One volume on its node: its sessions, and the fence between them. Takes session opens through P3 and
/// routes everything else to the session that it concerns.
///
///     session open -> verify with the master -> stop the older sessions (they destroy their queue pairs)
///                  -> drain them -> make the fence durable -> acknowledge
///
/// Events in, actions out: it calls nobody and reads no clock. Only the start of a session allocates. Not
/// thread-safe: one thread owns a volume.
class VolumeSessions {
 public:
  VolumeSessions(const VolumeSessionsConfig& config, const VolumeRecovery& found);

  /// F2: the volume's backing file is open under its exclusive lock, so that no older process has IO in
  /// flight to it. Until then no session is accepted.
  void on_backend_locked() noexcept { backend_is_locked_ = true; }

  /// The node has seen this manager version, for whichever volume; lower ones are ignored from now on.
  void on_manager_version(ManagerVersion seen) noexcept;

  /// P1: before the node says hello to a master: the fence to report, or nothing while one is being written;
  /// then to be called again after `on_fence_durable`. The master may be restored from an old copy, and takes
  /// the report for all that it has missed: so that no earlier master's word is acted on after it, every
  /// session open and quiesce under way is given up, and whoever asked is told `unavailable`, to ask again.
  [[nodiscard]] std::optional<Gvn> prepare_hello(ServerActions& actions);

  /// `cookie` is random and fresh; it becomes the session's, if there will be one.
  void on_session_open(Token token, const SessionOpen& open, Cookie cookie, Instant now,
                       ServerActions& actions);
  void on_verify_answer(RequestId id, const VerifyAnswer& answer, ServerActions& actions);
  /// `durable`: whether PersistFence succeeded. If not, what is on disk counts as unknown.
  void on_fence_durable(Gvn fence, StatusCode durable, ServerActions& actions);
  void on_quiesce(Token token, const QuiesceRequest& request, Instant now, ServerActions& actions);
  void on_close(Token token, const CloseRequest& request, Instant now, ServerActions& actions);
  /// Answers what has waited too long. To be called now and then; nothing else depends on time.
  void on_tick(Instant now, ServerActions& actions);

  void on_path_attach(Token token, const PathAttach& attach, ServerActions& actions);
  void on_path_lost(const PathKey& path, ServerActions& actions);
  void on_queue_pair_destroyed(const PathKey& path, ServerActions& actions);

  /// The data path: see ServerSession.
  void on_request(const PathKey& path, std::span<const std::byte> capsule, ServerActions& actions);
  [[nodiscard]] bool may_submit(Gvn session, AttemptId attempt, ServerActions& actions);
  void on_bad_payload(Gvn session, AttemptId attempt, ServerActions& actions);
  void on_io_done(Gvn session, AttemptId attempt, const IoOutcome& outcome, ServerActions& actions);

  /// The fence: the highest GVN accepted, durable.
  [[nodiscard]] Gvn fence() const noexcept { return fence_.value(); }
  [[nodiscard]] ManagerVersion manager_version() const noexcept { return manager_version_; }
  /// The session of this GVN, active or draining; null if there is none.
  [[nodiscard]] const ServerSession* session(Gvn gvn) const noexcept;
  /// All of them, active or draining.
  [[nodiscard]] FixedVector<const ServerSession*, kMaxVolumeSessions> sessions() const noexcept;
  /// P4: a flush still has to tell of writes that were lost, or may have been, between two sessions.
  [[nodiscard]] bool owes_flush_error() const noexcept;
  /// Refusals of all sessions so far.
  [[nodiscard]] RefusalCounts refusals() const noexcept;
  /// Answers of masters that were ignored because a newer one is known, or nobody waits for them.
  [[nodiscard]] std::uint64_t ignored_answers() const noexcept { return ignored_answers_; }

 private:
  /// A session open, or a quiesce, on its way.
  struct Candidate {
    enum class Kind : std::uint8_t { open, quiesce };
    enum class Phase : std::uint8_t {
      verifying,   ///< the master has been asked
      draining,    ///< verified: the older sessions end
      persisting,  ///< drained: the fence is being made durable
    };

    Kind kind = Kind::open;
    Phase phase = Phase::verifying;
    SessionOpen open;
    VerifyAnswer verified;
    RequestId verify_id;
    Cookie cookie;
    std::optional<Token> token;  ///< none once it has been told that this takes too long
    Instant deadline;
  };

  /// A session, and who waits for its end.
  struct Held {
    std::unique_ptr<ServerSession> session;
    std::optional<Token> closer;
    Instant close_deadline;
  };

  void ask_master(const Candidate& candidate, ServerActions& actions) const;
  void answer_open(const Candidate& candidate, StatusCode status, ServerActions& actions) const;
  void acknowledge(Token token, const ServerSession& session, ServerActions& actions) const;
  void refuse(Token token, Gvn gvn, StatusCode status, ServerActions& actions) const;
  [[nodiscard]] SessionAnswer make_answer(Gvn gvn, StatusCode status) const noexcept;
  void answer_quiesce(Token token, StatusCode status, ServerActions& actions) const;
  void answer_close(Token token, Gvn gvn, StatusCode status, ServerActions& actions) const;

  [[nodiscard]] bool is_verified(const Candidate& candidate, const VerifyAnswer& answer) const noexcept;
  [[nodiscard]] bool shares_era(const ServerSession& session, const Candidate& candidate) const noexcept;
  [[nodiscard]] std::size_t find_candidate(const SessionOpen& open) const noexcept;
  [[nodiscard]] std::size_t best_verified() const noexcept;
  void remove_candidate(std::size_t index) noexcept;

  void advance(ServerActions& actions);
  bool end_older_sessions(const Candidate& candidate, ServerActions& actions);
  void reap(ServerActions& actions);
  void establish(const Candidate& candidate, ServerActions& actions);
  [[nodiscard]] bool is_fenced(Gvn gvn) const noexcept;
  void drop_fenced_candidates(ServerActions& actions);
  [[nodiscard]] Held* free_place() noexcept;

  [[nodiscard]] ServerSession* find(Gvn gvn) noexcept;

  VolumeSessionsConfig config_;
  Fence fence_;
  Gvn highest_persisted_;  ///< asked to be made durable: what the disk may hold; never below the fence
  ManagerVersion manager_version_;
  std::array<Held, kMaxVolumeSessions> held_;
  FixedVector<Candidate, kMaxPendingOpens> candidates_;
  RequestId last_verify_;
  RefusalCounts refusals_of_ended_;
  std::uint64_t ignored_answers_ = 0;
  bool backend_is_locked_ = false;
  bool unflushed_writes_may_be_lost_;
};

}  // namespace sluice::protocol
