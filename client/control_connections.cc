#include "client/control_connections.h"

#include <algorithm>
#include <utility>
#include <variant>

namespace sluice::client {
namespace {

using protocol::ControlFrame;

/// The node of now and those that a volume came from.
constexpr std::size_t kMaxKnownNodes = 4;

/// A master that isn't in charge says so in whatever answer it gives.
bool says_not_master(const ControlFrame& frame) {
  return std::visit(
      [](const auto& message) {
        if constexpr (requires { message.status; }) {
          return message.status == StatusCode::not_master;
        } else {
          return false;
        }
      },
      frame.message);
}

/// Every master over every rail: which of them reaches it isn't known.
runtime::DialerConfig masters_config(const VolumeClientConfig& config, std::size_t rails) {
  runtime::DialerConfig dialer{{}, config.redial, config.control_keepalive, {}};
  for (std::size_t rail = 0; rail < rails; ++rail) {
    for (const transport::Address& address : config.masters) {
      dialer.addresses.push_back(address);
      dialer.rails.push_back(static_cast<runtime::Rail>(rail));
    }
  }
  return dialer;
}

}  // namespace

ControlConnections::ControlConnections(runtime::Reactor& reactor, const VolumeClientConfig& config,
                                       ControlHandler& handler)
    : reactor_(reactor), redial_(config.redial), keepalive_(config.control_keepalive), handler_(handler) {
  master_.dialer = make_dialer(masters_config(config, reactor.rail_count()));
}

void ControlConnections::learn(protocol::NodeId node, const Addresses& addresses) {
  const auto known =
      std::find_if(known_.begin(), known_.end(), [&](const KnownNode& k) { return k.node == node; });
  if (known != known_.end()) {
    if (node == dialed_node_ && !(known->addresses == addresses)) addresses_changed_ = true;
    known->addresses = addresses;
    return;
  }
  if (known_.size() == kMaxKnownNodes) known_.erase(known_.begin());
  known_.push_back({node, addresses});
}

// ---- Asking

void ControlConnections::ask_master(const ControlFrame& question) {
  ask(master_, question);
}

void ControlConnections::ask_node(protocol::NodeId node, const ControlFrame& question) {
  wanted_node_ = node;
  if (!is_due()) return ask(node_, question);
  node_.question = question;  // asked once the next tick has dialed
}

void ControlConnections::ask(Party& party, const ControlFrame& question) {
  party.question = question;
  if (party.dialer && party.dialer->is_up()) static_cast<void>(party.dialer->send(question));
}

void ControlConnections::drop_questions() noexcept {
  master_.question.reset();
  node_.question.reset();
}

void ControlConnections::tick(Instant now) {
  if (is_due()) dial_wanted_node();
  master_.dialer->tick(now);
  if (node_.dialer) node_.dialer->tick(now);
}

void ControlConnections::dial_wanted_node() {
  const auto known =
      std::find_if(known_.begin(), known_.end(), [&](const KnownNode& k) { return k.node == wanted_node_; });
  dialed_node_ = wanted_node_;
  addresses_changed_ = false;
  node_.dialer.reset();
  runtime::DialerConfig config{{}, redial_, keepalive_, {}};
  if (known != known_.end()) {
    for (std::size_t i = 0; i < known->addresses.size(); ++i) {
      auto address = transport::parse_address(known->addresses[i].view());
      if (!address) continue;
      config.addresses.push_back(std::move(*address));
      config.rails.push_back(static_cast<runtime::Rail>(i % reactor_.rail_count()));  // as the path's
    }
  }
  if (config.addresses.empty()) {
    node_.trouble = "the master named no address at which the node can be reached";
    return;
  }
  node_.dialer = make_dialer(std::move(config));
}

std::unique_ptr<runtime::Dialer> ControlConnections::make_dialer(runtime::DialerConfig config) {
  runtime::DialerHandler& handler = *this;
  return std::make_unique<runtime::Dialer>(reactor_, runtime::Rail{}, std::move(config), handler);
}

// ---- From the dialers

ControlConnections::Party& ControlConnections::party_of(const runtime::Dialer& dialer) noexcept {
  return &dialer == master_.dialer.get() ? master_ : node_;
}

void ControlConnections::on_dialed(runtime::Dialer& dialer) {
  Party& party = party_of(dialer);
  if (!party.is_trouble_told) report_connected(dialer);
  party.trouble.clear();
  if (party.question) static_cast<void>(dialer.send(*party.question));
}

void ControlConnections::on_frame(runtime::Dialer& dialer, const ControlFrame& frame) {
  Party& party = party_of(dialer);
  if (&party == &master_ && says_not_master(frame)) {
    dialer.try_next();  // and the question goes to the next one
    return;
  }
  if (std::exchange(party.is_trouble_told, false)) report_connected(dialer);
  if (party.question && party.question->request_id == frame.request_id) party.question.reset();
  handler_.on_answer(frame);
}

/// Trouble is told once, until somebody has answered again.
void ControlConnections::on_hung_up(runtime::Dialer& dialer, const Error& why) {
  Party& party = party_of(dialer);
  party.trouble = why.describe();
  if (std::exchange(party.is_trouble_told, true)) return;
  handler_.on_control_change(&party == &master_ ? "master" : "node", why);
}

void ControlConnections::report_connected(const runtime::Dialer& dialer) {
  const std::string whom =
      (&dialer == master_.dialer.get() ? "master " : "node ") + to_string(dialer.address());
  handler_.on_control_change(whom, {StatusCode::ok, {}});
}

}  // namespace sluice::client
