#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>

#include "master/memory_metadata_store.h"
#include "runtime/event_loop.h"
#include "tests/unit/client/small_master.h"
#include "tests/unit/client/small_node.h"

namespace sluice::client::test {

/// A master and a node with one volume, "db", in memory, on libfabric over the loopback: for what needs real
/// connections and threads. Two addresses, two paths.
class SmallServer final : private runtime::Turning {
 public:
  explicit SmallServer(std::uint64_t size_bytes);
  ~SmallServer() override;

  [[nodiscard]] transport::Address master() const { return master_->address(); }
  /// From the next turn on the node is silent and its connections are gone, or a new process has taken its
  /// place.
  void stop_node() { wanted_boot_ = 0; }
  void start_node() { wanted_boot_ = ++boots_; }

 private:
  bool turn() override;
  bool arm() override;
  [[nodiscard]] Duration longest_sleep() const override { return std::chrono::milliseconds(10); }
  void follow_orders();
  void boot_node(std::uint64_t boot);

  SteadyClock clock_;
  master::MemoryMetadataStore store_;
  SmallDisk disk_;
  std::unique_ptr<runtime::EventLoop> loop_;
  std::unique_ptr<SmallMaster> master_;
  std::unique_ptr<SmallNode> node_;
  std::uint64_t boot_ = 0;
  std::atomic<std::uint64_t> boots_ = 1;
  std::atomic<std::uint64_t> wanted_boot_ = 1;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace sluice::client::test
