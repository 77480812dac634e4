#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "transport/sim/core.h"
#include "transport/sim/topology.h"

namespace sluice::transport::sim {

/// What a rejection says, in rdma_cm's numbers (InfiniBand 1.2.1, 12.6.7.2).
enum class RejectReason : std::uint8_t { no_listener = 8, stale_connection = 10, consumer = 28 };

/// What both sides need to know of each other's queue pair.
struct ConnectionParameters {
  std::uint64_t queue_pair = 0;
  std::uint8_t retry_count = 7;
  std::uint8_t rnr_retry_count = 7;
};

/// What the connection manager has for a process; the process looks at it when it runs.
struct Notice {
  enum class Kind : std::uint8_t {
    request,  ///< `listener`, `connection`, `data`
    reply,    ///< `parameters`, `data`
    ready_to_use,
    rejected,     ///< `reason`, `data`
    unreachable,  ///< nobody answered, however often it was repeated
    disconnected,
    queue_pair_failed,
    deadline,
    device_removed,
  };
  Kind kind = Kind::request;
  std::uint64_t connection = 0;
  std::uint64_t listener = 0;
  std::uint64_t endpoint = 0;
  ConnectionParameters parameters;
  RejectReason reason = RejectReason::consumer;
  std::vector<std::byte> data;
};

class NoticeSink {
 public:
  NoticeSink() = default;
  NoticeSink(const NoticeSink&) = delete;
  NoticeSink& operator=(const NoticeSink&) = delete;
  virtual ~NoticeSink() = default;
  virtual void on_notice(Notice notice) = 0;
};

/// The kernels' connection managers, all in one: they answer, repeat and time out by themselves, whether the
/// process that they do it for runs or not, and speak up for it when it is killed. Modelled on ib_cm and
/// rdma_cm: request, reply, ready-to-use, reject, disconnect request and its reply. Private data arrives
/// padded to the message's fixed length with bytes that mean nothing.
class ConnectionManager {
 public:
  ConnectionManager(Core& core, Topology& topology) : core_(core), topology_(topology) {}

  /// False: the port is taken. Port 0 takes a free one.
  bool listen(std::uint32_t nic, std::uint16_t& port, NoticeSink& sink, std::uint64_t listener);
  void stop_listening(std::uint32_t nic, std::uint16_t port) { listeners_.erase({nic, port}); }

  // Active side:
  std::uint64_t connect(std::uint32_t from_nic, std::uint32_t to_nic, std::uint16_t port, NoticeSink& sink,
                        const ConnectionParameters& parameters, std::vector<std::byte> data);
  void send_ready_to_use(std::uint64_t connection);

  // Passive side:
  /// False: the peer has given up meanwhile.
  bool accept(std::uint64_t connection, NoticeSink& sink, const ConnectionParameters& parameters,
              std::vector<std::byte> data);
  void reject(std::uint64_t connection, std::vector<std::byte> data);
  /// Of a request that was told of: the peer hasn't given up, and nobody has answered it.
  [[nodiscard]] bool is_waiting_for_answer(std::uint64_t connection) const;
  /// Something arrived from the peer: it is ready, whatever became of its message.
  void mark_established(std::uint64_t connection);
  /// False: it has ended, and what the process hasn't looked at yet is out of date.
  [[nodiscard]] bool knows(std::uint64_t connection) const { return connections_.contains(connection); }
  [[nodiscard]] const ConnectionParameters& peer_parameters(std::uint64_t connection) const;
  [[nodiscard]] std::uint32_t peer_nic(std::uint64_t connection) const;
  [[nodiscard]] std::uint16_t peer_port(std::uint64_t connection) const;

  /// The user is done with it: tells the peer, whatever state it is in. Nothing is heard of it any more.
  void end(std::uint64_t connection);
  /// The device is gone, with all connections and listeners on it: nobody is told anything.
  void forget_device(std::uint32_t nic);
  /// The process is gone: its listeners go, its connections end and requests that it left are rejected.
  void end_process(const NoticeSink& sink);

  // Events:
  void on_message(std::uint64_t slot);
  void on_timer(std::uint64_t connection);

  [[nodiscard]] std::size_t size() const noexcept { return connections_.size(); }

 private:
  enum class State : std::uint8_t {
    request_sent,
    request_received,
    reply_received,  ///< the process hasn't looked yet
    reply_sent,
    established,
    disconnect_sent,
    rejected,  ///< kept for a while, to answer repeated requests
  };
  enum class MessageKind : std::uint8_t { request, reply, ready_to_use, reject, disconnect, disconnected };

  struct Connection {
    State state = State::request_sent;
    std::uint32_t local_nic = 0;
    std::uint32_t peer_nic = 0;
    std::uint16_t port = 0;  ///< the listener's
    std::uint64_t peer = 0;  ///< its number for it; 0 while unknown
    NoticeSink* sink = nullptr;
    ConnectionParameters local;
    ConnectionParameters remote;
    std::vector<std::byte> data;  ///< of the message that may have to be repeated
    RejectReason reason = RejectReason::consumer;
    unsigned tries = 0;
    bool loses_request = false;  ///< faults that stay
    bool loses_ready_to_use = false;
  };
  struct Message {
    MessageKind kind = MessageKind::request;
    std::uint64_t from = 0;
    std::uint64_t to = 0;
    std::uint32_t from_nic = 0;
    std::uint32_t to_nic = 0;
    std::uint16_t port = 0;
    ConnectionParameters parameters;
    RejectReason reason = RejectReason::consumer;
    std::vector<std::byte> data;
  };
  struct Listening {
    NoticeSink* sink = nullptr;
    std::uint64_t number = 0;
  };

  [[nodiscard]] Connection* find(std::uint64_t connection);
  std::uint64_t add(Connection connection);
  void forget(std::uint64_t connection);
  void send(Message message);
  void answer(const Message& to, MessageKind kind, RejectReason reason = RejectReason::consumer);
  void repeat(std::uint64_t number, Connection& connection);
  void start_timer(std::uint64_t number);
  void tell(const Connection& connection, std::uint64_t number, Notice::Kind kind);

  void on_request(Message& message);
  void on_reply(Message& message);
  void on_ready_to_use(const Message& message);
  void on_reject(Message& message);
  void on_disconnect(const Message& message);
  void drop_an_old_connection(std::uint32_t local_nic, std::uint32_t peer_nic);

  Core& core_;
  Topology& topology_;
  std::map<std::pair<std::uint32_t, std::uint16_t>, Listening> listeners_;
  std::map<std::uint64_t, Connection> connections_;
  std::map<std::uint64_t, std::uint64_t> by_peer_;  ///< passive sides, by the active side's number
  std::uint64_t next_connection_ = 1;
  std::map<std::uint64_t, Message> messages_;  ///< under way
  std::uint64_t next_message_ = 1;
  std::uint16_t next_port_ = 49152;
};

}  // namespace sluice::transport::sim
