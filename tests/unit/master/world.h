#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <catch2/catch.hpp>

#include "master/master.h"
#include "master/memory_metadata_store.h"
#include "protocol/control_messages.h"
#include "runtime/control_link.h"
#include "runtime/reactor.h"
#include "transport/sim/network.h"

/// A master and those who talk to it, in virtual time.
namespace sluice::master::test {

using protocol::ControlFrame;
using protocol::NodeId;
using protocol::RequestId;
using protocol::VolumeName;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

inline constexpr std::uint32_t kPeerQueueDepth = 256;

/// One control connection to a master, and what came on it.
class Peer : private runtime::ControlHandler {
 public:
  Peer(transport::sim::Network& network, const std::string& host, const transport::Address& master) {
    auto provider = network.open_provider(host, {});
    REQUIRE(provider);
    rail_ = *reactor_.add_rail(std::move(*provider), kPeerQueueDepth);
    dial(master);
  }
  ~Peer() override { link_.reset(); }

  void dial(const transport::Address& master) {
    link_.reset();
    is_up = is_over = false;
    auto link =
        runtime::ControlLink::connect(reactor_, rail_, **reactor_.control_domain(rail_), master, {}, *this);
    REQUIRE(link);
    link_ = std::move(*link);
  }

  void turn(Instant now) {
    reactor_.poll();
    if (is_over) link_.reset();
    if (link_) link_->tick(now);
    reactor_.flush();
  }

  RequestId send(const protocol::ControlMessage& message) {
    const RequestId id(++last_request_);
    send({id, message});
    return id;
  }
  void send(const ControlFrame& frame) {
    if (link_) static_cast<void>(link_->send(frame));
  }
  void close() {
    if (link_) link_->close();
  }
  [[nodiscard]] transport::Provider& provider() { return reactor_.provider(rail_); }

  /// The first message of this kind that answers the request, or (0) any; it is taken.
  template <typename Message>
  std::optional<Message> take(RequestId id = RequestId(0)) {
    for (auto at = received.begin(); at != received.end(); ++at) {
      const auto* const message = std::get_if<Message>(&at->message);
      if (message == nullptr || (id != RequestId(0) && at->request_id != id)) continue;
      Message taken = *message;
      received.erase(at);
      return taken;
    }
    return std::nullopt;
  }

  bool is_up = false;
  bool is_over = false;
  std::vector<ControlFrame> received;
  /// Called with each message before it is put down; true: it was dealt with.
  std::function<bool(const ControlFrame&)> on_frame;

 private:
  void on_control_up(runtime::ControlLink&) override { is_up = true; }
  void on_control(runtime::ControlLink&, const ControlFrame& frame) override {
    if (!on_frame || !on_frame(frame)) received.push_back(frame);
  }
  void on_control_down(runtime::ControlLink&, const Error&) override { is_up = false; }
  void on_control_drained(runtime::ControlLink&) override { is_over = true; }

  runtime::Reactor reactor_;
  runtime::Rail rail_{};
  std::unique_ptr<runtime::ControlLink> link_;
  std::uint64_t last_request_ = 0;
};

/// A storage node as a master sees one: it has storage of volumes, carries out orders at once, and can be
/// told to fail or to keep quiet.
class FakeNode {
 public:
  struct Storage {
    ByteCount size;
    bool is_copy = false;
  };

  FakeNode(transport::sim::Network& network, const std::string& host, NodeId id,
           const transport::Address& master)
      : id_(id), host_(host), peer_(std::make_unique<Peer>(network, host, master)) {
    peer_->on_frame = [this](const ControlFrame& frame) { return on_frame(frame); };
  }

  void turn(Instant now) {
    if (is_stopped) return;
    last_turn_ = now;
    peer_->turn(now);
    if (peer_->is_up && !has_said_hello_ && now >= hello_at_) say_hello();
    if (is_taken && !is_mute && now - last_beat_ >= 1s) {
      last_beat_ = now;
      peer_->send(protocol::Heartbeat{id_, boot, capacity, free, 0});
    }
  }
  void redial(const transport::Address& master) {
    has_said_hello_ = is_taken = false;
    peer_->dial(master);
  }
  void say_hello() {
    has_said_hello_ = true;
    hello_at_ = last_turn_ + 200ms;
    protocol::Hello hello;
    hello.node = id_;
    hello.boot = boot;
    hello.manager_version = seen;
    hello.addresses.push_back(*protocol::NodeAddress::from(host_ + ":7480"));
    for (const auto& [volume, fence] : fences)
      hello.fences.push_back({volume, fence});
    peer_->send(hello);
  }
  [[nodiscard]] Peer& peer() { return *peer_; }
  [[nodiscard]] NodeId id() const { return id_; }
  /// Carries out what was held back.
  void release() {
    holds_back = false;
    for (const ControlFrame& frame : std::exchange(held_, {}))
      carry_out(frame);
  }

