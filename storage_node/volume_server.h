#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "protocol/volume_sessions.h"
#include "storage_node/backend.h"
#include "storage_node/io_task.h"
#include "storage_node/path.h"
#include "storage_node/session_journal.h"
#include "storage_node/state_keeper.h"
#include "storage_node/volume_host.h"

namespace sluice::storage_node {

/// One volume on its reactor: decides nothing, but carries out what its VolumeSessions decide, as
/// server_actions.h says.
///
///     path, control connection, master, backend --event--> VolumeSessions --actions--> perform(...) each
///
/// An event's actions are carried out completely before the next event; what they cause (a task to start, a
/// path without a queue pair that is gone at once) is noted down and taken up by settle(). The data path
/// doesn't allocate. One thread; goes before everything in its services.
class VolumeServer final : private PathHandler, private IoTaskHost, private StateKeeper::Handler {
 public:
  /// `found`: as the backend lists it; it isn't open yet, and refuses everything.
  VolumeServer(const VolumeServices& services, const VolumeState& found);
  ~VolumeServer() override;

  /// F2: its storage is open under its lock, and holds data: sessions are accepted from now on.
  void on_locked(std::unique_ptr<VolumeStorage> storage, ManagerVersion seen);
  [[nodiscard]] bool is_locked() const noexcept { return storage_ != nullptr; }

  // ---- Control flow
  void on_session_open(protocol::Token token, const protocol::SessionOpen& open, Instant now);
  void on_close(protocol::Token token, const protocol::CloseRequest& request, Instant now);
  void on_quiesce(protocol::Token token, const protocol::QuiesceRequest& request, Instant now);
  void on_attach(protocol::Token token, const protocol::PathAttach& attach);
  void on_verify_answer(protocol::RequestId id, const protocol::VerifyAnswer& answer);
  void on_manager_version(ManagerVersion seen);
  /// P1: see VolumeSessions. True: the fence to report has been told to the host.
  [[nodiscard]] bool prepare_hello();
  void tick(Instant now);

  /// Errors: busy (it would cut off what a session may use), unavailable (not open), and the storage's.
  Status resize(ByteCount size);
  /// Whether its storage may be given back, or read by others: no session, nothing on its way.
  [[nodiscard]] bool is_quiet() const noexcept;
  /// P4: a session's next flush would fail. Goes with the volume when that moves.
  [[nodiscard]] bool owes_flush_error() const noexcept { return sessions_->owes_flush_error(); }
  /// For copies out of it, while it is quiet: counted, so that nobody takes the storage away.
  [[nodiscard]] VolumeStorage* storage() noexcept { return storage_.get(); }
  void add_reader() noexcept { ++readers_; }
  void remove_reader() noexcept { --readers_; }

  /// Ends: disconnects everybody, waits for the backend, flushes what a write-back session left there, and
  /// says on the disk that nothing is missing. Takes a few turns: see is_shut_down().
  void shut_down();
  [[nodiscard]] bool is_shut_down() const noexcept { return shutdown_ == Shutdown::done; }

  // ---- Facts
  [[nodiscard]] VolumeId id() const noexcept { return found_.volume; }
  [[nodiscard]] const VolumeState& state() const noexcept { return storage_ ? keeper_.wanted() : found_; }
  [[nodiscard]] Gvn fence() const noexcept { return sessions_->fence(); }
  [[nodiscard]] std::size_t session_count() const noexcept { return sessions_->sessions().size(); }
  [[nodiscard]] std::size_t path_count() const noexcept { return paths_.size(); }
  [[nodiscard]] protocol::RefusalCounts refusals() const noexcept { return sessions_->refusals(); }
  [[nodiscard]] protocol::VolumeStatus status() const;

  /// Sends the answers that found no room before, as far as there is some now. True: some are left.
  bool send_backlog();

 private:
  enum class Shutdown : std::uint8_t { no, disconnecting, flushing, storing, closing, done };

