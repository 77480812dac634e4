// The part of Master that hands messages on, and answers them.

#include <variant>

#include "master/master.h"
#include "runtime/log_line.h"

namespace sluice::master {

using protocol::CloseRequest;
using protocol::CommandAnswer;
using protocol::ControlFrame;
using protocol::ControlType;
using protocol::Heartbeat;
using protocol::HeartbeatAnswer;
using protocol::Hello;
using protocol::HelloAnswer;
using protocol::ListNodes;
using protocol::ListVolumes;
using protocol::NodeCommand;
using protocol::NodeId;
using protocol::NodeVerb;
using protocol::OpenAnswer;
using protocol::OpenKind;
using protocol::OpenRequest;
using protocol::QuiesceAnswer;
using protocol::RequestId;
using protocol::VerifyAnswer;
using protocol::VerifyRequest;
using protocol::VolumeCommand;
using protocol::VolumeOrderAnswer;
using runtime::LogLine;
using transport::LogLevel;

namespace {

/// Parts of one hello: a bound on what a stranger can make the master remember.
constexpr std::uint32_t kMaxHelloParts = 1024;

/// OpenService tells a node the manager version with the answer to its hello: one that knows it from
/// elsewhere has met another master of the same version.
constexpr ManagerVersion kUntold{0};

/// Messages that ask for something get an answer even here, where nobody can do it.
bool is_request(ControlType type) noexcept {
  switch (type) {
    case ControlType::session_open:
    case ControlType::quiesce_request:
    case ControlType::volume_status_request:
    case ControlType::volume_order:
    case ControlType::copy_read:
      return true;
    default:
      return false;
  }
}

}  // namespace

/// One call for each message that a master takes; all others are refused.
struct Master::Dispatch {
  Master& master;
  Connection& from;
  RequestId id;

