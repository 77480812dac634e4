#include "tests/sim/operator.h"

#include <utility>

#include "protocol/base/check.h"

namespace sluice::sim {

using protocol::CommandAnswer;
using protocol::ControlFrame;
using protocol::ControlMessage;
using std::chrono::milliseconds;

namespace {

/// What is worth asking again for.
bool is_not_now(StatusCode status) {
  return status == StatusCode::unavailable || status == StatusCode::not_master ||
         status == StatusCode::moving || status == StatusCode::outcome_unknown;
}

StatusCode status_of(const ControlMessage& message) {
  if (const auto* answer = std::get_if<CommandAnswer>(&message)) return answer->status;
  if (const auto* answer = std::get_if<protocol::VolumeList>(&message)) return answer->status;
  if (const auto* answer = std::get_if<protocol::NodeList>(&message)) return answer->status;
  return StatusCode::unsupported;
}

}  // namespace

Operator::Operator(const Clock& clock, std::unique_ptr<transport::Provider> provider,
                   std::vector<transport::Address> masters)
    : clock_(clock) {
  const auto rail = reactor_.add_rail(std::move(provider), 1024);
  check(rail.has_value(), "an operator has a device");
  runtime::DialerConfig config;
  config.addresses = std::move(masters);
  config.backoff = {milliseconds(20), milliseconds(200)};
  config.keepalive.interval = milliseconds(200);
  dialer_ = std::unique_ptr<runtime::Dialer>(new runtime::Dialer(reactor_, *rail, config, *this));
}

Operator::~Operator() = default;

void Operator::ask(ControlMessage message, Duration patience, Answered answered) {
  questions_.push_back({std::move(message), std::move(answered), clock_.now() + patience});
  ask_at_ = {};
}

bool Operator::turn() {
  bool any = reactor_.poll();
  const Instant now = clock_.now();
  if (now >= tick_at_) {
    tick_at_ = now + milliseconds(20);
    dialer_->tick(now);
  }
  if (!questions_.empty() && now >= questions_.front().deadline) questions_.pop_front();
  if (!questions_.empty() && now >= ask_at_ && dialer_->is_up()) {
    ask_again();
    any = true;
  }
  reactor_.flush();
  return any;
}

void Operator::ask_again() {
  ask_at_ = clock_.now() + milliseconds(500);
  static_cast<void>(dialer_->send({protocol::RequestId(++last_request_), questions_.front().message}));
}

void Operator::on_dialed(runtime::Dialer& /*dialer*/) {
  ask_at_ = {};
}

void Operator::on_frame(runtime::Dialer& dialer, const ControlFrame& frame) {
  if (questions_.empty() || frame.request_id != protocol::RequestId(last_request_)) return;
  const StatusCode status = status_of(frame.message);
  if (status == StatusCode::not_master) dialer.try_next();
  if (is_not_now(status)) {
    ask_at_ = clock_.now() + milliseconds(50);
    return;
  }
  const Question question = std::move(questions_.front());
  questions_.pop_front();
  ask_at_ = {};
  if (question.answered) question.answered(frame.message);
}

void Operator::on_hung_up(runtime::Dialer& /*dialer*/, const Error& /*why*/) {}

}  // namespace sluice::sim
