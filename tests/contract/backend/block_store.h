#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "storage_node/backends/node_storage.h"
#include "tests/contract/backend/mounts.h"
#include "tests/contract/backend/store.h"

namespace sluice::storage_node::contract {

/// Four blank devices for each test: the ones that SLUICE_TEST_DEVICES names (their content is lost), else
/// loop devices.
class TestDevices {
 public:
  static constexpr std::size_t kCount = 4;
  static constexpr std::uint64_t kBytes = std::uint64_t{17} << 20U;

  /// Null: there are none on this machine.
  static std::unique_ptr<TestDevices> make();
  [[nodiscard]] const std::vector<std::string>& paths() const noexcept { return paths_; }

 private:
  TestDevices() = default;
  std::vector<std::unique_ptr<LoopDevice>> loops_;
  std::vector<std::string> paths_;
};

/// Zeroes where superblocks may be. What lies behind them stays, so that tests show that new volumes are
/// zeroed.
void blank(const std::string& device);

class BlockStore final : public Store {
 public:
  BlockStore();

  using Store::open;
  std::unique_ptr<Backend> open(std::size_t reactor, std::size_t reactors) override;
  [[nodiscard]] bool is_durable() const noexcept override { return true; }
  [[nodiscard]] std::size_t volume_count() const noexcept override { return TestDevices::kCount; }
  [[nodiscard]] ByteCount volume_size() const noexcept override {
    return ByteCount(std::uint64_t{16} << 20U);
  }
  [[nodiscard]] std::uint32_t smallest_block() const noexcept override { return 512; }

  /// With `wipe`, to be opened next.
  void set_wipe(std::vector<std::string> wipe) { wipe_ = std::move(wipe); }
  void set_devices(std::vector<std::string> devices) { chosen_ = std::move(devices); }
  /// What opening gives, without a check.
  Result<std::unique_ptr<Backend>> try_open(std::size_t reactor, std::size_t reactors);

  /// Lets the data directory go, as if the node had ended. The backend is gone.
  void release() { storage_.reset(); }

  [[nodiscard]] const std::vector<std::string>& devices() const noexcept { return devices_->paths(); }
  [[nodiscard]] std::string directory() const { return temporary_.path() + "/data"; }

 private:
  TemporaryDirectory temporary_;
  std::unique_ptr<TestDevices> devices_;
  std::vector<std::string> chosen_;
  std::vector<std::string> wipe_;
  std::unique_ptr<NodeStorage> storage_;
};

}  // namespace sluice::storage_node::contract
