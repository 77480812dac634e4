#include "storage_node/node_threads.h"

#include <utility>

#include <pthread.h>
#include <sched.h>

namespace sluice::storage_node {
namespace {

constexpr Duration kLongestSleep = std::chrono::seconds(1);

Result<std::unique_ptr<runtime::EventLoop>> make_loop(const transport::PollingConfig& polling,
                                                      const std::vector<int>& fds) {
  auto loop = runtime::EventLoop::create(polling);
  if (!loop) return loop;
  for (const int fd : fds) {
    if (const Status watched = (*loop)->watch(fd); !watched) return tl::unexpected(watched.error());
  }
  return loop;
}

Status pin(std::jthread& thread, int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(cpu), &set);
  const int error = pthread_setaffinity_np(thread.native_handle(), sizeof set, &set);
  if (error != 0) return fail_errno(error, "keep a reactor on processor " + std::to_string(cpu) + " (cpus)");
  return {};
}

}  // namespace

Result<std::unique_ptr<NodeThreads>> NodeThreads::start(NodeCore& node,
                                                        const transport::PollingConfig& polling,
                                                        const std::vector<int>& cpus) {
  std::unique_ptr<NodeThreads> threads(new NodeThreads(node));
  for (std::size_t i = 0; i < node.reactors().size(); ++i) {
    const int* const cpu = cpus.empty() ? nullptr : &cpus[i];
    if (const Status started = threads->start_reactor(*node.reactors()[i], polling, cpu); !started) {
      return tl::unexpected(started.error());
    }
  }
  if (const Status started = threads->start_agent(); !started) return tl::unexpected(started.error());
  return threads;
}

Status NodeThreads::start_reactor(NodeReactor& reactor, const transport::PollingConfig& polling,
                                  const int* cpu) {
  auto loop = make_loop(polling, reactor.wait_fds());
  if (!loop) return tl::unexpected(loop.error());
  reactors_.emplace_back([&reactor, loop = std::move(*loop)] {
    while (!reactor.is_shut_down())
      loop->run_once(reactor, kLongestSleep);
  });
  return cpu == nullptr ? Status() : pin(reactors_.back(), *cpu);
}

/// The agent has little to do: it never spins.
Status NodeThreads::start_agent() {
  auto loop = make_loop({.mode = transport::PollingMode::event, .spin = {}}, node_.agent().wait_fds());
  if (!loop) return tl::unexpected(loop.error());
  agent_ = std::jthread([&agent = node_.agent(), loop = std::move(*loop)](const std::stop_token& stop) {
    while (!stop.stop_requested())
      loop->run_once(agent, kLongestSleep);
  });
  return {};
}

void NodeThreads::stop() {
  node_.shut_down();
  reactors_.clear();  // joins each
  agent_ = {};
}

}  // namespace sluice::storage_node
