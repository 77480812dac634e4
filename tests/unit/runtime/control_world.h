#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "protocol/control_messages.h"
#include "runtime/control_link.h"
#include "runtime/reactor.h"
#include "transport/sim/network.h"

/// Two hosts with control links between them, in virtual time.
namespace sluice::runtime::test {

using protocol::ControlFrame;
using protocol::RequestId;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

inline ControlFrame numbered(std::uint64_t number) {
  return {RequestId(number), protocol::ListVolumes{}};
}

/// A process with one device; takes every connection that comes.
class Process : public ListenHandler, public ControlHandler {
 public:
  /// `device`: its address; empty: the host's first.
  Process(transport::sim::Network& network, const std::string& host, KeepaliveConfig keepalive = {},
          const std::string& device = {})
      : keepalive_(keepalive) {
    transport::TransportConfig config;
    config.local_host = device;
    config.connect_timeout = std::chrono::milliseconds(1000);
    auto provider = network.open_provider(host, config);
    REQUIRE(provider);
    rail_ = *reactor.add_rail(std::move(*provider), 1024);
  }
  ~Process() override {
    links.clear();
    listeners.clear();
  }

  void listen(const transport::Address& address) {
    auto listener = reactor.listen(rail_, address, *this);
    REQUIRE(listener);
    listeners.push_back(std::move(*listener));
  }
  ControlLink& connect(const transport::Address& address) {
    auto link =
        ControlLink::connect(reactor, rail_, **reactor.control_domain(rail_), address, keepalive_, *this);
    REQUIRE(link);
    links.push_back(std::move(*link));
    return *links.back();
  }
  [[nodiscard]] transport::Provider& provider() { return reactor.provider(rail_); }
  [[nodiscard]] Rail rail() const { return rail_; }

  void turn(Instant now) {
    if (is_stopped) return;
    reactor.poll();
    for (const auto& link : links)
      link->tick(now);
    reactor.flush();
  }

  Reactor reactor;
  std::vector<std::unique_ptr<transport::Listener>> listeners;
  std::vector<std::unique_ptr<ControlLink>> links;
  bool is_stopped = false;
  int ups = 0;
  int drained = 0;
  std::vector<Error> downs;
  std::vector<std::uint64_t> received;  ///< request ids
  std::function<void(ControlLink&, const ControlFrame&)> on_frame;

 private:
  void on_incoming(Incoming incoming) override {
    auto link =
        ControlLink::accept(reactor, std::move(incoming), **reactor.control_domain(rail_), keepalive_, *this);
    REQUIRE(link);
    links.push_back(std::move(*link));
  }
  void on_control_up(ControlLink&) override { ++ups; }
  void on_control(ControlLink& link, const ControlFrame& frame) override {
    received.push_back(frame.request_id.value());
    if (on_frame) on_frame(link, frame);
  }
  void on_control_down(ControlLink&, const Error& why) override { downs.push_back(why); }
  void on_control_drained(ControlLink& link) override {
    ++drained;
    std::erase_if(links, [&](const auto& owned) { return owned.get() == &link; });
  }

  KeepaliveConfig keepalive_;
  Rail rail_{};
};

class ControlWorld {
 public:
  ControlWorld() : network(1) {
    network.add_host("client", {"10.0.0.1"});
    network.add_host("server", {"10.0.0.2", "10.0.0.3"});
  }

  /// A turn of each once a millisecond.
  bool until(std::initializer_list<Process*> processes, const std::function<bool()>& done,
             Duration patience = 60s) {
    const Instant deadline = network.now() + patience;
    for (;;) {
      for (Process* const process : processes)
        process->turn(network.now());
      if (also_turns) also_turns();
      if (done()) return true;
      if (network.now() >= deadline) return false;
      network.run_for(1ms);
    }
  }
  void run(std::initializer_list<Process*> processes, Duration span) {
    static_cast<void>(until(
        processes, [] { return false; }, span));
  }

  transport::sim::Network network;
  std::function<void()> also_turns;
};

}  // namespace sluice::runtime::test
