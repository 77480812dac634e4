#pragma once

#include <memory>

#include "runtime/logging.h"
#include "runtime/random.h"
#include "runtime/signals.h"
#include "storage_node/node_threads.h"
#include "storage_node/options.h"

namespace sluice::storage_node {

/// A node as a process: its storage, its identity, its threads.
class NodeProcess {
 public:
  /// Serves from now on. Errors: everything that keeps a node from starting, with what to do.
  static Result<std::unique_ptr<NodeProcess>> start(const NodeOptions& options,
                                                    const transport::LogSink& log);

  /// Ends in order; then nothing is left to be written.
  void stop();

 private:
  NodeProcess() = default;

  Status open_storage(const NodeOptions& options, const transport::LogSink& log);
  Status take_identity();
  Status make_core(const NodeOptions& options, const transport::LogSink& log);
  [[nodiscard]] Status write_port_file(const std::string& path) const;

  SteadyClock clock_;
  runtime::SystemRandom random_;
  NodeIdentity identity_;
  std::unique_ptr<NodeStorage> storage_;
  std::unique_ptr<NodeCore> core_;
  std::unique_ptr<NodeThreads> threads_;
};

}  // namespace sluice::storage_node
