#include "protocol/control_types.h"

namespace sluice::protocol {

std::string_view to_string(ControlType type) noexcept {
  switch (type) {
    case ControlType::open_request:
      return "open_request";
    case ControlType::open_answer:
      return "open_answer";
    case ControlType::session_open:
      return "session_open";
    case ControlType::session_answer:
      return "session_answer";
    case ControlType::verify_request:
      return "verify_request";
    case ControlType::verify_answer:
      return "verify_answer";
    case ControlType::quiesce_request:
      return "quiesce_request";
    case ControlType::quiesce_answer:
      return "quiesce_answer";
    case ControlType::hello:
      return "hello";
    case ControlType::hello_answer:
      return "hello_answer";
    case ControlType::close_request:
      return "close_request";
    case ControlType::close_answer:
      return "close_answer";
    case ControlType::keepalive:
      return "keepalive";
    case ControlType::volume_command:
      return "volume_command";
    case ControlType::node_command:
      return "node_command";
    case ControlType::command_answer:
      return "command_answer";
    case ControlType::list_volumes:
      return "list_volumes";
    case ControlType::volume_list:
      return "volume_list";
    case ControlType::list_nodes:
      return "list_nodes";
    case ControlType::node_list:
      return "node_list";
    case ControlType::volume_status_request:
      return "volume_status_request";
    case ControlType::volume_status:
      return "volume_status";
    case ControlType::heartbeat:
      return "heartbeat";
    case ControlType::heartbeat_answer:
      return "heartbeat_answer";
    case ControlType::volume_order:
      return "volume_order";
    case ControlType::volume_order_answer:
      return "volume_order_answer";
    case ControlType::copy_read:
      return "copy_read";
    case ControlType::copy_read_answer:
      return "copy_read_answer";
  }
  return "unknown_control_message";
}

std::string_view to_string(AccessMode mode) noexcept {
  switch (mode) {
    case AccessMode::read_write:
      return "read_write";
    case AccessMode::read_only:
      return "read_only";
  }
  return "unknown_access_mode";
}

std::string_view to_string(WritePolicy policy) noexcept {
  switch (policy) {
    case WritePolicy::write_through:
      return "write_through";
    case WritePolicy::write_back:
      return "write_back";
  }
  return "unknown_write_policy";
}

}  // namespace sluice::protocol
