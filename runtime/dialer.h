#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/control_messages.h"
#include "protocol/path_set.h"
#include "runtime/control_link.h"

namespace sluice::runtime {

struct DialerConfig {
  std::vector<transport::Address> addresses;  ///< tried one after the other, at least one
  protocol::Backoff backoff{std::chrono::milliseconds(100), std::chrono::seconds(5)};
  KeepaliveConfig keepalive;
  std::vector<Rail> rails;  ///< over which each of the addresses is reached; empty: all over the dialer's own
};

class Dialer;

/// From within Reactor::poll() and Dialer::tick().
class DialerHandler {
 public:
  DialerHandler() = default;
  DialerHandler(const DialerHandler&) = delete;
  DialerHandler& operator=(const DialerHandler&) = delete;
  virtual ~DialerHandler() = default;

  virtual void on_dialed(Dialer& dialer) = 0;
  virtual void on_frame(Dialer& dialer, const protocol::ControlFrame& frame) = 0;
  /// The connection ended, or none came of an attempt; the next one follows by itself.
  virtual void on_hung_up(Dialer& dialer, const Error& why) = 0;
};

/// Keeps one control connection to one of several addresses: connects, waits longer after each failure in a
/// row, and goes on to the next address. One thread; goes before its reactor.
class Dialer final : private ControlHandler {
 public:
  Dialer(Reactor& reactor, Rail rail, DialerConfig config, DialerHandler& handler);
  ~Dialer() override = default;

  /// Connects when it is time to, and lets the connection check on its peer. To be called a few times a
  /// second. An address that can't even be tried is told to the handler like a failed attempt.
  void tick(Instant now);

  [[nodiscard]] bool is_up() const noexcept { return is_up_; }
  /// unavailable: there is no connection now.
  Status send(const protocol::ControlFrame& frame);
  /// This peer is the wrong one (not the master, say): hang up and try the next address.
  void try_next();

  [[nodiscard]] const transport::Address& address() const noexcept { return config_.addresses[next_]; }
  /// The attempts in a row that came to nothing.
  [[nodiscard]] std::uint32_t failures() const noexcept { return failures_; }

 private:
  void on_control_up(ControlLink& link) override;
  void on_control(ControlLink& link, const protocol::ControlFrame& frame) override;
  void on_control_down(ControlLink& link, const Error& why) override;
  void on_control_drained(ControlLink& link) override;

  [[nodiscard]] Rail rail() const noexcept { return config_.rails.empty() ? rail_ : config_.rails[next_]; }
  void connect();
  void attempt_failed(const Error& why);

  Reactor& reactor_;
  Rail rail_;
  DialerConfig config_;
  DialerHandler& handler_;
  std::size_t next_ = 0;  ///< the address in use, or to be tried next
  Instant now_;           ///< of the last tick
  Instant connect_at_;
  Duration wait_{};
  std::uint32_t failures_ = 0;
  bool is_up_ = false;
  std::unique_ptr<ControlLink> link_;
};

}  // namespace sluice::runtime
