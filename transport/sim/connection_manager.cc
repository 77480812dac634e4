#include "transport/sim/connection_manager.h"

#include <algorithm>

#include "protocol/base/check.h"

namespace sluice::transport::sim {

namespace {

constexpr std::uint16_t kFirstEphemeralPort = 49152;
constexpr std::byte kPadding{0xa5};
/// How long a rejection is remembered, in timer periods.
constexpr unsigned kTimewaitTries = 16;

/// Private data of a message, in bytes (InfiniBand 1.2.1, 12.6, less what rdma_cm uses).
std::size_t private_data_bytes(bool is_request, bool is_reject) {
  if (is_request) return 56;
  return is_reject ? 148 : 196;
}

}  // namespace

// ---- Records and messages

ConnectionManager::Connection* ConnectionManager::find(std::uint64_t connection) {
  const auto found = connections_.find(connection);
  return found == connections_.end() ? nullptr : &found->second;
}

std::uint64_t ConnectionManager::add(Connection connection) {
  const std::uint64_t number = next_connection_++;
  connections_.emplace(number, std::move(connection));
  return number;
}

void ConnectionManager::forget(std::uint64_t connection) {
  const Connection* found = find(connection);
  if (found == nullptr) return;
  const auto entry = by_peer_.find(found->peer);
  if (entry != by_peer_.end() && entry->second == connection) by_peer_.erase(entry);
  connections_.erase(connection);
}

void ConnectionManager::send(Message message) {
  if (!topology_.is_reachable(topology_.nic(message.from_nic))) return;
  core_.note(TraceKind::message_sent, static_cast<std::uint64_t>(message.kind), message.from, message.to);
  const Path& path = topology_.path(message.from_nic, message.to_nic);
  if (path.is_cut) return;
  const Instant arrival = topology_.arrival(path) + core_.config.cm_delay;
  const std::uint64_t slot = next_message_++;
  messages_.emplace(slot, std::move(message));
  core_.schedule(arrival, EventKind::message_arrival, slot);
}

void ConnectionManager::answer(const Message& to, MessageKind kind, RejectReason reason) {
  Message message;
  message.kind = kind;
  message.from = to.to;
  message.to = to.from;
  message.from_nic = to.to_nic;
  message.to_nic = to.from_nic;
  message.reason = reason;
  send(std::move(message));
}

void ConnectionManager::start_timer(std::uint64_t number) {
  core_.schedule_after(core_.config.cm_timeout, EventKind::message_timer, number);
}

/// Sends what this state has to say, again or for the first time.
void ConnectionManager::repeat(std::uint64_t number, Connection& connection) {
  Message message;
  switch (connection.state) {
    case State::request_sent:
      if (connection.loses_request) return;
      message.kind = MessageKind::request;
      break;
    case State::reply_sent:
      message.kind = MessageKind::reply;
      break;
    case State::established:
      if (connection.loses_ready_to_use) return;
      message.kind = MessageKind::ready_to_use;
      break;
    case State::disconnect_sent:
      message.kind = MessageKind::disconnect;
      break;
    case State::rejected:
      message.kind = MessageKind::reject;
      break;
    case State::request_received:
    case State::reply_received:
      return;
  }
  message.from = number;
  message.to = connection.peer;
  message.from_nic = connection.local_nic;
  message.to_nic = connection.peer_nic;
  message.port = connection.port;
  message.parameters = connection.local;
  message.reason = connection.reason;
  message.data = connection.data;
  message.data.resize(
      private_data_bytes(message.kind == MessageKind::request, message.kind == MessageKind::reject),
      kPadding);
  send(std::move(message));
}

void ConnectionManager::tell(const Connection& connection, std::uint64_t number, Notice::Kind kind) {
  if (connection.sink == nullptr) return;
  Notice notice;
  notice.kind = kind;
  notice.connection = number;
  connection.sink->on_notice(std::move(notice));
}

void ConnectionManager::on_timer(std::uint64_t number) {
  Connection* connection = find(number);
  if (connection == nullptr) return;
  switch (connection->state) {
    case State::established:
    case State::request_received:
    case State::reply_received:
      return;
    case State::rejected:
      if (++connection->tries > kTimewaitTries) {
        forget(number);
      } else {
        start_timer(number);
      }
      return;
    case State::request_sent:
    case State::reply_sent:
    case State::disconnect_sent:
      break;
  }
  if (connection->tries++ < core_.config.cm_retries) {
    repeat(number, *connection);
    start_timer(number);
    return;
  }
  tell(*connection, number, Notice::Kind::unreachable);
  forget(number);
}

void ConnectionManager::on_message(std::uint64_t slot) {
  const auto found = messages_.find(slot);
  Message message = std::move(found->second);
  messages_.erase(found);
  if (!topology_.is_reachable(topology_.nic(message.to_nic))) return;
  core_.note(TraceKind::message_arrived, static_cast<std::uint64_t>(message.kind), message.from, message.to);
  switch (message.kind) {
    case MessageKind::request:
      on_request(message);
      return;
    case MessageKind::reply:
      on_reply(message);
      return;
    case MessageKind::ready_to_use:
      on_ready_to_use(message);
      return;
    case MessageKind::reject:
      on_reject(message);
      return;
    case MessageKind::disconnect:
      on_disconnect(message);
      return;
    case MessageKind::disconnected:
      if (const Connection* connection = find(message.to);
          connection != nullptr && connection->state == State::disconnect_sent) {
        forget(message.to);
      }
      return;
  }
}

// ---- Listening and the passive side

bool ConnectionManager::listen(std::uint32_t nic, std::uint16_t& port, NoticeSink& sink,
                               std::uint64_t listener) {
  if (port == 0) {
    while (listeners_.contains({nic, next_port_}))
      next_port_ = next_port_ == 0xffff ? kFirstEphemeralPort : static_cast<std::uint16_t>(next_port_ + 1);
    port = next_port_;
    next_port_ = next_port_ == 0xffff ? kFirstEphemeralPort : static_cast<std::uint16_t>(next_port_ + 1);
  }
  return listeners_.try_emplace({nic, port}, Listening{&sink, listener}).second;
}

void ConnectionManager::on_request(Message& message) {
  if (const auto known = by_peer_.find(message.from); known != by_peer_.end()) {
    repeat(known->second, *find(known->second));  // the answer was lost or is late
    return;
  }
  const auto listening = listeners_.find({message.to_nic, message.port});
  if (listening == listeners_.end() || core_.strikes(FaultKind::connect_refused, message.from)) {
    answer(message, MessageKind::reject, RejectReason::no_listener);
    return;
  }
  if (core_.strikes(FaultKind::connect_stale, message.from)) {
    drop_an_old_connection(message.to_nic, message.from_nic);
    answer(message, MessageKind::reject, RejectReason::stale_connection);
    return;
  }
  Connection connection;
  connection.state = State::request_received;
  connection.local_nic = message.to_nic;
  connection.peer_nic = message.from_nic;
  connection.port = message.port;
  connection.peer = message.from;
  connection.sink = listening->second.sink;
  connection.remote = message.parameters;
  const std::uint64_t number = add(std::move(connection));
  by_peer_[message.from] = number;
  Notice notice;
  notice.kind = Notice::Kind::request;
  notice.connection = number;
  notice.listener = listening->second.number;
  notice.data = std::move(message.data);
  listening->second.sink->on_notice(std::move(notice));
}

/// As a kernel does that finds an older connection with the numbers of a new request: the older one ends.
void ConnectionManager::drop_an_old_connection(std::uint32_t local_nic, std::uint32_t peer_nic) {
  for (auto& [number, connection] : connections_) {
    if (connection.state == State::established && connection.local_nic == local_nic &&
        connection.peer_nic == peer_nic) {
      tell(connection, number, Notice::Kind::disconnected);
      return;
    }
  }
}

bool ConnectionManager::accept(std::uint64_t number, NoticeSink& sink, const ConnectionParameters& parameters,
                               std::vector<std::byte> data) {
  Connection* connection = find(number);
  if (connection == nullptr || connection->state != State::request_received) return false;
  connection->state = State::reply_sent;
  connection->sink = &sink;
  connection->local = parameters;
  connection->data = std::move(data);
  repeat(number, *connection);
  start_timer(number);
  return true;
}

void ConnectionManager::reject(std::uint64_t number, std::vector<std::byte> data) {
  Connection* connection = find(number);
  if (connection == nullptr || connection->state != State::request_received) return;
  connection->state = State::rejected;
  connection->sink = nullptr;
  connection->data = std::move(data);
  repeat(number, *connection);
  start_timer(number);
}

void ConnectionManager::on_ready_to_use(const Message& message) {
  Connection* connection = find(message.to);
  if (connection == nullptr || connection->state != State::reply_sent) return;
  connection->state = State::established;
  tell(*connection, message.to, Notice::Kind::ready_to_use);
}

void ConnectionManager::mark_established(std::uint64_t number) {
  Connection* connection = find(number);
  if (connection != nullptr && connection->state == State::reply_sent) connection->state = State::established;
}

bool ConnectionManager::is_waiting_for_answer(std::uint64_t number) const {
  const auto found = connections_.find(number);
  return found != connections_.end() && found->second.state == State::request_received;
}

const ConnectionParameters& ConnectionManager::peer_parameters(std::uint64_t connection) const {
  return connections_.at(connection).remote;
}

std::uint32_t ConnectionManager::peer_nic(std::uint64_t connection) const {
  return connections_.at(connection).peer_nic;
}

std::uint16_t ConnectionManager::peer_port(std::uint64_t connection) const {
  return static_cast<std::uint16_t>(kFirstEphemeralPort + connections_.at(connection).peer % 16384);
}

// ---- The active side

std::uint64_t ConnectionManager::connect(std::uint32_t from_nic, std::uint32_t to_nic, std::uint16_t port,
                                         NoticeSink& sink, const ConnectionParameters& parameters,
                                         std::vector<std::byte> data) {
  Connection connection;
  connection.local_nic = from_nic;
  connection.peer_nic = to_nic;
  connection.port = port;
  connection.sink = &sink;
  connection.local = parameters;
  connection.data = std::move(data);
  const std::uint64_t number = add(std::move(connection));
  Connection& added = *find(number);
  added.loses_request = core_.strikes(FaultKind::connect_lost, number);
  repeat(number, added);
  start_timer(number);
  return number;
}

void ConnectionManager::on_reply(Message& message) {
  Connection* connection = find(message.to);
  if (connection == nullptr || connection->state == State::disconnect_sent) {
    answer(message, MessageKind::reject, RejectReason::consumer);
    return;
  }
  if (connection->state == State::established) {
    repeat(message.to, *connection);  // our answer was lost
    return;
  }
  if (connection->state != State::request_sent) return;
  connection->state = State::reply_received;
  connection->peer = message.from;
  Notice notice;
  notice.kind = Notice::Kind::reply;
  notice.connection = message.to;
  notice.parameters = message.parameters;
  notice.data = std::move(message.data);
  connection->sink->on_notice(std::move(notice));
}

void ConnectionManager::send_ready_to_use(std::uint64_t number) {
  Connection* connection = find(number);
  if (connection == nullptr || connection->state != State::reply_received) return;
  connection->state = State::established;
  connection->data.clear();
  connection->loses_ready_to_use = core_.strikes(FaultKind::ready_to_use_lost, number);
  repeat(number, *connection);
}

// ---- The end

void ConnectionManager::on_reject(Message& message) {
  // One who gives up before the reply doesn't know our number yet.
  const auto known = by_peer_.find(message.from);
  const std::uint64_t number = message.to != 0 || known == by_peer_.end() ? message.to : known->second;
  const Connection* connection = find(number);
  if (connection == nullptr || connection->state == State::rejected) return;
  if (connection->sink != nullptr && connection->state != State::disconnect_sent) {
    Notice notice;
    notice.kind = Notice::Kind::rejected;
    notice.connection = number;
    notice.reason = message.reason;
    notice.data = std::move(message.data);
    connection->sink->on_notice(std::move(notice));
  }
  forget(number);
}

void ConnectionManager::end(std::uint64_t number) {
  Connection* connection = find(number);
  if (connection == nullptr) return;
  connection->sink = nullptr;
  switch (connection->state) {
    case State::request_sent: {
      Message message;
      message.kind = MessageKind::reject;
      message.from = number;
      message.from_nic = connection->local_nic;
      message.to_nic = connection->peer_nic;
      send(std::move(message));
      forget(number);
      return;
    }
    case State::request_received:
      reject(number, {});
      return;
    case State::reply_received:
    case State::reply_sent:
    case State::established:
      connection->state = State::disconnect_sent;
      connection->tries = 0;
      connection->data.clear();
      repeat(number, *connection);
      start_timer(number);
      return;
    case State::disconnect_sent:
    case State::rejected:
      return;
  }
}

void ConnectionManager::on_disconnect(const Message& message) {
  answer(message, MessageKind::disconnected);
  const Connection* connection = find(message.to);
  if (connection == nullptr) return;
  tell(*connection, message.to, Notice::Kind::disconnected);
  forget(message.to);
}

void ConnectionManager::end_process(const NoticeSink& sink) {
  std::erase_if(listeners_, [&](const auto& entry) { return entry.second.sink == &sink; });
  std::vector<std::uint64_t> numbers;
  for (const auto& [number, connection] : connections_) {
    if (connection.sink == &sink) numbers.push_back(number);
  }
  for (const std::uint64_t number : numbers)
    end(number);
}

void ConnectionManager::forget_device(std::uint32_t nic) {
  std::erase_if(listeners_, [&](const auto& entry) { return entry.first.first == nic; });
  std::vector<std::uint64_t> numbers;
  for (const auto& [number, connection] : connections_) {
    if (connection.local_nic == nic) numbers.push_back(number);
  }
  for (const std::uint64_t number : numbers)
    forget(number);
}

}  // namespace sluice::transport::sim
