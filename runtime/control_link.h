#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "protocol/base/clock.h"
#include "protocol/control_messages.h"
#include "runtime/link.h"
#include "runtime/reactor.h"

namespace sluice::runtime {

class ControlLink;

/// Told what happens on a control link, from within Reactor::poll(). Of all these calls only
/// on_control_drained may destroy a link.
class ControlHandler {
 public:
  ControlHandler() = default;
  ControlHandler(const ControlHandler&) = delete;
  ControlHandler& operator=(const ControlHandler&) = delete;
  virtual ~ControlHandler() = default;

  virtual void on_control_up(ControlLink& link) = 0;
  /// Never a keepalive: the link answers those by itself.
  virtual void on_control(ControlLink& link, const protocol::ControlFrame& frame) = 0;
  /// Nothing can be sent any more. At most once, never after close().
  virtual void on_control_down(ControlLink& link, const Error& why) = 0;
  /// Nothing is outstanding: the last call.
  virtual void on_control_drained(ControlLink& link) = 0;
  /// A message that was sent with `before` has executed, or failed.
  virtual void on_control_sent(ControlLink& /*link*/, std::uint64_t /*tag*/,
                               transport::CompletionStatus /*status*/) {}
};

/// How a control link finds out that its peer is gone.
struct KeepaliveConfig {
  Duration interval = std::chrono::seconds(1);  ///< without a message, before one is asked for
  std::uint32_t misses = 3;                     ///< intervals without a sign of life end the connection
};

/// A connection for control messages: frames in, frames out, keepalives. A peer that sends anything else is
/// cut off. Not the data path: it may allocate. One thread; goes before its reactor.
class ControlLink final : private LinkHandler {
 public:
  /// What waits for credits at most; a peer that lets more pile up is cut off.
  static constexpr std::size_t kMaxBacklog = 256;

  static Result<std::unique_ptr<ControlLink>> connect(Reactor& reactor, Rail rail,
                                                      transport::ProtectionDomain& domain,
                                                      const transport::Address& address,
                                                      const KeepaliveConfig& keepalive,
                                                      ControlHandler& handler);
  static Result<std::unique_ptr<ControlLink>> accept(Reactor& reactor, Incoming incoming,
                                                     transport::ProtectionDomain& domain,
                                                     const KeepaliveConfig& keepalive,
                                                     ControlHandler& handler);

  /// Sends a frame, in the order of sending; one for which there is no credit yet waits. Errors: unavailable
  /// (the connection is over), queue_full (too much waits; the connection is ended).
  Status send(const protocol::ControlFrame& frame);
  /// Sends a frame after `before` has executed, if there is a credit and nothing waits; on_control_sent tells
  /// `tag` when the buffers of `before` are the caller's again. Errors: unavailable, queue_full (try later).
  Status send_after(std::span<const transport::WorkRequest> before, const protocol::ControlFrame& frame,
                    std::uint64_t tag);

  /// Asks for a sign of life, or ends a connection that gives none. To be called a few times an interval.
  void tick(Instant now);
  /// Nothing but on_control_drained follows.
  void close() noexcept;

  [[nodiscard]] bool is_up() const noexcept { return link_->is_connected(); }
  [[nodiscard]] std::string peer() const { return link_->peer(); }
  /// Frames that were no control messages of this version.
  [[nodiscard]] std::uint64_t malformed() const noexcept { return malformed_; }

  /// The owner's word: never touched by the link.
  void set_user_data(std::uint64_t user_data) noexcept { user_data_ = user_data; }
  [[nodiscard]] std::uint64_t user_data() const noexcept { return user_data_; }

 private:
  ControlLink(const KeepaliveConfig& keepalive, ControlHandler& handler)
      : keepalive_(keepalive), handler_(handler) {}

  void on_up(Link& link, std::span<const std::byte> private_data) override;
  void on_message(Link& link, std::span<const std::byte> bytes, transport::MessageHandle message) override;
  void on_sent(Link& link, std::uint64_t tag, transport::CompletionStatus status) override;
  void on_room(Link& /*link*/) override { send_backlog(); }
  void on_down(Link& link, const Error& why, std::span<const std::byte> private_data) override;
  void on_drained(Link& link) override;

  Status post(const protocol::ControlFrame& frame, std::span<const transport::WorkRequest> before,
              std::optional<std::uint64_t> tag);
  void send_backlog();
  void end(const Error& why);

  KeepaliveConfig keepalive_;
  ControlHandler& handler_;
  std::deque<protocol::ControlFrame> backlog_;
  std::optional<Error> ended_by_us_;  ///< told to the handler once the link is drained
  bool is_closed_ = false;            ///< by the owner
  bool heard_ = true;                 ///< since the last tick's look
  Instant last_tick_;
  Instant last_heard_;
  Instant last_asked_;
  std::uint64_t keepalives_ = 0;
  std::uint64_t malformed_ = 0;
  std::uint64_t user_data_ = 0;
  std::unique_ptr<Link> link_;
};

}  // namespace sluice::runtime
