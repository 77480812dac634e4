#include "runtime/control_link.h"

#include <array>
#include <utility>
#include <variant>

#include "protocol/base/check.h"
#include "protocol/limits.h"

namespace sluice::runtime {
namespace {

using protocol::ControlFrame;
using protocol::Keepalive;
using protocol::kMaxControlSize;

/// Few and long messages: a hundred kilobytes a connection.
transport::ChannelConfig channel_config() {
  transport::ChannelConfig config;
  config.max_receive_bytes = kMaxControlSize;
  config.max_send_head_bytes = kMaxControlSize;
  config.receive_credits = 8;
  config.send_depth = 24;
  config.signal_interval = 4;
  return config;
}

}  // namespace

Result<std::unique_ptr<ControlLink>> ControlLink::connect(Reactor& reactor, Rail rail,
                                                          transport::ProtectionDomain& domain,
                                                          const transport::Address& address,
                                                          const KeepaliveConfig& keepalive,
                                                          ControlHandler& handler) {
  std::unique_ptr<ControlLink> control(new ControlLink(keepalive, handler));
  auto link = reactor.connect(rail, domain, address, channel_config(), {}, *control);
  if (!link) return tl::unexpected(link.error());
  control->link_ = std::move(*link);
  return control;
}

Result<std::unique_ptr<ControlLink>> ControlLink::accept(Reactor& reactor, Incoming incoming,
                                                         transport::ProtectionDomain& domain,
                                                         const KeepaliveConfig& keepalive,
                                                         ControlHandler& handler) {
  std::unique_ptr<ControlLink> control(new ControlLink(keepalive, handler));
  auto link = reactor.accept(std::move(incoming), domain, channel_config(), {}, *control);
  if (!link) return tl::unexpected(link.error());
  control->link_ = std::move(*link);
  return control;
}

// ---- Sending

Status ControlLink::send(const ControlFrame& frame) {
  if (ended_by_us_ || !is_up())
    return fail(StatusCode::unavailable, "the connection to " + peer() + " is over");
  if (backlog_.empty()) {
    Status posted = post(frame, {}, std::nullopt);
    if (posted || posted.error().code != StatusCode::queue_full) return posted;
  }
  if (backlog_.size() == kMaxBacklog) {
    end({StatusCode::queue_full, peer() + " doesn't take the messages that it asked for"});
    return fail(StatusCode::queue_full, ended_by_us_->message);
  }
  backlog_.push_back(frame);
  return {};
}

Status ControlLink::send_after(std::span<const transport::WorkRequest> before, const ControlFrame& frame,
                               std::uint64_t tag) {
  if (ended_by_us_ || !is_up()) return fail(StatusCode::unavailable);
  if (!backlog_.empty()) return fail(StatusCode::queue_full);
  return post(frame, before, tag);
}

Status ControlLink::post(const ControlFrame& frame, std::span<const transport::WorkRequest> before,
                         std::optional<std::uint64_t> tag) {
  std::array<std::byte, kMaxControlSize> bytes;
  const std::size_t length = protocol::encode(frame, bytes);
  transport::OutgoingMessage message;
  message.before = before;
  message.head = std::span(bytes).first(length);
  message.notify = tag.has_value();
  message.tag = tag.value_or(0);
  return link_->send(message);
}

void ControlLink::send_backlog() {
  while (!backlog_.empty() && post(backlog_.front(), {}, std::nullopt))
    backlog_.pop_front();
}

void ControlLink::tick(Instant now) {
  if (ended_by_us_ || !is_up()) return;
  send_backlog();
  // After a pause of our own, what came meanwhile hasn't been looked at yet: it says nothing of the peer.
  const bool was_away = now - std::exchange(last_tick_, now) > keepalive_.interval;
  if (std::exchange(heard_, false) || was_away) last_heard_ = now;
  const Duration silence = now - last_heard_;
  if (silence >= keepalive_.interval * (keepalive_.misses + 1)) {
    return end({StatusCode::timed_out, peer() + " gives no sign of life"});
  }
  if (silence < keepalive_.interval || now - last_asked_ < keepalive_.interval) return;
  last_asked_ = now;
  static_cast<void>(send({protocol::RequestId(0), Keepalive{.reply = false, .count = ++keepalives_}}));
}

void ControlLink::close() noexcept {
  is_closed_ = true;
  link_->close();
}

/// From anywhere: the handler learns of it once the link is drained.
void ControlLink::end(const Error& why) {
  if (ended_by_us_) return;
  ended_by_us_ = why;
  link_->close();
}

// ---- From the link

void ControlLink::on_up(Link& /*link*/, std::span<const std::byte> /*private_data*/) {
  heard_ = true;
  handler_.on_control_up(*this);
}

void ControlLink::on_message(Link& link, std::span<const std::byte> bytes, transport::MessageHandle message) {
  heard_ = true;
  const Result<ControlFrame> frame = protocol::decode_control(bytes);
  link.release(message);
  if (ended_by_us_ || is_closed_) return;
  if (!frame) {
    ++malformed_;
    return end({frame.error().code, peer() + " sent what is no control message: " + frame.error().message});
  }
  if (const auto* keepalive = std::get_if<Keepalive>(&frame->message)) {
    if (!keepalive->reply) static_cast<void>(send({frame->request_id, Keepalive{true, keepalive->count}}));
    return;
  }
  handler_.on_control(*this, *frame);
  send_backlog();
}

void ControlLink::on_sent(Link& /*link*/, std::uint64_t tag, transport::CompletionStatus status) {
  handler_.on_control_sent(*this, tag, status);
}

void ControlLink::on_down(Link& /*link*/, const Error& why, std::span<const std::byte> /*private_data*/) {
  if (!ended_by_us_) handler_.on_control_down(*this, why);
}

void ControlLink::on_drained(Link& /*link*/) {
  if (ended_by_us_ && !is_closed_) handler_.on_control_down(*this, *ended_by_us_);
  handler_.on_control_drained(*this);
}

}  // namespace sluice::runtime
