#pragma once

#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include "protocol/base/check.h"
#include "protocol/open_service.h"
#include "runtime/control_link.h"
#include "runtime/reactor.h"
#include "transport/provider.h"

namespace sluice::client::test {

/// A master of a test: the protocol's OpenService on control connections, no more.
class SmallMaster final : private runtime::ListenHandler, private runtime::ControlHandler {
 public:
  SmallMaster(std::unique_ptr<transport::Provider> provider, const transport::Address& address,
              protocol::OpenStore& store)
      : service(store) {
    check(reactor_.add_rail(std::move(provider), 4096).has_value(), "a rail is added");
    auto listening = reactor_.listen(runtime::Rail{}, address, *this);
    check(listening.has_value(), "the master listens");
    listener_ = std::move(*listening);
  }

  bool turn() {
    const bool any = reactor_.poll();
    reactor_.flush();
    return any;
  }
  [[nodiscard]] runtime::Reactor& reactor() noexcept { return reactor_; }
  /// The real port where 0 was asked for.
  [[nodiscard]] const transport::Address& address() const noexcept { return listener_->address(); }

  protocol::OpenService service;
  std::uint64_t opens = 0;  ///< open requests answered
  bool is_silent = false;   ///< takes requests and never answers

 private:
  void on_incoming(runtime::Incoming incoming) override {
    auto domain = reactor_.control_domain(runtime::Rail{});
    runtime::ControlHandler& handler = *this;
    auto link = runtime::ControlLink::accept(reactor_, std::move(incoming), **domain, {}, handler);
    if (link) links_.push_back(std::move(*link));
  }
  void on_control_up(runtime::ControlLink& /*link*/) override {}
  void on_control(runtime::ControlLink& link, const protocol::ControlFrame& frame) override {
    if (is_silent) return;
    if (const auto* open = std::get_if<protocol::OpenRequest>(&frame.message)) {
      ++opens;
      check(link.send({frame.request_id, service.on_open(*open)}).has_value(), "an answer is sent");
    }
    if (const auto* close = std::get_if<protocol::CloseRequest>(&frame.message)) {
      check(link.send({frame.request_id, service.on_close(*close)}).has_value(), "an answer is sent");
    }
  }
  void on_control_down(runtime::ControlLink& link, const Error& /*why*/) override { link.close(); }
  void on_control_drained(runtime::ControlLink& link) override {
    std::erase_if(links_, [&](const auto& each) { return each.get() == &link; });
  }

  runtime::Reactor reactor_;
  std::unique_ptr<transport::Listener> listener_;
  std::vector<std::unique_ptr<runtime::ControlLink>> links_;
};

}  // namespace sluice::client::test
