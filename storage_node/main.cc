// sluice-node: serves the volumes that a master places on this machine.

#include <csignal>
#include <cstdlib>
#include <iostream>

#include <poll.h>

#include "runtime/command_line.h"
#include "storage_node/node_process.h"

namespace {

using namespace std::string_literals;
using sluice::runtime::LogLevel;
using sluice::storage_node::NodeOptions;
using sluice::storage_node::NodeProcess;

/// Until somebody wants it to end.
void serve(sluice::runtime::Signals& signals, sluice::runtime::Logging& logging,
           const sluice::runtime::Invocation& invocation) {
  for (;;) {
    pollfd waiting{signals.fd(), POLLIN, 0};
    static_cast<void>(poll(&waiting, 1, -1));
    const auto signal = signals.next();
    if (!signal) continue;
    if (*signal != SIGHUP)
      return logging.log(LogLevel::info, "ending, as signal "s + std::to_string(*signal) + " asks");
    NodeOptions fresh;
    auto table = sluice::storage_node::make_option_table(fresh);
    sluice::runtime::reload_log(logging, table, fresh.log, invocation);
  }
}

}  // namespace

int main(int argc, char** argv) {
  NodeOptions options;
  auto table = sluice::storage_node::make_option_table(options);
  sluice::runtime::Invocation invocation;
  if (const auto status = sluice::runtime::configure(table, argc, argv, invocation)) return *status;

  const auto signals = sluice::runtime::Signals::catch_all();  // before there are threads
  const auto logging = sluice::runtime::Logging::open(options.log, "sluice-node");
  if (!signals || !logging) {
    std::cerr << "sluice-node: " << (signals ? logging.error() : signals.error()).describe() << "\n";
    return EXIT_FAILURE;
  }
  const auto node = NodeProcess::start(options, (*logging)->sink());
  if (!node) {
    (*logging)->log(LogLevel::error, node.error().describe());
    return EXIT_FAILURE;
  }
  serve(**signals, **logging, invocation);
  (*node)->stop();
  (*logging)->log(LogLevel::info, "ended");
  return EXIT_SUCCESS;
}