  /// Of the copies that are held back.
  void report_progress() {
    for (const ControlFrame& frame : held_) {
      const auto* const order = std::get_if<protocol::VolumeOrder>(&frame.message);
      if (order == nullptr || order->verb != protocol::OrderVerb::copy) continue;
      protocol::VolumeOrderAnswer answer;
      answer.status = StatusCode::moving;
      answer.volume = order->volume;
      peer_->send({frame.request_id, answer});
    }
  }

  protocol::BootId boot{100};
  ManagerVersion seen;
  ByteCount capacity{1ULL << 40U};
  ByteCount free{1ULL << 39U};
  std::map<VolumeId, Gvn> fences;
  std::map<VolumeId, Storage> storage;
  bool is_taken = false;
  bool is_mute = false;     ///< no heartbeats
  bool is_stopped = false;  ///< SIGSTOP
  bool holds_back = false;  ///< orders
  StatusCode order_status = StatusCode::ok;
  std::optional<StatusCode> hello_status;
  std::vector<protocol::OrderVerb> orders;
  std::vector<VolumeId> quiesced;

 private:
  bool on_frame(const ControlFrame& frame) {
    if (const auto* hello = std::get_if<protocol::HelloAnswer>(&frame.message)) {
      hello_status = hello->status;
      is_taken = hello->status == StatusCode::ok;
      seen = std::max(seen, hello->manager_version);
      if (!is_taken && hello->status != StatusCode::rolled_back) has_said_hello_ = false;
      return true;
    }
    if (const auto* beat = std::get_if<protocol::HeartbeatAnswer>(&frame.message)) {
      if (beat->status == StatusCode::no_session) has_said_hello_ = false;
      return true;
    }
    const bool is_order = std::holds_alternative<protocol::VolumeOrder>(frame.message) ||
                          std::holds_alternative<protocol::QuiesceRequest>(frame.message);
    if (!is_order) return false;
    if (holds_back) {
      held_.push_back(frame);
    } else {
      carry_out(frame);
    }
    return true;
  }

  void carry_out(const ControlFrame& frame) {
    if (const auto* quiesce = std::get_if<protocol::QuiesceRequest>(&frame.message)) {
      quiesced.push_back(quiesce->volume);
      Gvn& fence = fences[quiesce->volume];
      fence = std::max(fence, quiesce->gvn);
      return peer_->send({frame.request_id, protocol::QuiesceAnswer{StatusCode::ok, quiesce->volume, fence}});
    }
    const auto& order = std::get<protocol::VolumeOrder>(frame.message);
    orders.push_back(order.verb);
    if (order_status == StatusCode::ok) execute(order);
    protocol::VolumeOrderAnswer answer;
    answer.status = order_status;
    answer.volume = order.volume;
    answer.moved = order.size;
    peer_->send({frame.request_id, answer});
  }
  void execute(const protocol::VolumeOrder& order) {
    switch (order.verb) {
      case protocol::OrderVerb::create:
      case protocol::OrderVerb::resize:
        storage[order.volume].size = order.size;
        break;
      case protocol::OrderVerb::copy:
        storage[order.volume] = {order.size, true};
        fences[order.volume] = order.gvn;
        break;
      case protocol::OrderVerb::remove:
        storage.erase(order.volume);
        break;
    }
  }

  NodeId id_;
  std::string host_;
  std::unique_ptr<Peer> peer_;
  bool has_said_hello_ = false;
  Instant last_beat_;
  Instant last_turn_;
  Instant hello_at_;  ///< not before
  std::vector<ControlFrame> held_;
};

/// The cluster: one master process at a time (or two, on one store), three nodes, and an operator who is a
/// client, too.
class World {
 public:
  explicit World(MasterConfig master_config = {}) : config(std::move(master_config)), network(1) {
    config.listen = {{"10.0.0.1", 7470}};
    network.add_host("master", {"10.0.0.1"});
    network.add_host("standby", {"10.0.0.2"});
    network.add_host("client", {"10.0.1.1"});
    for (std::uint64_t i = 1; i <= 3; ++i)
      network.add_host(node_host(i), {"10.0.2." + std::to_string(i)});
    master = start_master("master", "10.0.0.1", store);
    client = std::make_unique<Peer>(network, "client", address);
  }
  ~World() {
    client.reset();
    others.clear();
    nodes.clear();
    master.reset();
    standby.reset();
  }

  static std::string node_host(std::uint64_t number) { return "node" + std::to_string(number); }

  std::unique_ptr<Master> start_master(const std::string& host, const std::string& ip, MetadataStore& on) {
    MasterConfig made = config;
    made.listen = {{ip, 7470}};
    const auto sink = [this](transport::LogLevel level, std::string_view line) {
      if (level != transport::LogLevel::debug) log.emplace_back(line);
    };
    auto started = std::make_unique<Master>(made, on, network.clock(), sink);
    auto provider = network.open_provider(host, {});
    REQUIRE(provider);
    std::vector<std::unique_ptr<transport::Provider>> providers;
    providers.push_back(std::move(*provider));
    const Status status = started->start(std::move(providers));
    INFO((status ? std::string() : status.error().describe()));
    REQUIRE(status);
    return started;
  }

