#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "master/ledger.h"
#include "master/master_config.h"
#include "master/metadata_store.h"
#include "master/node_registry.h"
#include "master/orders.h"
#include "master/repeated_lines.h"
#include "master/volume_registry.h"
#include "protocol/base/clock.h"
#include "protocol/control_messages.h"
#include "protocol/open_service.h"
#include "runtime/control_link.h"
#include "runtime/event_loop.h"
#include "runtime/reactor.h"

namespace sluice::master {

/// What a master counts.
struct MasterCounts {
  std::uint64_t opens_granted = 0;
  std::uint64_t opens_refused = 0;
  std::uint64_t verified = 0;
  std::uint64_t not_verified = 0;
  std::uint64_t connections = 0;          ///< ever taken
  std::uint64_t connections_refused = 0;  ///< too many, or not for the control flow
  std::uint64_t cut_off = 0;              ///< connections ended for what was sent on them
};

/// The master: who may open a volume and where it lives. It takes control connections from clients, nodes and
/// operators, and hands what they say to OpenService and the registries.
///
/// Life: start() listens; it takes over the store as soon as that can be done, and answers `not_master` until
/// then. Once it finds that another master has taken over it is deposed for good: it hangs up on everybody,
/// and is_over() once they are gone. One thread; drives itself by turn().
class Master final : public runtime::Turning,
                     private runtime::ListenHandler,
                     private runtime::ControlHandler,
                     private OrderPort {
 public:
  /// `store` and `clock` outlive the master.
  Master(MasterConfig config, MetadataStore& store, const Clock& clock, transport::LogSink log);
  ~Master() override;

  /// Listens at the configured addresses. `providers`: one for each address; completion queues of
  /// queue_depth() each are made. Errors: those of the transport, with the address.
  [[nodiscard]] Status start(std::vector<std::unique_ptr<transport::Provider>> providers);
  /// Where it listens: the real ports.
  [[nodiscard]] std::vector<transport::Address> addresses() const;

  bool turn() override;
  bool arm() override;
  [[nodiscard]] Duration longest_sleep() const override;
  [[nodiscard]] std::vector<int> wait_fds() const { return reactor_.wait_fds(); }

  /// Takes nothing new, tells those who wait, and hangs up.
  void shut_down();
  /// After shut_down(), or deposed: nobody is connected any more.
  [[nodiscard]] bool is_over() const noexcept { return phase_ != Phase::serving && connections_.empty(); }
  [[nodiscard]] bool is_deposed() const noexcept { return phase_ == Phase::deposed; }
  /// Why it can never take over (its versions are exhausted); code ok: nothing of the kind.
  [[nodiscard]] const Error& fatal() const noexcept { return fatal_; }

  [[nodiscard]] ManagerVersion manager_version() const noexcept override {
    return service_.manager_version();
  }
  [[nodiscard]] const MasterCounts& counts() const noexcept { return counts_; }
  [[nodiscard]] std::size_t connections() const noexcept { return connections_.size(); }

 private:
  enum class Phase : std::uint8_t { serving, leaving, deposed };
  struct Connection {
    std::unique_ptr<runtime::ControlLink> link;
    protocol::NodeId node;  ///< whose it is; 0: a client's or an operator's
    protocol::BootId boot;
    bool is_node_up = false;
    bool is_closing = false;
  };

  // ---- From the network
  void on_incoming(runtime::Incoming incoming) override;
  void on_control_up(runtime::ControlLink& link) override;
  void on_control(runtime::ControlLink& link, const protocol::ControlFrame& frame) override;
  void on_control_down(runtime::ControlLink& link, const Error& why) override;
  void on_control_drained(runtime::ControlLink& link) override;

  // ---- Messages
  struct Dispatch;
  void on_open(Connection& from, protocol::RequestId id, const protocol::OpenRequest& request);
  void on_close(Connection& from, protocol::RequestId id, const protocol::CloseRequest& request);
  void on_verify(Connection& from, protocol::RequestId id, const protocol::VerifyRequest& request);
  void on_hello(Connection& from, protocol::RequestId id, const protocol::Hello& hello);
  void on_hello_taken(Connection& from, const protocol::Hello& hello, protocol::HelloAnswer& answer);
  void on_heartbeat(Connection& from, protocol::RequestId id, const protocol::Heartbeat& heartbeat);
  template <typename Answer>
  void on_node_answer(Connection& from, protocol::RequestId id, const Answer& answer);
  void on_node_command(Connection& from, protocol::RequestId id, const protocol::NodeCommand& command);
  void refuse(Connection& from, protocol::RequestId id, protocol::ControlType type);
  void cut_off(Connection& from, const std::string& why);

  // ---- Orders' way to nodes
  void send_to_node(protocol::NodeId node, const protocol::ControlFrame& frame) override;
  protocol::FixedVector<protocol::NodeAddress, protocol::kMaxPaths> addresses_of(protocol::NodeId node,
                                                                                 VolumeId volume) override;

  // ---- Time
  void tick(Instant now);
  void take_over();
  void take_up();
  void look_whether_deposed();
  void depose();
  void lose_silent_nodes(Instant now);

  void reply(Connection& to, protocol::RequestId id, const protocol::ControlMessage& message);
  void send_answers();
  void hang_up(Connection& connection);
  void lose_node(Connection& connection, const std::string& why);
  void forget_node(Connection& connection);
  [[nodiscard]] Connection& of(runtime::ControlLink& link);
  [[nodiscard]] Connection* connection_of(protocol::NodeId node);
  void log(transport::LogLevel level, const std::string& line) const;

  MasterConfig config_;
  const Clock& clock_;
  transport::LogSink log_;
  RepeatedLines refusals_;
  protocol::OpenService service_;
  Ledger ledger_;
  NodeRegistry nodes_;
  Orders orders_;
  VolumeRegistry volumes_;

  runtime::Reactor reactor_;
  std::vector<std::unique_ptr<transport::Listener>> listeners_;
  std::map<std::uint64_t, Connection> connections_;  ///< by the number that is their link's user data
  std::uint64_t last_connection_ = 0;

  Phase phase_ = Phase::serving;
  bool was_in_charge_ = false;
  bool has_taken_up_ = false;  ///< what the last master left undone is known
  Instant now_;
  Instant next_tick_;
  Instant next_look_;
  Error fatal_{StatusCode::ok, {}};
  MasterCounts counts_;
};

}  // namespace sluice::master