  void operator()(const OpenRequest& request) const { master.on_open(from, id, request); }
  void operator()(const CloseRequest& request) const { master.on_close(from, id, request); }
  void operator()(const VerifyRequest& request) const { master.on_verify(from, id, request); }
  void operator()(const Hello& hello) const { master.on_hello(from, id, hello); }
  void operator()(const Heartbeat& heartbeat) const { master.on_heartbeat(from, id, heartbeat); }
  void operator()(const QuiesceAnswer& answer) const { master.on_node_answer(from, id, answer); }
  void operator()(const VolumeOrderAnswer& answer) const { master.on_node_answer(from, id, answer); }
  void operator()(const VolumeCommand& command) const {
    master.volumes_.on_command({from.link->user_data(), id}, command);
  }
  void operator()(const NodeCommand& command) const { master.on_node_command(from, id, command); }
  void operator()(const ListVolumes& request) const { master.reply(from, id, master.volumes_.list(request)); }
  void operator()(const ListNodes& request) const { master.reply(from, id, master.nodes_.list(request)); }
  template <typename Other>
  void operator()(const Other& /*message*/) const {
    master.refuse(from, id, Other::kType);
  }
};

void Master::on_control(runtime::ControlLink& link, const ControlFrame& frame) {
  Connection& from = of(link);
  if (from.is_closing) return;
  std::visit(Dispatch{*this, from, frame.request_id}, frame.message);
}

void Master::refuse(Connection& from, RequestId id, ControlType type) {
  const std::string words = std::string(to_string(type)) + " isn't for a master";
  if (!is_request(type)) return cut_off(from, words);
  CommandAnswer answer;
  answer.status = StatusCode::invalid_request;
  answer.reason = protocol::Text::clipped(words + "; send it to the volume's node");
  reply(from, id, answer);
}

// --- From clients ------------------------------------------------------------------------------------

void Master::on_open(Connection& from, RequestId id, const OpenRequest& request) {
  const OpenAnswer answer = service_.on_open(request);
  reply(from, id, answer);
  if (request.kind == OpenKind::locate) return;
  LogLine line(std::string(to_string(request.kind)) +
               (answer.status == StatusCode::ok ? " granted" : " refused"));
  line.with("volume", answer.volume).with("client", request.client);
  if (answer.status == StatusCode::ok) {
    ++counts_.opens_granted;
    line.with("gvn", answer.gvn).with("mode", to_string(answer.mode)).with("node", answer.node);
    if (request.steal) line.with("steal", "yes");
    return log(LogLevel::info, line.text());
  }
  ++counts_.opens_refused;
  if (answer.volume == VolumeId(0)) line.with("name", request.name);
  line.with("reason", answer.status);
  if (answer.status == StatusCode::busy)
    line.with("holder", answer.holder).with("holder_gvn", answer.holder_gvn);
  refusals_.write(LogLevel::info, line.text(), now_);
}

void Master::on_close(Connection& from, RequestId id, const CloseRequest& request) {
  const protocol::CloseAnswer answer = service_.on_close(request);
  reply(from, id, answer);
  LogLine line(answer.status == StatusCode::ok ? "closed" : "close refused");
  line.with("volume", request.volume).with("gvn", request.gvn).with("client", request.client);
  if (answer.status != StatusCode::ok) line.with("reason", answer.status);
  refusals_.write(LogLevel::info, line.text(), now_);
}

// --- From nodes --------------------------------------------------------------------------------------

void Master::on_verify(Connection& from, RequestId id, const VerifyRequest& request) {
  const VerifyAnswer answer = service_.on_verify(request);
  reply(from, id, answer);
  const bool ok = answer.status == StatusCode::ok;
  ++(ok ? counts_.verified : counts_.not_verified);
  LogLine line(ok ? "session verified" : "session not verified");
  line.with("volume", request.volume).with("gvn", request.gvn).with("client", request.client);
  line.with("node", request.node);
  if (ok) return log(LogLevel::info, line.text());
  line.with("reason", answer.status).with("current_gvn", answer.current_gvn);
  refusals_.write(LogLevel::info, line.text(), now_);
}

void Master::on_hello(Connection& from, RequestId id, const Hello& hello) {
  if (from.node != NodeId(0) && from.node != hello.node) return cut_off(from, "one connection, two nodes");
  if (hello.part >= kMaxHelloParts) return cut_off(from, "a hello without an end");
  if (hello.part == 0) {
    lose_node(from, "says hello again");
    // The newest connection of a node is its only one.
    if (Connection* const older = connection_of(hello.node)) hang_up(*older);
    if (const Status admitted = nodes_.admit(hello.node); !admitted) {
      refusals_.write(LogLevel::warning,
                      LogLine("hello refused").with("node", hello.node).because(admitted.error()).text(),
                      now_);
      return reply(from, id, HelloAnswer{admitted.error().code, kUntold});
    }
  }
  from.node = hello.node;
  from.boot = hello.boot;
  const ManagerVersion before = manager_version();
  std::optional<HelloAnswer> answer = service_.on_hello(hello);
  if (!answer) return;
  if (answer->status == StatusCode::invalid_request) return cut_off(from, "the parts of its hello don't fit");
  if (manager_version() > before) {
    log(LogLevel::warning, LogLine("this master's records are an old copy: the manager version was raised")
                               .with("node", hello.node)
                               .with("from", before)
                               .with("to", manager_version())
                               .text());
  }
  on_hello_taken(from, hello, *answer);
  reply(from, id, *answer);
  // After the answer, so that the node knows whose orders they are.
  if (from.is_node_up && answer->status == StatusCode::ok) orders_.on_node_up(hello.node);
}

void Master::on_hello_taken(Connection& from, const Hello& hello, HelloAnswer& answer) {
  const bool is_known = answer.status == StatusCode::ok || answer.status == StatusCode::rolled_back;
  if (is_known) {
    if (const Status kept = nodes_.on_hello(hello, answer.status == StatusCode::ok, now_); !kept) {
      service_.on_node_lost(hello.node);
      answer.status = kept.error().code;
    } else {
      from.is_node_up = true;
    }
  }
  LogLine line(answer.status == StatusCode::ok ? "node up" : "hello refused");
  line.with("node", hello.node).with("boot", hello.boot);
  if (answer.status == StatusCode::ok) {
    if (!hello.addresses.empty()) line.with("address", hello.addresses[0]);
    return log(LogLevel::info, line.with("reactors", hello.reactors).text());
  }
  line.with("reason", answer.status);
  if (answer.status == StatusCode::rolled_back) {
    line.with("remedy", "its disk is an older copy than it once reported: see `sluice node accept`");
  }
  refusals_.write(LogLevel::warning, line.text(), now_);
}

void Master::on_heartbeat(Connection& from, RequestId id, const Heartbeat& heartbeat) {
  const bool is_its_own = from.is_node_up && from.node == heartbeat.node;
  if (!is_its_own) return reply(from, id, HeartbeatAnswer{StatusCode::no_session, kUntold});
  reply(from, id, HeartbeatAnswer{nodes_.on_heartbeat(heartbeat, now_), manager_version()});
}

template <typename Answer>
void Master::on_node_answer(Connection& from, RequestId id, const Answer& answer) {
  if (!from.is_node_up) return cut_off(from, std::string(to_string(Answer::kType)) + " before a hello");
  if (const auto outcome = orders_.on_answer(from.node, id, answer)) volumes_.on_outcome(*outcome);
}

// --- From operators ----------------------------------------------------------------------------------

void Master::on_node_command(Connection& from, RequestId id, const NodeCommand& command) {
  const Status done = [&]() -> Status {
    switch (command.verb) {
      case NodeVerb::drain:
        return nodes_.set_draining(command.node, true);
      case NodeVerb::undrain:
        return nodes_.set_draining(command.node, false);
      case NodeVerb::remove:
        return nodes_.remove(command.node);
      case NodeVerb::accept:
        return service_.accept_rolled_back(command.node);
    }
    return fail(StatusCode::invalid_request, "no such command");
  }();
  if (done && command.verb == NodeVerb::remove) orders_.forget_node(command.node);
  // It says hello again, and is taken.
  if (done && command.verb == NodeVerb::accept) {
    if (Connection* const node = connection_of(command.node)) hang_up(*node);
  }
  CommandAnswer answer;
  answer.status = done ? StatusCode::ok : done.error().code;
  answer.node = command.node;
  if (!done) answer.reason = protocol::Text::clipped(done.error().message);
  reply(from, id, answer);
  LogLine line(std::string("node ") + std::string(to_string(command.verb)) + (done ? "" : " refused"));
  line.with("node", command.node);
  if (!done) line.because(done.error());
  log(LogLevel::info, line.text());
}

}  // namespace sluice::master