  FakeNode& add_node(std::uint64_t number) {
    nodes.push_back(std::make_unique<FakeNode>(network, node_host(number), NodeId(number), address));
    FakeNode& node = *nodes.back();
    REQUIRE(until([&] { return node.is_taken; }));
    return node;
  }
  Peer& add_peer() {
    others.push_back(std::make_unique<Peer>(network, "client", address));
    Peer& peer = *others.back();
    REQUIRE(until([&] { return peer.is_up; }));
    return peer;
  }

  bool until(const std::function<bool()>& done, Duration patience = 30s) {
    const Instant deadline = network.now() + patience;
    for (;;) {
      turn();
      if (done()) return true;
      if (network.now() >= deadline) return false;
      network.run_for(1ms);
    }
  }
  void run(Duration span) {
    static_cast<void>(until([] { return false; }, span));
  }
  void turn() {
    if (master) master->turn();
    if (std::exchange(must_replace_master, false)) replace_master();
    if (standby) standby->turn();
    for (const auto& node : nodes)
      node->turn(network.now());
    client->turn(network.now());
    for (const auto& other : others)
      other->turn(network.now());
    if (redials) redial();
  }
  /// As after a crash: nothing is left of it but what the store has.
  void replace_master() {
    master.reset();
    master = start_master("master", "10.0.0.1", store);
  }
  void redial() {
    for (const auto& node : nodes) {
      if (node->peer().is_over) node->redial(address);
    }
    if (client->is_over) client->dial(address);
  }

  template <typename Answer>
  Answer ask(const protocol::ControlMessage& request) {
    REQUIRE(until([&] { return client->is_up; }));
    const RequestId id = client->send(request);
    std::optional<Answer> answer;
    REQUIRE(until([&] { return (answer = client->take<Answer>(id)).has_value(); }));
    return *answer;
  }
  protocol::CommandAnswer command(const protocol::ControlMessage& request) {
    return ask<protocol::CommandAnswer>(request);
  }

  static protocol::VolumeCommand create_command(const std::string& name, NodeId node = NodeId(0),
                                                std::uint64_t bytes = 1U << 30U) {
    protocol::VolumeCommand command;
    command.verb = protocol::VolumeVerb::create;
    command.name = *VolumeName::from(name);
    command.size = ByteCount(bytes);
    command.block_size = 4096;
    command.node = node;
    return command;
  }
  static protocol::VolumeCommand volume_command(protocol::VolumeVerb verb, const std::string& name) {
    protocol::VolumeCommand command;
    command.verb = verb;
    command.name = *VolumeName::from(name);
    return command;
  }
  VolumeId make_volume(const std::string& name, NodeId node = NodeId(0)) {
    const protocol::CommandAnswer answer = command(create_command(name, node));
    INFO(answer.reason.view());
    REQUIRE(answer.status == StatusCode::ok);
    return answer.volume;
  }
  protocol::OpenAnswer open(const std::string& name, std::uint64_t nonce = 1, bool steal = false) {
    protocol::OpenRequest request;
    request.name = *VolumeName::from(name);
    request.client = *protocol::ClientId::from("tester");
    request.nonce = protocol::Nonce(nonce);
    request.steal = steal;
    return ask<protocol::OpenAnswer>(request);
  }
  StatusCode close(VolumeId volume, Gvn gvn, std::uint64_t nonce = 1) {
    return ask<protocol::CloseAnswer>(protocol::CloseRequest{volume, gvn, *protocol::ClientId::from("tester"),
                                                             protocol::Nonce(nonce)})
        .status;
  }
  protocol::VolumeEntry info(const std::string& name) {
    const auto list = ask<protocol::VolumeList>(protocol::ListVolumes{*VolumeName::from(name), VolumeId(0)});
    REQUIRE(list.volumes.size() == 1);
    return list.volumes[0];
  }
  [[nodiscard]] bool has_logged(const std::string& part) const {
    return std::ranges::any_of(log,
                               [&](const std::string& line) { return line.find(part) != std::string::npos; });
  }

  MasterConfig config;
  transport::sim::Network network;
  MemoryMetadataStore store;
  transport::Address address{"10.0.0.1", 7470};
  std::vector<std::string> log;
  bool redials = false;              ///< nodes and client, when their connection is over
  bool must_replace_master = false;  ///< after its turn
  std::unique_ptr<Master> master;
  std::unique_ptr<Master> standby;
  std::vector<std::unique_ptr<FakeNode>> nodes;
  std::unique_ptr<Peer> client;
  std::vector<std::unique_ptr<Peer>> others;
};

}  // namespace sluice::master::test
