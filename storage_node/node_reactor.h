#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "runtime/event_loop.h"
#include "runtime/reactor.h"
#include "storage_node/backend.h"
#include "storage_node/control_desk.h"
#include "storage_node/copy_source.h"
#include "storage_node/io_memory.h"
#include "storage_node/io_task.h"
#include "storage_node/letters.h"
#include "storage_node/refusal_log.h"
#include "storage_node/volume_host.h"
#include "storage_node/volumes.h"

namespace sluice::storage_node {

/// The most of everything that one reactor serves.
struct NodeLimits {
  std::size_t sessions = 64;
  std::size_t paths = 128;
  std::size_t volumes = 1024;
};

struct NodeReactorConfig {
  std::uint16_t index = 0;                 ///< among the node's reactors
  std::vector<transport::Address> listen;  ///< this reactor's own, one a rail
  IoMemoryConfig memory;
  SessionConfig session;
  ControlDeskConfig control;
  NodeLimits limits;
};

/// What a reactor is made of, beside its configuration; the references outlive it.
struct NodeReactorParts {
  std::vector<std::unique_ptr<transport::Provider>> providers;  ///< one for each address in `listen`
  std::unique_ptr<Backend> backend;
  const Clock& clock;
  runtime::RandomSource& random;
  transport::LogSink log;
  AgentMailbox& agent;
};

/// One thread of a node, or all of it in a simulation: its connections, its volumes, its backend. See turn().
class NodeReactor final : public runtime::Turning,
                          private runtime::ListenHandler,
                          private VolumeHost,
                          private ControlDesk::Handler {
 public:
  /// Listens, and has read which volumes there are. Errors: those of the parts, naming what to do.
  static Result<std::unique_ptr<NodeReactor>> create(const NodeReactorConfig& config,
                                                     const NodeIdentity& identity, NodeReactorParts parts);
  ~NodeReactor() override;

  bool turn() override;
  bool arm() override;
  [[nodiscard]] Duration longest_sleep() const override;
  /// For the event loop.
  [[nodiscard]] std::vector<int> wait_fds() const;

  /// Any thread.
  [[nodiscard]] ReactorMailbox& mailbox() noexcept { return mailbox_; }

  /// Where it listens, with the ports that it really has.
  [[nodiscard]] std::vector<transport::Address> addresses() const;
  /// After a ShutdownLetter: every connection is gone, nothing is in flight, every volume is closed.
  [[nodiscard]] bool is_shut_down() const noexcept { return is_shut_down_; }
  [[nodiscard]] const IoMemory& memory() const noexcept { return *memory_; }
  /// Of all its volumes so far.
  [[nodiscard]] protocol::RefusalCounts refusals() const { return volumes_->refusals(); }

 private:
  using Asker = std::variant<ControlAsker, runtime::Incoming, protocol::RequestId>;

  NodeReactor(NodeReactorConfig config, const NodeIdentity& identity, NodeReactorParts parts);
  Status start(std::vector<std::unique_ptr<transport::Provider>> providers);
  Status add_rail(std::unique_ptr<transport::Provider> provider);

  bool take_mail();
  void take(const VerifyAnswerLetter& letter);
  void take(const OrderLetter& letter);
  void take(const ManagerVersionLetter& letter);
  void take(const PrepareHelloLetter& letter) { hello_round_ = letter.round; }
  void take(const ShutdownLetter& letter);
  void prepare_hello();
  bool poll_backend();
  void tick();
  void report();
  void advance_shutdown();

  void on_incoming(runtime::Incoming incoming) override;
  void on_attach(runtime::Incoming incoming, const protocol::PathAttach& attach);
  bool on_request(const ControlAsker& asker, const protocol::ControlMessage& message) override;
  void on_session_open(const ControlAsker& asker, const protocol::SessionOpen& open);
  void on_close(const ControlAsker& asker, const protocol::CloseRequest& request);
  void on_status_request(const ControlAsker& asker, const protocol::VolumeStatusRequest& request);
  void refuse(const ControlAsker& asker, const protocol::SessionOpen& open, StatusCode why);
  void on_sent(std::uint64_t tag) override { copy_source_->on_sent(tag); }
  void on_gone(ConnectionId connection) override { copy_source_->on_gone(connection); }

  void answer(protocol::Token token, const protocol::ControlMessage& message) override;
  runtime::Incoming take_incoming(protocol::Token token) override;
  void ask_master(VolumeId volume, protocol::RequestId id, const protocol::VerifyRequest& request) override;
  void on_fence(VolumeId volume, Gvn fence) override;
  void log(transport::LogLevel level, const std::string& line) override;
  void log_refusal(const std::string& line) override { refusal_log_.say(line); }

  protocol::Token token_for(Asker asker);

  NodeReactorConfig config_;
  NodeIdentity identity_;
  std::unique_ptr<Backend> backend_;
  const Clock& clock_;
  runtime::RandomSource& random_;
  transport::LogSink log_;
  AgentMailbox& agent_;
  ReactorMailbox mailbox_;
  RefusalLog refusal_log_;
  protocol::ServerActions actions_;
  std::array<BackendCompletion, 64> done_;  ///< made once: most turns find nothing
  bool has_backlog_ = false;

  // What is below goes before what is above it.
  std::unique_ptr<IoMemory> memory_;
  runtime::Reactor links_;
  std::vector<std::unique_ptr<transport::Listener>> listeners_;
  std::unique_ptr<BufferQueue> buffers_;
  std::unique_ptr<Volumes> volumes_;
  ControlDesk desk_;
  std::unique_ptr<CopySource> copy_source_;
  std::map<protocol::Token, Asker> askers_;
  protocol::Token last_token_;

  std::optional<std::uint64_t> hello_round_;  ///< a hello that is being prepared

  Instant now_;
  Instant tick_at_;
  Instant report_at_;
  bool is_shutting_down_ = false;
  bool is_shut_down_ = false;
};

}  // namespace sluice::storage_node
