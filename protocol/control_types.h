#pragma once

#include <cstdint>
#include <string_view>

/// The words that control messages of all kinds share.
namespace sluice::protocol {

enum class ControlType : std::uint16_t {
  open_request = 1,
  open_answer = 2,
  session_open = 3,
  session_answer = 4,
  verify_request = 5,
  verify_answer = 6,
  quiesce_request = 7,
  quiesce_answer = 8,
  hello = 9,
  hello_answer = 10,
  close_request = 11,
  close_answer = 12,
  keepalive = 13,
  volume_command = 14,
  node_command = 15,
  command_answer = 16,
  list_volumes = 17,
  volume_list = 18,
  list_nodes = 19,
  node_list = 20,
  volume_status_request = 21,
  volume_status = 22,
  heartbeat = 23,
  heartbeat_answer = 24,
  volume_order = 25,
  volume_order_answer = 26,
  copy_read = 27,
  copy_read_answer = 28,
};

enum class AccessMode : std::uint8_t {
  read_write = 1,
  read_only = 2,  ///< several read-only sessions share an era, until a writer opens
};

/// When a write is answered (P4).
enum class WritePolicy : std::uint8_t {
  write_through = 1,  ///< after stable completion
  write_back = 2,     ///< durable after flush or FUA
};

[[nodiscard]] constexpr bool is_valid(ControlType type) noexcept {
  return type >= ControlType::open_request && type <= ControlType::copy_read_answer;
}
[[nodiscard]] constexpr bool is_valid(AccessMode mode) noexcept {
  return mode == AccessMode::read_write || mode == AccessMode::read_only;
}
[[nodiscard]] constexpr bool is_valid(WritePolicy policy) noexcept {
  return policy == WritePolicy::write_through || policy == WritePolicy::write_back;
}
[[nodiscard]] std::string_view to_string(ControlType type) noexcept;
[[nodiscard]] std::string_view to_string(AccessMode mode) noexcept;
[[nodiscard]] std::string_view to_string(WritePolicy policy) noexcept;

}  // namespace sluice::protocol
