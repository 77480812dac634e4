#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "storage_node/agent.h"
#include "storage_node/node_reactor.h"

namespace sluice::storage_node {

struct NodeCoreConfig {
  std::uint16_t reactors = 1;
  std::vector<transport::Address> listen;     ///< reactor i listens at each one's port + i
  std::vector<transport::Address> advertise;  ///< how clients reach `listen`, if it isn't by these addresses
  std::vector<transport::Address> masters;
  NodeReactorConfig reactor;  ///< of each one, but for index, addresses, and memory.limit, which they share
};

/// Where a node gets what it runs on, so that a simulation can supply its own.
struct NodeCoreParts {
  /// `local_host`: as in TransportConfig.
  std::function<Result<std::unique_ptr<transport::Provider>>(const std::string& local_host)> open_provider;
  /// For reactor `index`.
  std::function<Result<std::unique_ptr<Backend>>(std::uint16_t index)> open_backend;
  const Clock& clock;
  runtime::RandomSource& random;  ///< any thread
  transport::LogSink log;         ///< any thread
};

/// A storage node: its agent and its reactors, connected by their mailboxes. Who turns them, and on how many
/// threads, is its owner's business: turn() is for one that does it all in one.
class NodeCore {
 public:
  /// Listens. Errors: those of the parts, naming what to do.
  static Result<std::unique_ptr<NodeCore>> create(const NodeCoreConfig& config, const NodeIdentity& identity,
                                                  const NodeCoreParts& parts);

  [[nodiscard]] Agent& agent() noexcept { return *agent_; }
  [[nodiscard]] const std::vector<std::unique_ptr<NodeReactor>>& reactors() const noexcept {
    return reactors_;
  }
  /// Where the first reactor listens.
  [[nodiscard]] std::vector<transport::Address> addresses() const { return reactors_.front()->addresses(); }

  bool turn();

  /// Asks every reactor to end. Any thread.
  void shut_down();
  [[nodiscard]] bool is_shut_down() const noexcept;

 private:
  NodeCore() = default;

  AgentMailbox mailbox_;
  std::vector<std::unique_ptr<NodeReactor>> reactors_;
  std::unique_ptr<Agent> agent_;
};

}  // namespace sluice::storage_node
