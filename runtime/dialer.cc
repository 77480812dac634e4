#include "runtime/dialer.h"

#include <algorithm>
#include <utility>

#include "protocol/base/check.h"

namespace sluice::runtime {

Dialer::Dialer(Reactor& reactor, Rail rail, DialerConfig config, DialerHandler& handler)
    : reactor_(reactor), rail_(rail), config_(std::move(config)), handler_(handler) {
  check(!config_.addresses.empty(), "a dialer has an address to dial");
  check(config_.rails.empty() || config_.rails.size() == config_.addresses.size(),
        "each address has its rail, or none has");
}

void Dialer::tick(Instant now) {
  now_ = now;
  if (link_) return link_->tick(now);
  if (now >= connect_at_) connect();
}

Status Dialer::send(const protocol::ControlFrame& frame) {
  if (!is_up_) return fail(StatusCode::unavailable, "no connection to " + to_string(address()));
  return link_->send(frame);
}

void Dialer::try_next() {
  if (!link_) return;
  is_up_ = false;
  link_->close();
  attempt_failed({StatusCode::unavailable, to_string(address()) + " isn't the one to ask"});
}

void Dialer::connect() {
  const auto domain = reactor_.control_domain(rail());
  if (!domain) return attempt_failed(domain.error());
  auto link = ControlLink::connect(reactor_, rail(), **domain, address(), config_.keepalive, *this);
  if (!link) return attempt_failed(link.error());
  link_ = std::move(*link);
}

/// Another round over the addresses waits longer than the one before; within a round the next address is
/// tried at once.
void Dialer::attempt_failed(const Error& why) {
  ++failures_;
  next_ = (next_ + 1) % config_.addresses.size();
  if (next_ == 0) wait_ = std::clamp(wait_ * 2, config_.backoff.min, config_.backoff.max);
  connect_at_ = now_ + (next_ == 0 ? wait_ : Duration::zero());
  handler_.on_hung_up(*this, why);
}

void Dialer::on_control_up(ControlLink& /*link*/) {
  is_up_ = true;
  failures_ = 0;
  wait_ = Duration::zero();
  handler_.on_dialed(*this);
}

void Dialer::on_control(ControlLink& /*link*/, const protocol::ControlFrame& frame) {
  if (is_up_) handler_.on_frame(*this, frame);
}

void Dialer::on_control_down(ControlLink& /*link*/, const Error& why) {
  is_up_ = false;
  attempt_failed(why);
}

void Dialer::on_control_drained(ControlLink& /*link*/) {
  link_.reset();
}

}  // namespace sluice::runtime
