#include "tests/sim/process.h"

#include <utility>

#include "protocol/base/check.h"

namespace sluice::sim {

Process::Process(Environment& environment, std::string host, std::string name)
    : environment_(environment), host_(std::move(host)), name_(std::move(name)) {}

Process::~Process() {
  check(!is_alive_, "a process is killed before it is destroyed");
}

Result<std::unique_ptr<transport::Provider>> Process::open_provider(
    const transport::TransportConfig& config) {
  auto provider = environment_.network.open_provider(host_, config);
  if (!provider) return provider;
  providers_.push_back(provider->get());
  environment_.network.set_ready_callback(**provider, [this] { wake(); });
  return provider;
}

void Process::fail_to_start() {
  has_failed_to_start_ = true;
  providers_.clear();
  kill(false);
}

void Process::start(runtime::Turning& turning) {
  task_ = environment_.scheduler.add(turning);
}

void Process::kill(bool with_the_power) {
  if (!is_alive_) return;
  is_alive_ = false;
  environment_.scheduler.remove(task_);
  if (!with_the_power) {
    for (transport::Provider* provider : providers_)
      environment_.network.kill(*provider);
  }
  on_killed(with_the_power);
}

void Process::pause() {
  if (!is_alive_ || is_paused_) return;
  is_paused_ = true;
  environment_.scheduler.pause(task_);
  for (transport::Provider* provider : providers_)
    environment_.network.pause(*provider);
}

void Process::resume() {
  if (!is_alive_ || !is_paused_) return;
  is_paused_ = false;
  for (transport::Provider* provider : providers_)
    environment_.network.resume(*provider);
  environment_.scheduler.resume(task_);
}

transport::LogSink Process::log_sink() const {
  return [sink = environment_.log, name = name_](transport::LogLevel level, std::string_view line) {
    if (sink) sink(level, name + ": " + std::string(line));
  };
}

}  // namespace sluice::sim
