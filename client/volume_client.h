#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "client/block_client.h"
#include "client/client_memory.h"
#include "client/control_connections.h"
#include "client/path_link.h"
#include "client/registered_memory.h"
#include "client/request_table.h"
#include "client/volume_client_config.h"
#include "protocol/client_session.h"
#include "runtime/event_loop.h"
#include "runtime/random.h"
#include "runtime/reactor.h"

namespace sluice::client {

/// The client's core: one opening of one volume, on connections. It carries out what a ClientSession says,
/// splits long requests, and lends registered memory to those that have none.
///
///     turn()   flush what was submitted -> completions and events -> what time has made due -> flush
///
/// It has no thread, clock or randomness of its own, so that a simulation can drive it. Submitting, turning
/// and taking completions don't allocate while connections come and go not. One thread. Goes before its
/// reactor.
class VolumeClient final : public runtime::Turning, private ControlHandler, private PathHandler {
 public:
  /// `reactor` has its rails, and is this client's alone. Errors: out_of_memory.
  static Result<std::unique_ptr<VolumeClient>> create(const VolumeClientConfig& config,
                                                      runtime::Reactor& reactor, const Clock& clock,
                                                      runtime::RandomSource& random, EventSink events);
  ~VolumeClient() override = default;

  /// Starts the opening, once; state() and end_reason() tell what becomes of it.
  void open();
  /// Starts to give the volume up; over when has_ended().
  void close();

  bool turn() override;
  bool arm() override;
  [[nodiscard]] Duration longest_sleep() const override;

  /// See BlockClient's submissions.
  [[nodiscard]] StatusCode submit(const IoRequestArgs& args);
  std::size_t take(std::span<Completion> out) noexcept;
  [[nodiscard]] bool has_completed() const noexcept { return requests_.has_completed(); }
  [[nodiscard]] std::uint32_t outstanding() const noexcept { return requests_.outstanding(); }

  Status register_memory(std::span<std::byte> memory);
  Status unregister_memory(std::span<std::byte> memory) { return memory_.registered->remove(memory); }

  [[nodiscard]] ConnectionState state() const noexcept;
  [[nodiscard]] bool has_ended() const noexcept;
  /// Why the session ended, or the last thing that a master or node refused; ok if neither.
  [[nodiscard]] StatusCode end_reason() const noexcept { return session_.end_reason(); }
  /// In words, for a caller who waits: what the client is waiting for, and what stands in the way.
  [[nodiscard]] std::string describe_progress() const;
  [[nodiscard]] VolumeInfo info() const;
  [[nodiscard]] std::vector<PathInfo> paths() const;
  [[nodiscard]] const protocol::ClientSession& session() const noexcept { return session_; }

 private:
  /// What came of an action at once: told to the session once all of its actions are done.
  struct PathOutcome {
    protocol::PathId path;
    protocol::PathEpoch epoch;
    StatusCode refusal = StatusCode::ok;  ///< of a connect; ok: of a kill
  };

  VolumeClient(const VolumeClientConfig& config, runtime::Reactor& reactor, const Clock& clock,
               runtime::RandomSource& random, EventSink events, ClientMemory memory);

  // What the session says.
  void after_event();
  void act();
  void act_on(const protocol::SendOpen& action);
  void act_on(const protocol::SendSessionOpen& action);
  void act_on(const protocol::SendClose& action);
  void act_on(const protocol::ConnectPath& action);
  void act_on(const protocol::KillPath& action);
  void act_on(const protocol::SendKeepalive& action);
  void act_on(const protocol::PostIo& action);
  void act_on(const protocol::CompleteIo& action);
  void act_on(const protocol::ReportPhase& action);

  // What the connections say.
  void on_answer(const protocol::ControlFrame& frame) override;
  void on_control_change(const std::string& whom, const Error& why) override;
  void on_path_up(PathLink& path, const protocol::PathAccept& grant) override;
  void on_path_failed(PathLink& path, const Error& why) override;
  void on_path_gone(PathLink& path, StatusCode refusal) override;
  void on_path_response(PathLink& path, const protocol::IoResponse& response) override;
  void on_path_keepalive(PathLink& path, const protocol::Keepalive& message) override;

  [[nodiscard]] Piece* piece_read_by(const protocol::IoResponse& response) noexcept;
  void tick(Instant now);
  void tell_outcomes();
  void pump();
  void read_again();
  [[nodiscard]] StatusCode refusal_of(const IoRequestArgs& args) const noexcept;
  [[nodiscard]] bool is_intact(const Piece& piece, std::uint32_t crc) const noexcept;
  [[nodiscard]] std::string name() const;
  [[nodiscard]] std::string describe(protocol::PathEnd end, const PathLink& path) const;
  void tell_trouble(protocol::PathId path, const std::string& address, const std::string& what,
                    const std::string& why);
  [[nodiscard]] PathLink& link(protocol::PathId path) { return *paths_.at(path.value()); }
  void report(ClientEvent::Kind kind, transport::LogLevel level, const std::string& text) const;

  VolumeClientConfig config_;
  runtime::Reactor& reactor_;
  const Clock& clock_;
  runtime::RandomSource& random_;
  EventSink events_;

  ClientMemory memory_;
  RequestTable requests_;
  protocol::ClientSession session_;

  std::vector<PathOutcome> outcomes_;
  std::vector<std::uint32_t> to_read_again_;  ///< pieces whose data was damaged
  StatusCode* submission_ = nullptr;          ///< of the submit() that is under way: where a refusal goes
  std::optional<Instant> closing_since_;
  bool session_was_closed_ = false;
  protocol::WritePolicy policy_ = protocol::WritePolicy::write_through;
  Duration tick_interval_;
  Instant next_tick_;
  std::string holder_;        ///< who held the volume when the master said busy
  std::string path_trouble_;  ///< why the last path that was lost or refused isn't there

  ControlConnections control_;
  std::vector<std::unique_ptr<PathLink>> paths_;  ///< by PathId; after what they refer to
};

}  // namespace sluice::client
