#include "storage_node/control_desk.h"

#include <utility>

namespace sluice::storage_node {

using runtime::ControlLink;

void ControlDesk::accept(runtime::Incoming incoming, Instant now) {
  const std::string peer = incoming.request->peer();
  if (connections_.size() >= config_.max_connections) {
    handler_.log_refusal(peer + " refused: " + std::to_string(connections_.size()) +
                         " control connections are open (limits.control_connections)");
    return;
  }
  const runtime::Rail rail = incoming.rail;
  const auto domain = reactor_.control_domain(rail);
  auto link = domain ? ControlLink::accept(reactor_, std::move(incoming), **domain, config_.keepalive, *this)
                     : tl::unexpected(domain.error());
  if (!link) return handler_.log_refusal(peer + " refused: " + link.error().describe());
  last_ = ConnectionId(last_.value() + 1);
  (*link)->set_user_data(last_.value());
  connections_[last_] = {std::move(*link), rail, now, false};
}

void ControlDesk::answer(const ControlAsker& asker, const protocol::ControlMessage& message) {
  const auto found = connections_.find(asker.connection);
  if (found == connections_.end()) return;
  // One that is over drops it: whoever asked asks again on another one.
  static_cast<void>(found->second.link->send({asker.request, message}));
}

Status ControlDesk::answer_after(const ControlAsker& asker, std::span<const transport::WorkRequest> before,
                                 const protocol::ControlMessage& message, std::uint64_t tag) {
  const auto found = connections_.find(asker.connection);
  if (found == connections_.end()) return fail(StatusCode::unavailable);
  return found->second.link->send_after(before, {asker.request, message}, tag);
}

void ControlDesk::tick(Instant now) {
  for (auto& [id, connection] : connections_) {
    connection.link->tick(now);
    if (connection.has_asked || now - connection.since < config_.idle_limit) continue;
    handler_.log_refusal(connection.link->peer() + " asks for nothing: its connection is closed");
    connection.has_asked = true;  // once is enough
    connection.link->close();
  }
}

void ControlDesk::close_all() {
  for (auto& [id, connection] : connections_)
    connection.link->close();
}

void ControlDesk::on_control(ControlLink& link, const protocol::ControlFrame& frame) {
  const ConnectionId id(link.user_data());
  connections_.at(id).has_asked = true;
  if (handler_.on_request({id, frame.request_id}, frame.message)) return;
  handler_.log_refusal(link.peer() + " asks what no storage node answers: its connection is closed");
  link.close();
}

void ControlDesk::on_control_down(ControlLink& link, const Error& why) {
  // Hanging up is how every client ends; what it sent may have been wrong, though.
  if (link.malformed() > 0) handler_.log_refusal(why.describe());
}

void ControlDesk::on_control_drained(ControlLink& link) {
  const ConnectionId id(link.user_data());
  connections_.erase(id);
  handler_.on_gone(id);
}

void ControlDesk::on_control_sent(ControlLink& /*link*/, std::uint64_t tag,
                                  transport::CompletionStatus /*status*/) {
  handler_.on_sent(tag);
}

}  // namespace sluice::storage_node
