#pragma once

#include <memory>
#include <utility>

#include "client/block_client.h"
#include "client/volume_client.h"
#include "protocol/base/clock.h"
#include "protocol/base/status.h"
#include "runtime/event_loop.h"
#include "runtime/random.h"
#include "runtime/reactor.h"

namespace sluice::client {

/// The client's core on real devices, time and randomness, and its opening and closing as calls that wait.
/// One thread from prepare() on.
class ClientHost {
 public:
  /// Opens the devices. Errors: as BlockClient::open.
  static Result<std::unique_ptr<ClientHost>> create(const BlockClientConfig& config);

  /// Wait, turning `turning`: the core, or what includes it. See BlockClient.
  Status open(runtime::Turning& turning);
  Status close(runtime::Turning& turning);

  /// Turns until `is_done`, or until the time has come: then false.
  template <typename Condition>
  bool turn_until(runtime::Turning& turning, Instant deadline, const Condition& is_done) {
    while (!is_done()) {
      const Duration left = deadline - clock_.now();
      if (left <= Duration::zero()) return false;
      loop_->run_once(turning, left);
    }
    return true;
  }

  [[nodiscard]] VolumeClient& core() noexcept { return *core_; }
  [[nodiscard]] const VolumeClient& core() const noexcept { return *core_; }
  [[nodiscard]] runtime::EventLoop& loop() noexcept { return *loop_; }
  [[nodiscard]] const Clock& clock() const noexcept { return clock_; }
  [[nodiscard]] const BlockClientConfig& config() const noexcept { return config_; }

 private:
  explicit ClientHost(BlockClientConfig config) : config_(std::move(config)) {}
  Status prepare();

  BlockClientConfig config_;
  SteadyClock clock_;
  runtime::SystemRandom random_;
  runtime::Reactor reactor_;
  std::unique_ptr<runtime::EventLoop> loop_;
  std::unique_ptr<VolumeClient> core_;  ///< goes before its reactor
  bool is_closing_ = false;
};

}  // namespace sluice::client
