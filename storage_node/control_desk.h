#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "protocol/base/clock.h"
#include "protocol/control_messages.h"
#include "runtime/control_link.h"
#include "runtime/reactor.h"
#include "transport/transport_config.h"

namespace sluice::storage_node {

/// Names a control connection; never used twice.
using ConnectionId = Quantity<struct ConnectionIdTag, std::uint64_t>;

/// Who asks what, on a control connection.
struct ControlAsker {
  ConnectionId connection;
  protocol::RequestId request;
};

struct ControlDeskConfig {
  std::size_t max_connections = 256;
  Duration idle_limit = std::chrono::seconds(10);  ///< for the first request
  runtime::KeepaliveConfig keepalive;
};

/// The control connections of a reactor: clients that open and close sessions, operators that look, nodes
/// that copy. Who connects and asks for nothing is shown out. One thread.
class ControlDesk final : private runtime::ControlHandler {
 public:
  class Handler {
   public:
    Handler() = default;
    Handler(const Handler&) = delete;
    Handler& operator=(const Handler&) = delete;
    virtual ~Handler() = default;

    /// False: nothing that this node answers: the connection is ended.
    virtual bool on_request(const ControlAsker& asker, const protocol::ControlMessage& message) = 0;
    /// What was sent with answer_after, under this tag, has left, or never will.
    virtual void on_sent(std::uint64_t tag) = 0;
    /// Nothing of this connection refers to any memory any more.
    virtual void on_gone(ConnectionId connection) = 0;
    virtual void log_refusal(const std::string& line) = 0;
  };

  ControlDesk(runtime::Reactor& reactor, const ControlDeskConfig& config, Handler& handler)
      : reactor_(reactor), config_(config), handler_(handler) {}

  /// Takes a connection, or refuses it.
  void accept(runtime::Incoming incoming, Instant now);

  /// Dropped if the asker is gone.
  void answer(const ControlAsker& asker, const protocol::ControlMessage& message);
  /// See ControlLink::send_after.
  Status answer_after(const ControlAsker& asker, std::span<const transport::WorkRequest> before,
                      const protocol::ControlMessage& message, std::uint64_t tag);
  [[nodiscard]] runtime::Rail rail(ConnectionId connection) const { return connections_.at(connection).rail; }
  [[nodiscard]] bool is_there(ConnectionId connection) const { return connections_.contains(connection); }

  void tick(Instant now);
  void close_all();
  [[nodiscard]] std::size_t count() const noexcept { return connections_.size(); }

 private:
  struct Connection {
    std::unique_ptr<runtime::ControlLink> link;
    runtime::Rail rail{};
    Instant since;
    bool has_asked = false;
  };

  void on_control_up(runtime::ControlLink& /*link*/) override {}
  void on_control(runtime::ControlLink& link, const protocol::ControlFrame& frame) override;
  void on_control_down(runtime::ControlLink& link, const Error& why) override;
  void on_control_drained(runtime::ControlLink& link) override;
  void on_control_sent(runtime::ControlLink& link, std::uint64_t tag,
                       transport::CompletionStatus status) override;

  runtime::Reactor& reactor_;
  ControlDeskConfig config_;
  Handler& handler_;
  std::map<ConnectionId, Connection> connections_;
  ConnectionId last_;
};

}  // namespace sluice::storage_node
