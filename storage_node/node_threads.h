#pragma once

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "runtime/event_loop.h"
#include "storage_node/node_core.h"

namespace sluice::storage_node {

/// Lets a node turn: a thread for each reactor, and one for the agent. Goes before the node.
class NodeThreads {
 public:
  /// `cpus`: where each reactor's thread is to stay; empty: anywhere. Errors: system_error.
  static Result<std::unique_ptr<NodeThreads>> start(NodeCore& node, const transport::PollingConfig& polling,
                                                    const std::vector<int>& cpus);

  NodeThreads(const NodeThreads&) = delete;
  NodeThreads& operator=(const NodeThreads&) = delete;
  ~NodeThreads() { stop(); }

  /// Ends the node in order, and waits for it.
  void stop();

 private:
  explicit NodeThreads(NodeCore& node) : node_(node) {}
  Status start_reactor(NodeReactor& reactor, const transport::PollingConfig& polling, const int* cpu);
  Status start_agent();

  NodeCore& node_;
  std::vector<std::jthread> reactors_;
  std::jthread agent_;
};

}  // namespace sluice::storage_node
