#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "runtime/dialer.h"
#include "runtime/event_loop.h"
#include "runtime/reactor.h"
#include "storage_node/letters.h"
#include "storage_node/volume_host.h"
#include "transport/transport_config.h"

namespace sluice::storage_node {

struct AgentConfig {
  runtime::DialerConfig masters;
  protocol::FixedVector<protocol::NodeAddress, protocol::kMaxPaths> addresses;  ///< of the first reactor
  Duration heartbeat_interval = std::chrono::seconds(1);
  Duration hello_interval = std::chrono::seconds(2);  ///< after one that wasn't taken
  Duration verify_timeout = std::chrono::seconds(30);
};

/// Speaks for a node with whichever master is in charge: says hello with every fence, beats, passes on what
/// reactors and master want of each other. It decides nothing. One thread.
class Agent final : public runtime::Turning, private runtime::DialerHandler {
 public:
  /// `reactors`: their mailboxes, in the order of their numbers; all references outlive it. Errors: those of
  /// the provider.
  static Result<std::unique_ptr<Agent>> create(AgentConfig config, const NodeIdentity& identity,
                                               std::unique_ptr<transport::Provider> provider,
                                               AgentMailbox& mailbox, std::vector<ReactorMailbox*> reactors,
                                               const Clock& clock, transport::LogSink log);

  bool turn() override;
  bool arm() override { return links_.arm(); }
  [[nodiscard]] Duration longest_sleep() const override;
  [[nodiscard]] std::vector<int> wait_fds() const;

  /// A master has taken this node's hello.
  [[nodiscard]] bool is_accepted() const noexcept { return state_ == State::accepted; }

 private:
  enum class State : std::uint8_t {
    alone,     ///< no connection, or no reports of the reactors yet
    greeting,  ///< hello said, or to be said again
    accepted,
  };
  struct PendingVerify {
    VerifyLetter letter;
    Instant since;
  };

  Agent(AgentConfig config, const NodeIdentity& identity, AgentMailbox& mailbox,
        std::vector<ReactorMailbox*> reactors, const Clock& clock, transport::LogSink log);

  bool take_mail();
  void take(const VerifyLetter& letter);
  void take(const FenceLetter& letter);
  void take(const AnswerLetter& letter);
  void take(const ReportLetter& letter);
  void take(const HelloReadyLetter& letter);

  void on_dialed(runtime::Dialer& dialer) override;
  void on_frame(runtime::Dialer& dialer, const protocol::ControlFrame& frame) override;
  void on_hung_up(runtime::Dialer& dialer, const Error& why) override;
  void on(const protocol::HelloAnswer& answer);
  void on(const protocol::HeartbeatAnswer& answer);
  void on(protocol::RequestId id, const protocol::VerifyAnswer& answer);

  void tick();
  void prepare_hello();
  void say_hello();
  void beat();
  void send(const VerifyLetter& letter, protocol::RequestId id);
  void forget_old_verifies();
  /// False: that is a deposed master, and it is left.
  [[nodiscard]] bool follow(ManagerVersion master, StatusCode status);
  [[nodiscard]] ReactorMailbox& reactor_of(VolumeId volume) noexcept;
  [[nodiscard]] bool all_have_reported() const noexcept { return reports_.size() == reactors_.size(); }
  void log(transport::LogLevel level, const std::string& line) const;

  AgentConfig config_;
  NodeIdentity identity_;
  AgentMailbox& mailbox_;
  std::vector<ReactorMailbox*> reactors_;
  const Clock& clock_;
  transport::LogSink log_;
  runtime::Reactor links_;
  std::unique_ptr<runtime::Dialer> dialer_;

  State state_ = State::alone;
  std::uint64_t hello_round_ = 0;
  std::set<std::uint16_t> not_ready_;  ///< reactors that still prepare this round's hello
  std::map<VolumeId, Gvn> fences_;
  std::map<std::uint16_t, ReportLetter> reports_;  ///< the latest of each reactor
  BackendSpace space_;
  ManagerVersion seen_;
  std::map<protocol::RequestId, PendingVerify> verifies_;
  protocol::RequestId last_request_;
  StatusCode last_refusal_ = StatusCode::ok;

  Instant now_;
  Instant tick_at_;
  Instant hello_at_;
  Instant beat_at_;
};

}  // namespace sluice::storage_node
