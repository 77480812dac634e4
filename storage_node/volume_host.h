#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "protocol/control_messages.h"
#include "protocol/server_actions.h"
#include "runtime/random.h"
#include "runtime/reactor.h"
#include "storage_node/io_memory.h"
#include "storage_node/io_task.h"
#include "storage_node/path.h"
#include "transport/transport_config.h"

namespace sluice::storage_node {

/// Who this node is.
struct NodeIdentity {
  protocol::NodeId node;
  protocol::BootId boot;
};

/// What every session is given at most, and for how long it may be opening.
struct SessionConfig {
  std::uint32_t window_size = protocol::kDefaultWindowSize;
  std::uint16_t max_paths = protocol::kMaxPaths;
  std::uint16_t path_depth = protocol::kDefaultPathDepth;
  Duration open_timeout = std::chrono::seconds(30);
  PathConfig path;
};

/// What a volume asks of the reactor that it lives on, for its control flow.
class VolumeHost {
 public:
  VolumeHost() = default;
  VolumeHost(const VolumeHost&) = delete;
  VolumeHost& operator=(const VolumeHost&) = delete;
  virtual ~VolumeHost() = default;

  /// Answers the request that `token` names, if whoever asked is still there.
  virtual void answer(protocol::Token token, const protocol::ControlMessage& message) = 0;
  /// The connection request that `token` names.
  virtual runtime::Incoming take_incoming(protocol::Token token) = 0;
  virtual void ask_master(VolumeId volume, protocol::RequestId id,
                          const protocol::VerifyRequest& request) = 0;
  /// The volume's fence, as it is reported to masters.
  virtual void on_fence(VolumeId volume, Gvn fence) = 0;
  virtual void log(transport::LogLevel level, const std::string& line) = 0;
  /// One that a misbehaving peer can cause again and again: lines are left out, and counted, if there are
  /// many.
  virtual void log_refusal(const std::string& line) = 0;
};

/// What a reactor's volumes share.
struct VolumeServices {
  VolumeHost& host;
  runtime::Reactor& reactor;
  IoMemory& memory;
  BufferQueue& buffers;
  runtime::RandomSource& random;
  protocol::ServerActions& actions;  ///< for one event at a time
  bool& has_backlog;                 ///< set when an answer finds no room: send_backlog() is to be called
  const NodeIdentity& identity;
  const SessionConfig& session;
};

}  // namespace sluice::storage_node
