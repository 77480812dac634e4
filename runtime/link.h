#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "protocol/base/status.h"
#include "transport/channel.h"

namespace sluice::runtime {

class Link;
class Reactor;

/// Told what happens on a link, from within Reactor::poll(). It may send, release and close in any of the
/// calls, and destroy links in on_up, on_down and on_drained only: while completions are being handed out
/// they may name any of them.
class LinkHandler {
 public:
  LinkHandler() = default;
  LinkHandler(const LinkHandler&) = delete;
  LinkHandler& operator=(const LinkHandler&) = delete;
  virtual ~LinkHandler() = default;

  /// Connected. On the accepting side a first message may come before it, and the link can be used from then
  /// on. `private_data`: what the accepting side said; only the connecting side gets any.
  virtual void on_up(Link& link, std::span<const std::byte> private_data) = 0;

  /// A message. `bytes` stay until link.release(message), which also grants the peer another one.
  virtual void on_message(Link& link, std::span<const std::byte> bytes, transport::MessageHandle message) = 0;

  /// The device is done with the buffers of the message that was sent with this tag and `notify`. Any status
  /// but success: the connection is over.
  virtual void on_sent(Link& link, std::uint64_t tag, transport::CompletionStatus status) = 0;

  /// There may be credits or room again for what couldn't be sent.
  virtual void on_room(Link& /*link*/) {}

  /// It failed, was refused or was closed by the peer: nothing can be sent any more. At most once, never
  /// after close(). `private_data`: what a refusing peer said.
  virtual void on_down(Link& link, const Error& why, std::span<const std::byte> private_data) = 0;

  /// Nothing is outstanding: the queue pair was flushed, no buffer is referred to any more. Once, the last
  /// call.
  virtual void on_drained(Link& link) = 0;
};

/// A connection of a reactor's: a channel, whose completions and events the reactor hands to the handler, and
/// which it flushes at the end of the turn. One thread. Goes before its reactor, its protection domain and
/// the regions that its messages refer to; its destruction is a barrier (see transport::Endpoint).
class Link {
 public:
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;
  ~Link();

  /// See transport::Channel::send. Leaves with the reactor's next flush().
  Status send(const transport::OutgoingMessage& message) noexcept;
  void release(transport::MessageHandle message) noexcept;

  /// Ends the connection; on_drained follows. Repeated calls are harmless.
  void close() noexcept;

  [[nodiscard]] bool is_connected() const noexcept {
    return channel_->endpoint().state() == transport::EndpointState::connected;
  }
  [[nodiscard]] std::string peer() const { return channel_->endpoint().peer(); }
  [[nodiscard]] const transport::Channel& channel() const noexcept { return *channel_; }
  /// What ended the connection, in words.
  [[nodiscard]] const Error& failure() const noexcept { return channel_->endpoint().failure(); }

 private:
  friend class Reactor;
  Link(Reactor& reactor, LinkHandler& handler) : reactor_(reactor), handler_(handler) {}
  void attach(std::unique_ptr<transport::Channel> channel) noexcept;
  void touch() noexcept;

  Reactor& reactor_;
  LinkHandler& handler_;
  bool is_touched_ = false;  ///< the reactor flushes it at the end of the turn
  std::unique_ptr<transport::Channel> channel_;
};

}  // namespace sluice::runtime
