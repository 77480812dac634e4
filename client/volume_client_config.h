#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "client/block_client.h"
#include "protocol/client_config.h"
#include "runtime/control_link.h"
#include "transport/channel.h"

namespace sluice::client {

/// What the client's core works with, checked.
struct VolumeClientConfig {
  protocol::ClientConfig session;
  std::vector<transport::Address> masters;  ///< at least one
  protocol::Backoff redial{std::chrono::milliseconds(50), std::chrono::seconds(2)};
  runtime::KeepaliveConfig control_keepalive;
  std::uint32_t queue_depth = 128;  ///< requests, which may be split into several operations
  std::size_t bounce_bytes = std::size_t{16} << 20U;  ///< for data in memory that isn't registered
};

/// Errors: invalid_argument, naming the field and what was expected.
Result<VolumeClientConfig> make_volume_client_config(const BlockClientConfig& config);

/// The longest message that a node sends on a path, bytes: a response is 32, a keepalive 33.
inline constexpr std::size_t kLongestPathMessage = 128;

/// The channel of a path: `depth` requests of which each may take a WRITE and a SEND, and keepalives. On a
/// device with shorter queues than that (`max_queue_depth`), requests wait for room (PathLink).
transport::ChannelConfig path_channel_config(std::uint16_t depth, std::uint32_t max_queue_depth) noexcept;

/// What a rail's completion queue must have room for, so that every connection of one client fits it.
std::uint32_t completion_queue_depth(const VolumeClientConfig& config,
                                     std::uint32_t max_queue_depth) noexcept;

}  // namespace sluice::client
