#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "storage_node/node_core.h"
#include "tests/sim/disk.h"
#include "tests/sim/process.h"

namespace sluice::sim {

struct NodeSetup {
  std::uint64_t id = 1;
  std::vector<std::string> addresses;  ///< one a path
  std::vector<transport::Address> masters;
  transport::TransportConfig transport;
  std::size_t reactors = 1;
  std::uint32_t window_size = 1024;
  std::uint16_t path_depth = 32;
  std::uint64_t seed = 0;
};

/// A storage node's process, all of its threads turned in one.
class NodeProcess final : public Process, private runtime::Turning {
 public:
  NodeProcess(Environment& environment, std::string host, SimDisk& disk, const NodeSetup& setup);
  ~NodeProcess() override;

  /// Nobody uses it: no session, no path, no memory on loan.
  [[nodiscard]] bool is_idle() const;
  /// R4: whether a peer's device may write there.
  [[nodiscard]] bool may_be_written(std::span<const std::byte> memory) const;
  [[nodiscard]] std::string describe() const;
  [[nodiscard]] std::map<std::string, std::uint64_t> marks() const override;

 private:
  bool turn() override;
  bool arm() override;
  [[nodiscard]] Duration longest_sleep() const override;
  void on_killed(bool with_the_power) override;

  SimDisk& disk_;
  SimRandomSource random_;
  std::vector<storage_node::Backend*> backends_;
  std::unique_ptr<storage_node::NodeCore> core_;
};

}  // namespace sluice::sim
