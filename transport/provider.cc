#include "transport/provider.h"

namespace sluice::transport {

std::string to_string(WorkId id) {
  const auto kind_name = [&]() -> std::string {
    switch (id.kind()) {
      case WorkKind::none:
        return "none";
      case WorkKind::drain_marker:
        return "drain_marker";
      case WorkKind::channel_receive:
        return "channel_receive";
      case WorkKind::channel_send:
        return "channel_send";
      case WorkKind::channel_credit:
        return "channel_credit";
      case WorkKind::first_user:
        break;
    }
    return "user+" +
           std::to_string(static_cast<unsigned>(id.kind()) - static_cast<unsigned>(WorkKind::first_user));
  };
  return kind_name() + " endpoint=" + std::to_string(id.endpoint()) + " slot=" + std::to_string(id.slot()) +
         " generation=" + std::to_string(id.generation());
}

std::string_view to_string(CompletionStatus status) noexcept {
  switch (status) {
    case CompletionStatus::success:
      return "success";
    case CompletionStatus::flushed:
      return "flushed";
    case CompletionStatus::remote_access:
      return "remote access error";
    case CompletionStatus::remote_operation:
      return "remote operation error";
    case CompletionStatus::local_protection:
      return "local protection error";
    case CompletionStatus::local_length:
      return "local length error";
    case CompletionStatus::receiver_not_ready:
      return "receiver not ready, retries exceeded";
    case CompletionStatus::retry_exceeded:
      return "transport retries exceeded";
    case CompletionStatus::other:
      return "other error";
  }
  return "unknown";
}

StatusCode code_of(CompletionStatus status) noexcept {
  switch (status) {
    case CompletionStatus::retry_exceeded:
      return StatusCode::unavailable;
    case CompletionStatus::local_protection:
    case CompletionStatus::local_length:
    case CompletionStatus::remote_access:
      return StatusCode::invalid_argument;
    default:
      return StatusCode::system_error;
  }
}

std::string_view meaning_of(CompletionStatus status) noexcept {
  switch (status) {
    case CompletionStatus::remote_access:
      return "the memory access was refused: bad key, bounds or rights";
    case CompletionStatus::remote_operation:
      return "the peer couldn't execute the request";
    case CompletionStatus::local_protection:
      return "a local buffer isn't inside a region with the needed rights";
    case CompletionStatus::local_length:
      return "the message is longer than the buffer or the device allows";
    case CompletionStatus::receiver_not_ready:
      return "the peer had no receive posted: a credit was leaked";
    case CompletionStatus::retry_exceeded:
      return "the peer stopped answering: is it up, and is the path?";
    case CompletionStatus::flushed:
      return "the connection was closed";
    default:
      return "see the device's documentation";
  }
}

std::string_view to_string(EndpointState state) noexcept {
  switch (state) {
    case EndpointState::connecting:
      return "connecting";
    case EndpointState::connected:
      return "connected";
    case EndpointState::draining:
      return "draining";
    case EndpointState::drained:
      return "drained";
  }
  return "unknown";
}

std::string_view to_string(ConnectionEvent::Kind kind) noexcept {
  switch (kind) {
    case ConnectionEvent::Kind::connect_request:
      return "connect_request";
    case ConnectionEvent::Kind::established:
      return "established";
    case ConnectionEvent::Kind::disconnected:
      return "disconnected";
    case ConnectionEvent::Kind::drained:
      return "drained";
    case ConnectionEvent::Kind::device_lost:
      return "device_lost";
    case ConnectionEvent::Kind::listener_lost:
      return "listener_lost";
  }
  return "unknown";
}

}  // namespace sluice::transport