  /// The last step before the storage is closed.
  struct FinalFlush final : public BackendWork {
    explicit FinalFlush(VolumeServer& server) : volume(server) {}
    void on_backend_done(StatusCode status) override { volume.on_flushed(status); }
    VolumeServer& volume;
  };

  struct ServedPath {
    ServedPath(const protocol::PathKey& key, std::uint16_t depth, const PathConfig& config,
               PathHandler& handler)
        : tasks(depth), path(key, depth, config, handler) {}
    IoTaskPool tasks;
    Path path;
  };
  using ServedPaths = std::vector<std::unique_ptr<ServedPath>>;

  template <typename Event>
  void tell(Event&& event);
  void settle();
  template <typename Event>
  void tell_and_settle(Event&& event);

  void perform(const protocol::Execute& action);
  void perform(const protocol::Respond& action);
  void perform(const protocol::DestroyQueuePair& action);
  void perform(const protocol::ReleasePath& action);
  void perform(const protocol::AcceptPath& action);
  void perform(const protocol::RejectPath& action);
  void perform(const protocol::AskMaster& action);
  void perform(const protocol::PersistFence& action);
  void perform(const protocol::AnswerSession& action);
  void perform(const protocol::AnswerClose& action);
  void perform(const protocol::AnswerQuiesce& action);

  void on_path_request(Path& path, std::span<const std::byte> message) override;
  void on_path_lost(Path& path, const Error& why) override;
  void on_path_disconnected(Path& path) override;

  IoBuffer take_buffer(IoTask& task, std::uint32_t bytes) override;
  void resume(IoTask& task) override;
  bool may_submit(IoTask& task) override;
  void start(const BackendRequest& request) override { storage_->start(request); }
  void on_bad_payload(IoTask& task) override;
  void on_io_done(IoTask& task, const protocol::IoOutcome& outcome) override;

  void on_state_stored(const VolumeState& state, StatusCode status) override;
  void on_flushed(StatusCode status);
  void advance_shutdown();
  void note_written_back();

  [[nodiscard]] std::unique_ptr<protocol::VolumeSessions> make_sessions(const VolumeState& state) const;
  Status connect(Path& path, protocol::Token token);
  void reject(runtime::Incoming incoming, const protocol::PathReject& reject);
  Result<std::shared_ptr<SessionDomain>> domain_for(const protocol::PathKey& key, runtime::Rail rail);
  [[nodiscard]] ServedPaths::iterator position_of(const protocol::PathKey& key) noexcept;
  [[nodiscard]] ServedPath* find(const protocol::PathKey& key) noexcept;
  /// One that is there: what is under way holds its path.
  [[nodiscard]] ServedPath& at(const protocol::PathKey& key) noexcept;
  [[nodiscard]] std::string name(Gvn gvn) const;

  VolumeServices services_;
  VolumeState found_;
  std::unique_ptr<VolumeStorage> storage_;
  StateKeeper keeper_;
  std::unique_ptr<protocol::VolumeSessions> sessions_;
  SessionJournal journal_;
  std::optional<protocol::PersistFence> persisting_;
  bool is_write_back_ = false;  ///< as the master last said
  std::uint32_t readers_ = 0;

  ServedPaths paths_;   ///< few, and in the order of their attaching
  IoBuffer read_data_;  ///< of the attempt whose outcome is being told
  std::uint32_t read_length_ = 0;
  // What settle() takes up.
  IoTaskList ready_;
  std::vector<protocol::PathKey> lost_;          ///< accepted by the session, but no connection came of it
  std::vector<protocol::PathKey> disconnected_;  ///< its queue pair is gone
  bool is_settling_ = false;
  bool is_performing_ = false;  ///< the actions of one event are being carried out

  Shutdown shutdown_ = Shutdown::no;
  FinalFlush final_flush_{*this};
};

}  // namespace sluice::storage_node
