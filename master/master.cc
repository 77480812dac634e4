#include "master/master.h"

#include <algorithm>
#include <utility>

#include "protocol/base/check.h"
#include "runtime/log_line.h"

namespace sluice::master {
namespace {

using protocol::ControlFrame;
using protocol::RequestId;
using runtime::ControlLink;
using runtime::LogLine;
using transport::LogLevel;

constexpr Duration kTickInterval = std::chrono::milliseconds(100);
/// A deposed master learns of it within this time, whatever it is asked.
constexpr Duration kLookInterval = std::chrono::seconds(1);

/// The most that a control link ever has in a completion queue, and some.
constexpr std::uint32_t kCompletionsPerConnection = 48;

}  // namespace

Master::Master(MasterConfig config, MetadataStore& store, const Clock& clock, transport::LogSink log)
    : config_(std::move(config)),
      clock_(clock),
      log_(std::move(log)),
      refusals_(log_),
      service_(store),
      ledger_(store, service_),
      nodes_(ledger_),
      orders_(*this, config_.order_timeout),
      volumes_(ledger_, nodes_, orders_, config_.max_volumes, log_),
      now_(clock.now()) {}

Master::~Master() {
  connections_.clear();
  listeners_.clear();
}

Status Master::start(std::vector<std::unique_ptr<transport::Provider>> providers) {
  check(providers.size() == config_.listen.size(), "there is a provider for each address");
  for (std::size_t i = 0; i < providers.size(); ++i) {
    const auto rail =
        reactor_.add_rail(std::move(providers[i]), config_.max_connections * kCompletionsPerConnection);
    if (!rail) return tl::unexpected(rail.error());
    auto listener = reactor_.listen(*rail, config_.listen[i], *this);
    if (!listener) return tl::unexpected(listener.error());
    log(LogLevel::info, LogLine("listening").with("address", to_string((*listener)->address())).text());
    listeners_.push_back(std::move(*listener));
  }
  take_over();
  return fatal_.code == StatusCode::ok ? Status{} : tl::unexpected(fatal_);
}

std::vector<transport::Address> Master::addresses() const {
  std::vector<transport::Address> addresses;
  for (const auto& listener : listeners_)
    addresses.push_back(listener->address());
  return addresses;
}

// --- Turns -------------------------------------------------------------------------------------------

bool Master::turn() {
  now_ = clock_.now();
  const bool any = reactor_.poll();
  if (now_ >= next_tick_) {
    // After a long pause, the messages that came meanwhile are looked at before anybody counts as silent.
    const bool was_paused = now_ - next_tick_ > 5 * kTickInterval;
    next_tick_ = now_ + kTickInterval;
    if (!was_paused) tick(now_);
  }
  if (phase_ == Phase::serving && was_in_charge_ && manager_version() == ManagerVersion(0)) depose();
  send_answers();
  reactor_.flush();
  return any;
}

bool Master::arm() {
  return reactor_.arm();
}

Duration Master::longest_sleep() const {
  return std::max(Duration::zero(), next_tick_ - clock_.now());
}

void Master::tick(Instant now) {
  if (phase_ == Phase::serving && !was_in_charge_) take_over();
  if (was_in_charge_ && now >= next_look_) {
    next_look_ = now + kLookInterval;
    look_whether_deposed();
  }
  for (auto& [number, connection] : connections_) {
    if (phase_ != Phase::serving) hang_up(connection);
    connection.link->tick(now);
  }
  lose_silent_nodes(now);
  if (manager_version() != ManagerVersion(0) && !has_taken_up_) take_up();
  volumes_.tick();
  for (const DutyOutcome& outcome : orders_.tick(now))
    volumes_.on_outcome(outcome);
  refusals_.tick(now);
}

// --- In charge, and not any more ---------------------------------------------------------------------

void Master::take_over() {
  const Status taken = service_.take_over();
  if (!taken) {
    if (taken.error().code == StatusCode::exhausted) fatal_ = taken.error();
    refusals_.write(LogLevel::warning, LogLine("can't take over").because(taken.error()).text(), now_);
    return;
  }
  was_in_charge_ = true;
  next_look_ = now_ + kLookInterval;
  log(LogLevel::info, LogLine("in charge").with("manager_version", manager_version()).text());
  take_up();
}

void Master::take_up() {
  const Status taken_up = volumes_.take_up();
  has_taken_up_ = taken_up.has_value();
  if (taken_up) return;
  refusals_.write(LogLevel::warning,
                  LogLine("can't read what is unfinished").because(taken_up.error()).text(), now_);
}

void Master::look_whether_deposed() {
  const Status looked = ledger_.update([](MetadataTransaction&) -> Status { return {}; });
  if (!looked && looked.error().code != StatusCode::not_master) {
    refusals_.write(LogLevel::warning, LogLine("the store isn't reachable").because(looked.error()).text(),
                    now_);
  }
}

void Master::depose() {
  phase_ = Phase::deposed;
  log(LogLevel::warning, "deposed: another master has taken over; hanging up on everybody");
  volumes_.answer_all(StatusCode::not_master, "another master has taken over; ask that one");
  listeners_.clear();
  nodes_.clear();
}

void Master::shut_down() {
  if (phase_ != Phase::serving) return;
  phase_ = Phase::leaving;
  log(LogLevel::info, LogLine("shutting down").with("connections", connections_.size()).text());
  volumes_.answer_all(StatusCode::shutting_down, "the master shuts down; ask again when it is back");
  listeners_.clear();
  send_answers();
  reactor_.flush();
}

void Master::lose_silent_nodes(Instant now) {
  for (const protocol::NodeId node : nodes_.silent_since(now - config_.heartbeat_timeout)) {
    Connection* const connection = connection_of(node);
    check(connection != nullptr, "a node that is up has a connection");
    lose_node(*connection, "no heartbeat any more");
    hang_up(*connection);
  }
}

// --- Connections -------------------------------------------------------------------------------------

void Master::on_incoming(runtime::Incoming incoming) {
  const bool is_path = !incoming.request->private_data().empty();
  if (phase_ != Phase::serving || is_path || connections_.size() >= config_.max_connections) {
    ++counts_.connections_refused;
    refusals_.write(
        LogLevel::info,
        LogLine("connection refused")
            .with("reason", is_path ? "the master serves no paths" : "as many as max_connections allows")
            .text(),
        now_);
    return reactor_.reject(std::move(incoming), {});
  }
  const std::string peer = incoming.request->peer();
  const auto domain = reactor_.control_domain(incoming.rail);
  auto link = domain ? ControlLink::accept(reactor_, std::move(incoming), **domain, config_.keepalive, *this)
                     : Result<std::unique_ptr<ControlLink>>(tl::unexpected(domain.error()));
  if (!link) {
    ++counts_.connections_refused;
    refusals_.write(LogLevel::warning, LogLine("connection not taken").because(link.error()).text(), now_);
    return;
  }
  ++counts_.connections;
  (*link)->set_user_data(++last_connection_);
  connections_[last_connection_].link = std::move(*link);
  log(LogLevel::debug, LogLine("connected").with("peer", peer).text());
}

Master::Connection& Master::of(ControlLink& link) {
  const auto found = connections_.find(link.user_data());
  check(found != connections_.end(), "a link has its connection for as long as it lives");
  return found->second;
}

Master::Connection* Master::connection_of(protocol::NodeId node) {
  const auto found = std::ranges::find_if(connections_, [node](const auto& entry) {
    return entry.second.is_node_up && entry.second.node == node;
  });
  return found == connections_.end() ? nullptr : &found->second;
}

void Master::on_control_up(ControlLink& /*link*/) {}

void Master::on_control_down(ControlLink& link, const Error& why) {
  Connection& connection = of(link);
  if (why.code == StatusCode::malformed || why.code == StatusCode::version_mismatch) {
    ++counts_.cut_off;
    refusals_.write(LogLevel::info, "cut off " + std::string(to_string(why.code)),
                    LogLine("cut off").because(why).text(), now_);
  }
  lose_node(connection, why.describe());
  connection.is_closing = true;
}

void Master::on_control_drained(ControlLink& link) {
  connections_.erase(link.user_data());
}

void Master::hang_up(Connection& connection) {
  if (connection.is_closing) return;
  lose_node(connection, "hung up on");
  connection.is_closing = true;
  connection.link->close();
}

void Master::cut_off(Connection& from, const std::string& why) {
  ++counts_.cut_off;
  refusals_.write(LogLevel::info, "cut off " + why,
                  LogLine("cut off").with("peer", from.link->peer()).with("reason", why).text(), now_);
  hang_up(from);
}

void Master::lose_node(Connection& connection, const std::string& why) {
  if (!connection.is_node_up) return forget_node(connection);
  log(LogLevel::info, LogLine("node lost").with("node", connection.node).with("reason", why).text());
  forget_node(connection);
}

void Master::forget_node(Connection& connection) {
  const protocol::NodeId node = std::exchange(connection.node, protocol::NodeId(0));
  if (node == protocol::NodeId(0)) return;
  const bool was_up = std::exchange(connection.is_node_up, false);
  // Of a node that is up on another connection, there was but a part of a hello.
  if (!was_up && connection_of(node) != nullptr) return;
  service_.on_node_lost(node);
  if (!was_up) return;
  orders_.on_node_lost(node);
  nodes_.on_lost(node);
  volumes_.on_node_lost(node);
}

// --- Sending -----------------------------------------------------------------------------------------

void Master::reply(Connection& to, RequestId id, const protocol::ControlMessage& message) {
  // A connection that is over says so by itself.
  if (!to.is_closing) static_cast<void>(to.link->send({id, message}));
}

void Master::send_answers() {
  for (const DueAnswer& due : volumes_.take_answers()) {
    const auto found = connections_.find(due.asker.connection);
    if (found != connections_.end()) reply(found->second, due.asker.request, due.answer);
  }
}

void Master::send_to_node(protocol::NodeId node, const ControlFrame& frame) {
  if (Connection* const connection = connection_of(node)) reply(*connection, frame.request_id, frame.message);
}

protocol::FixedVector<protocol::NodeAddress, protocol::kMaxPaths> Master::addresses_of(protocol::NodeId node,
                                                                                       VolumeId volume) {
  return nodes_.addresses_of(node, volume);
}

void Master::log(LogLevel level, const std::string& line) const {
  if (log_) log_(level, line);
}

}  // namespace sluice::master
