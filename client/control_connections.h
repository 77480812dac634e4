#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/volume_client_config.h"
#include "protocol/control_messages.h"
#include "protocol/fixed_vector.h"
#include "protocol/identifiers.h"
#include "runtime/dialer.h"
#include "runtime/reactor.h"

namespace sluice::client {

/// Told what masters and nodes answer, from within Reactor::poll() and ControlConnections::tick().
class ControlHandler {
 public:
  ControlHandler() = default;
  ControlHandler(const ControlHandler&) = delete;
  ControlHandler& operator=(const ControlHandler&) = delete;
  virtual ~ControlHandler() = default;

  virtual void on_answer(const protocol::ControlFrame& frame) = 0;
  /// A connection came (`why` ok) or went, or none came of an attempt. `whom`: "master HOST:PORT".
  virtual void on_control_change(const std::string& whom, const Error& why) = 0;
};

/// Whom a client asks: the masters, of which one is in charge, and the node of its volume. A question that
/// finds no connection, or whose connection breaks, is asked on the next one; all of them are idempotent.
/// One thread. Goes before its reactor.
class ControlConnections final : private runtime::DialerHandler {
 public:
  using Addresses = protocol::FixedVector<protocol::NodeAddress, protocol::kMaxPaths>;

  ControlConnections(runtime::Reactor& reactor, const VolumeClientConfig& config, ControlHandler& handler);
  ~ControlConnections() override = default;

  /// Where a node is, as a master said.
  void learn(protocol::NodeId node, const Addresses& addresses);

  /// Takes the place of the last question that still waits. To the node that is meant now, by ask_node.
  void ask_master(const protocol::ControlFrame& question);
  void ask_node(protocol::NodeId node, const protocol::ControlFrame& question);
  /// Nobody waits for answers any more.
  void drop_questions() noexcept;

  /// Whether tick() has something to do at once.
  [[nodiscard]] bool is_due() const noexcept { return wanted_node_ != dialed_node_ || addresses_changed_; }
  /// Dials and keeps alive; never from within Reactor::poll().
  void tick(Instant now);

  /// What the last attempt to reach a master, and the node, came to; empty if it is connected.
  [[nodiscard]] const std::string& master_trouble() const noexcept { return master_.trouble; }
  [[nodiscard]] const std::string& node_trouble() const noexcept { return node_.trouble; }

 private:
  /// A connection that is kept, and what is asked on it.
  struct Party {
    std::unique_ptr<runtime::Dialer> dialer;
    std::optional<protocol::ControlFrame> question;  ///< not answered yet
    std::string trouble;                             ///< what the last attempt came to; empty while connected
    bool is_trouble_told = false;                    ///< and nobody has answered since
  };
  struct KnownNode {
    protocol::NodeId node;
    Addresses addresses;
  };

  void on_dialed(runtime::Dialer& dialer) override;
  void on_frame(runtime::Dialer& dialer, const protocol::ControlFrame& frame) override;
  void on_hung_up(runtime::Dialer& dialer, const Error& why) override;

  static void ask(Party& party, const protocol::ControlFrame& question);
  [[nodiscard]] Party& party_of(const runtime::Dialer& dialer) noexcept;
  void report_connected(const runtime::Dialer& dialer);
  void dial_wanted_node();
  [[nodiscard]] std::unique_ptr<runtime::Dialer> make_dialer(runtime::DialerConfig config);

  runtime::Reactor& reactor_;
  protocol::Backoff redial_;
  runtime::KeepaliveConfig keepalive_;
  ControlHandler& handler_;
  Party master_;
  Party node_;
  protocol::NodeId dialed_node_;  ///< 0: none
  protocol::NodeId wanted_node_;
  bool addresses_changed_ = false;  ///< of the dialed node
  std::vector<KnownNode> known_;    ///< the latest last; a volume moves rarely
};

}  // namespace sluice::client
