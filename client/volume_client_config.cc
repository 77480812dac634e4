#include "client/volume_client_config.h"

#include <algorithm>
#include <array>
#include <string>

#include <unistd.h>

#include "protocol/limits.h"

namespace sluice::client {
namespace {

/// Operations in flight that even a shallow queue may use: a long request is split into many.
constexpr std::uint32_t kMinOperations = 32;
constexpr std::uint32_t kMaxQueueDepth = 4096;
constexpr std::size_t kMinBounceBytes = std::size_t{2} << 20U;

/// Keepalives, asked and answered, on top of what requests and responses need.
constexpr std::uint16_t kKeepaliveCredits = 8;
constexpr std::uint32_t kSignalInterval = 16;
/// What a channel adds to its queues for credit messages.
constexpr std::uint32_t kChannelReserve = 2;
/// Requests on one path; more paths carry more.
constexpr std::uint32_t kMaxPathDepth = 128;

tl::unexpected<Error> bad(std::string message) {
  return fail(StatusCode::invalid_argument, std::move(message));
}

std::string host_name() {
  std::array<char, protocol::kMaxClientIdLength + 1> name{};
  if (gethostname(name.data(), name.size() - 1) != 0 || name.front() == '\0') return "client";
  return name.data();
}

Status check_times(const BlockClientConfig& config) {
  struct Named {
    const char* name;
    Duration value;
  };
  const std::array<Named, 5> times{{{"loss_deadline", config.loss_deadline},
                                    {"open_timeout", config.open_timeout},
                                    {"close_timeout", config.close_timeout},
                                    {"io_timeout", config.io_timeout},
                                    {"keepalive_interval", config.keepalive_interval}}};
  for (const Named& time : times) {
    if (time.value < std::chrono::milliseconds(1)) {
      return bad(std::string(time.name) + " must be at least 1 ms");
    }
  }
  if (config.keepalive_misses == 0) return bad("keepalive_misses must be at least 1");
  return {};
}

Status check_sizes(const BlockClientConfig& config) {
  if (config.queue_depth == 0 || config.queue_depth > kMaxQueueDepth) {
    return bad("queue_depth must lie between 1 and " + std::to_string(kMaxQueueDepth) + ", not " +
               std::to_string(config.queue_depth));
  }
  if (config.bounce_bytes < kMinBounceBytes) {
    return bad("bounce_bytes must be at least " + std::to_string(kMinBounceBytes) + ", not " +
               std::to_string(config.bounce_bytes));
  }
  return {};
}

}  // namespace

Result<VolumeClientConfig> make_volume_client_config(const BlockClientConfig& config) {
  if (config.masters.empty()) return bad("no master is named: give the address of at least one");
  const std::string client = config.client.empty() ? host_name() : config.client;
  const auto client_id = protocol::ClientId::from(client);
  if (!client_id) {
    return bad("the client's name \"" + client + "\" must have at most " +
               std::to_string(protocol::kMaxClientIdLength) + " printable characters, without spaces");
  }
  const auto volume = protocol::VolumeName::from(config.volume);
  if (!volume || volume->empty()) {
    return bad("the volume's name \"" + config.volume + "\" must have 1 to " +
               std::to_string(protocol::kMaxVolumeNameLength) + " printable characters, without spaces");
  }
  if (auto status = check_times(config); !status) return tl::unexpected(status.error());
  if (auto status = check_sizes(config); !status) return tl::unexpected(status.error());

  VolumeClientConfig checked;
  checked.masters = config.masters;
  checked.queue_depth = config.queue_depth;
  checked.bounce_bytes = config.bounce_bytes;
  checked.control_keepalive = {config.keepalive_interval, config.keepalive_misses};
  protocol::ClientConfig& session = checked.session;
  session.client = *client_id;
  session.volume = *volume;
  session.mode = config.read_only ? protocol::AccessMode::read_only : protocol::AccessMode::read_write;
  session.steal = config.steal;
  session.max_outstanding = std::max(config.queue_depth, kMinOperations);
  session.path_depth = static_cast<std::uint16_t>(std::min(kMaxPathDepth, session.max_outstanding));
  session.on_loss = config.on_loss == LossPolicy::fail ? protocol::OnLoss::fail : protocol::OnLoss::queue;
  session.loss_deadline = config.loss_deadline;
  session.io_timeout = config.io_timeout;
  session.keepalive_interval = config.keepalive_interval;
  session.keepalive_misses = config.keepalive_misses;
  session.ask_master_after = config.keepalive_interval * config.keepalive_misses;
  session.open_timeout = config.open_timeout;
  session.close_timeout = config.close_timeout;
  return checked;
}

transport::ChannelConfig path_channel_config(std::uint16_t depth, std::uint32_t max_queue_depth) noexcept {
  transport::ChannelConfig config;
  config.max_receive_bytes = kLongestPathMessage;
  config.max_send_head_bytes = protocol::kIoRequestSize;
  config.receive_credits = static_cast<std::uint16_t>(depth + kKeepaliveCredits);
  // A request that was answered stays in the send queue until a signalled one after it has completed, and
  // its completion may come after the answer: so there is room for as many answered ones as unanswered.
  config.send_depth = std::min(std::uint32_t{4} * depth + kKeepaliveCredits + 2 * kSignalInterval,
                               max_queue_depth - kChannelReserve);
  config.signal_interval = std::min(kSignalInterval, config.send_depth / 2);
  config.max_inline_bytes = protocol::kIoRequestSize;
  return config;
}

std::uint32_t completion_queue_depth(const VolumeClientConfig& config,
                                     std::uint32_t max_queue_depth) noexcept {
  // What an endpoint takes beyond its channel's numbers: credit messages in both directions, and the drain.
  constexpr std::uint32_t kExtra = 8;
  // Control connections: two, and as many that are being replaced.
  constexpr std::uint32_t kControl = 4 * 64;
  const transport::ChannelConfig path = path_channel_config(config.session.path_depth, max_queue_depth);
  const std::uint32_t per_path = path.send_depth + path.receive_credits + kExtra;
  return static_cast<std::uint32_t>(protocol::kMaxPaths) * per_path + kControl;
}

}  // namespace sluice::client
