#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "protocol/base/status.h"
#include "runtime/event_loop.h"
#include "tests/sim/scheduler.h"
#include "transport/sim/network.h"

namespace sluice::sim {

/// What processes live in.
struct Environment {
  transport::sim::Network& network;
  Scheduler& scheduler;
  transport::LogSink log;
};

/// A simulated process: one thread, which turns what the derived class made, on devices of one host. It dies
/// by kill() or by its destruction, which from then on is the same to the rest of the world.
class Process {
 public:
  Process(Environment& environment, std::string host, std::string name);
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  virtual ~Process();

  /// SIGKILL, or with the power: at once, even from within one of its own turns. The objects stay, and do
  /// nothing, until the destruction.
  void kill(bool with_the_power);
  void pause();
  void resume();

  /// What it has counted, by name; also after its death.
  [[nodiscard]] virtual std::map<std::string, std::uint64_t> marks() const { return {}; }
  /// Has it look at things that the test has changed.
  void wake_up() { wake(); }

  [[nodiscard]] bool is_alive() const noexcept { return is_alive_; }
  [[nodiscard]] bool has_failed_to_start() const noexcept { return has_failed_to_start_; }
  [[nodiscard]] bool is_paused() const noexcept { return is_paused_; }
  [[nodiscard]] const std::string& host() const noexcept { return host_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }

 protected:
  /// A device of the host, by its address. Its news wake the process.
  Result<std::unique_ptr<transport::Provider>> open_provider(const transport::TransportConfig& config);
  /// Its program ended with an error, and everything that it had made is destroyed.
  void fail_to_start();
  /// From here on it turns.
  void start(runtime::Turning& turning);
  void wake() { environment_.scheduler.wake(task_); }
  [[nodiscard]] Environment& environment() noexcept { return environment_; }
  /// What else the kernel does for a process that is killed.
  virtual void on_killed(bool /*with_the_power*/) {}
  [[nodiscard]] transport::LogSink log_sink() const;

 private:
  Environment& environment_;
  std::string host_;
  std::string name_;
  Scheduler::TaskId task_{};
  std::vector<transport::Provider*> providers_;
  bool is_alive_ = true;
  bool is_paused_ = false;
  bool has_failed_to_start_ = false;
};

}  // namespace sluice::sim
