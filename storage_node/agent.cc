#include "storage_node/agent.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "protocol/node_address.h"

namespace sluice::storage_node {
namespace {

using protocol::RequestId;
using transport::LogLevel;

constexpr Duration kTickInterval = std::chrono::milliseconds(100);
constexpr std::uint32_t kQueueDepth = 256;

}  // namespace

Result<std::unique_ptr<Agent>> Agent::create(AgentConfig config, const NodeIdentity& identity,
                                             std::unique_ptr<transport::Provider> provider,
                                             AgentMailbox& mailbox, std::vector<ReactorMailbox*> reactors,
                                             const Clock& clock, transport::LogSink log) {
  std::unique_ptr<Agent> agent(
      new Agent(std::move(config), identity, mailbox, std::move(reactors), clock, std::move(log)));
  const auto rail = agent->links_.add_rail(std::move(provider), kQueueDepth);
  if (!rail) return tl::unexpected(rail.error());
  runtime::DialerHandler& handler = *agent;
  agent->dialer_ = std::make_unique<runtime::Dialer>(agent->links_, *rail, agent->config_.masters, handler);
  return agent;
}

Agent::Agent(AgentConfig config, const NodeIdentity& identity, AgentMailbox& mailbox,
             std::vector<ReactorMailbox*> reactors, const Clock& clock, transport::LogSink log)
    : config_(std::move(config)),
      identity_(identity),
      mailbox_(mailbox),
      reactors_(std::move(reactors)),
      clock_(clock),
      log_(std::move(log)) {}

// ---- A turn

bool Agent::turn() {
  now_ = clock_.now();
  bool worked = links_.poll();
  worked = take_mail() || worked;
  if (now_ >= tick_at_) tick();
  links_.flush();
  return worked;
}

void Agent::tick() {
  tick_at_ = now_ + kTickInterval;
  if (!all_have_reported()) return;  // a hello without every fence would look like a node that lost some
  dialer_->tick(now_);
  if (state_ == State::greeting && now_ >= hello_at_) prepare_hello();
  if (state_ == State::accepted && now_ >= beat_at_) beat();
  forget_old_verifies();
}

Duration Agent::longest_sleep() const {
  return std::max(tick_at_ - clock_.now(), Duration::zero());
}

std::vector<int> Agent::wait_fds() const {
  std::vector<int> fds = links_.wait_fds();
  fds.push_back(mailbox_.fd());
  return fds;
}

// ---- From the reactors

bool Agent::take_mail() {
  const std::vector<AgentLetter> letters = mailbox_.take();
  for (const AgentLetter& letter : letters)
    std::visit([this](const auto& each) { take(each); }, letter);
  return !letters.empty();
}

void Agent::take(const VerifyLetter& letter) {
  last_request_ = RequestId(last_request_.value() + 1);
  verifies_[last_request_] = {letter, now_};
  if (is_accepted()) send(letter, last_request_);
}

void Agent::take(const FenceLetter& letter) {
  Gvn& fence = fences_[letter.volume];
  fence = std::max(fence, letter.fence);
}

void Agent::take(const AnswerLetter& letter) {
  // One that doesn't get through is asked for again.
  std::visit(
      [&](const auto& answer) {
        static_cast<void>(dialer_->send({letter.request_id, answer}));
      },
      letter.answer);
}

void Agent::take(const ReportLetter& letter) {
  reports_[letter.reactor] = letter;
  seen_ = std::max(seen_, letter.manager_version);
  space_ = letter.space;
}

// ---- With the master

void Agent::on_dialed(runtime::Dialer& dialer) {
  log(LogLevel::info, "connected to " + to_string(dialer.address()));
  prepare_hello();
}

void Agent::on_hung_up(runtime::Dialer& dialer, const Error& why) {
  const bool was_there = std::exchange(state_, State::alone) != State::alone;
  if (was_there || dialer.failures() == 1) log(LogLevel::warning, "no master: " + why.describe());
}

/// P1: no word of an earlier master is acted on after this hello: what was under way is given up first.
void Agent::prepare_hello() {
  state_ = State::greeting;
  hello_at_ = now_ + config_.hello_interval;
  verifies_.clear();
  ++hello_round_;
  for (std::size_t i = 0; i < reactors_.size(); ++i) {
    not_ready_.insert(static_cast<std::uint16_t>(i));
    reactors_[i]->post(PrepareHelloLetter{hello_round_});
  }
}

void Agent::take(const HelloReadyLetter& letter) {
  if (letter.round != hello_round_ || not_ready_.erase(letter.reactor) == 0) return;
  if (not_ready_.empty() && state_ == State::greeting) say_hello();
}

void Agent::say_hello() {
  protocol::Hello hello;
  hello.node = identity_.node;
  hello.boot = identity_.boot;
  hello.manager_version = seen_;
  hello.addresses = config_.addresses;
  hello.reactors = static_cast<std::uint16_t>(reactors_.size());
  last_request_ = RequestId(last_request_.value() + 1);
  auto next = fences_.begin();
  do {
    hello.fences.clear();
    for (; next != fences_.end() && !hello.fences.full(); ++next)
      hello.fences.push_back(protocol::FenceReport{next->first, next->second});
    hello.last_part = next == fences_.end();
    if (!dialer_->send({last_request_, hello})) return;
    ++hello.part;
  } while (!hello.last_part);
}

void Agent::on_frame(runtime::Dialer& dialer, const protocol::ControlFrame& frame) {
  const auto& message = frame.message;
  if (const auto* const hello = std::get_if<protocol::HelloAnswer>(&message)) {
    on(*hello);
  } else if (const auto* const heartbeat = std::get_if<protocol::HeartbeatAnswer>(&message)) {
    on(*heartbeat);
  } else if (const auto* const verified = std::get_if<protocol::VerifyAnswer>(&message)) {
    on(frame.request_id, *verified);
  } else if (const auto* const order = std::get_if<protocol::VolumeOrder>(&message)) {
    reactor_of(order->volume).post(OrderLetter{frame.request_id, *order});
  } else if (const auto* const quiesce = std::get_if<protocol::QuiesceRequest>(&message)) {
    reactor_of(quiesce->volume).post(OrderLetter{frame.request_id, *quiesce});
  } else {
    log(LogLevel::warning, to_string(dialer.address()) + " says what no master says to a node");
    dialer.try_next();
  }
}

void Agent::on(const protocol::HelloAnswer& answer) {
  if (!follow(answer.manager_version, answer.status)) return;
  if (answer.status != StatusCode::ok) {
    state_ = State::greeting;
    if (std::exchange(last_refusal_, answer.status) == answer.status) return;
    const std::string remedy =
        answer.status == StatusCode::rolled_back
            ? ": this node's fences are older than those that it once reported: its storage is an old copy "
              "(decide with: sluice node accept)"
            : "";
    return log(LogLevel::error,
               "the master doesn't take this node: " + std::string(to_string(answer.status)) + remedy);
  }
  if (state_ != State::accepted) {
    log(LogLevel::info,
        "the master has taken this node, manager_version=" + std::to_string(answer.manager_version.value()));
  }
  last_refusal_ = StatusCode::ok;
  state_ = State::accepted;
  beat();
  for (const auto& [id, pending] : verifies_)
    send(pending.letter, id);
}

void Agent::beat() {
  beat_at_ = now_ + config_.heartbeat_interval;
  protocol::Heartbeat heartbeat;
  heartbeat.node = identity_.node;
  heartbeat.boot = identity_.boot;
  heartbeat.capacity = space_.capacity;
  heartbeat.free = space_.free;
  for (const auto& [reactor, report] : reports_)
    heartbeat.sessions += report.sessions;
  last_request_ = RequestId(last_request_.value() + 1);
  static_cast<void>(dialer_->send({last_request_, heartbeat}));
}

void Agent::on(const protocol::HeartbeatAnswer& answer) {
  if (!follow(answer.manager_version, answer.status)) return;
  if (answer.status == StatusCode::ok || state_ != State::accepted) return;
  prepare_hello();
}

/// P1: a master that knows itself deposed says so; one that doesn't has a lower version than was seen.
bool Agent::follow(ManagerVersion master, StatusCode status) {
  if (status == StatusCode::not_master || master < seen_) {
    dialer_->try_next();
    return false;
  }
  if (master > seen_) {
    seen_ = master;
    for (ReactorMailbox* const reactor : reactors_)
      reactor->post(ManagerVersionLetter{seen_});
  }
  return true;
}

// ---- Verifications

void Agent::send(const VerifyLetter& letter, RequestId id) {
  static_cast<void>(dialer_->send({id, letter.request}));
}

void Agent::on(RequestId id, const protocol::VerifyAnswer& answer) {
  // It is asked again once a master is there that knows.
  if (answer.status == StatusCode::not_master) return dialer_->try_next();
  const auto pending = verifies_.find(id);
  if (pending == verifies_.end() || pending->second.letter.request.volume != answer.volume) return;
  reactor_of(answer.volume).post(VerifyAnswerLetter{pending->second.letter.id, answer});
  verifies_.erase(pending);
}

void Agent::forget_old_verifies() {
  std::erase_if(verifies_,
                [&](const auto& entry) { return now_ - entry.second.since >= config_.verify_timeout; });
}

ReactorMailbox& Agent::reactor_of(VolumeId volume) noexcept {
  return *reactors_[protocol::reactor_of(volume, reactors_.size())];
}

void Agent::log(LogLevel level, const std::string& line) const {
  if (log_) log_(level, line);
}

}  // namespace sluice::storage_node
