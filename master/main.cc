// sluice-master: reads its options, opens what the master works on, and runs it.

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <unistd.h>

#include "master/master.h"
#include "master/options.h"
#include "master/sqlite_metadata_store.h"
#include "protocol/base/clock.h"
#include "runtime/command_line.h"
#include "runtime/event_loop.h"
#include "runtime/logging.h"
#include "runtime/signals.h"
#include "runtime/version.h"
#include "transport/factory.h"

namespace sluice::master {
namespace {

using runtime::Invocation;
using runtime::Logging;
using runtime::LogLevel;

/// So that a service manager can tell it from a failure: starting again would depose the other master.
constexpr int kDeposedExit = 3;

/// Whole or not at all, so that who waits for it never reads half.
Status write_port_file(const std::string& path, const std::vector<transport::Address>& addresses) {
  const std::string draft = path + ".new";
  {
    std::ofstream file(draft, std::ios::trunc);
    for (const transport::Address& address : addresses)
      file << address.port << '\n';
    file.close();
    if (!file) return fail(StatusCode::system_error, "can't write the port file " + draft);
  }
  if (std::rename(draft.c_str(), path.c_str()) != 0) return fail_errno(errno, "write the port file " + path);
  return {};
}

Result<std::vector<std::unique_ptr<transport::Provider>>> open_providers(const MasterOptions& options,
                                                                         const transport::LogSink& log) {
  std::vector<std::unique_ptr<transport::Provider>> providers;
  for (const transport::Address& address : options.master.listen) {
    transport::TransportConfig config = options.transport;
    config.local_host = address.host;
    config.log = log;
    auto provider = transport::open_provider(config);
    if (!provider) return tl::unexpected(provider.error());
    providers.push_back(std::move(*provider));
  }
  return providers;
}

void on_signal(int number, Master& master, Logging& logging, const Invocation& invocation) {
  if (number != SIGHUP) return master.shut_down();
  MasterOptions fresh;
  runtime::OptionTable table = make_option_table(fresh);
  runtime::reload_log(logging, table, fresh.log, invocation);
}

/// Until it was told to stop, or is deposed.
Status serve(Master& master, runtime::EventLoop& loop, runtime::Signals& signals, Logging& logging,
             const Invocation& invocation) {
  constexpr Duration kLongestSleep = std::chrono::seconds(1);
  while (!master.is_over()) {
    loop.run_once(master, kLongestSleep);
    while (const auto number = signals.next())
      on_signal(*number, master, logging, invocation);
    if (master.fatal().code != StatusCode::ok) return tl::unexpected(master.fatal());
  }
  return {};
}

Status watch(runtime::EventLoop& loop, const Master& master, const runtime::Signals& signals) {
  for (const int fd : master.wait_fds()) {
    if (Status watched = loop.watch(fd); !watched) return watched;
  }
  return loop.watch(signals.fd());
}

Result<int> run(const MasterOptions& options, const Invocation& invocation, Logging& logging) {
  auto signals = runtime::Signals::catch_all();
  if (!signals) return tl::unexpected(signals.error());
  auto store = SqliteMetadataStore::open(options.database, options.database_timeout);
  if (!store) return tl::unexpected(store.error());
  auto providers = open_providers(options, logging.sink());
  if (!providers) return tl::unexpected(providers.error());
  auto loop = runtime::EventLoop::create(options.transport.polling);
  if (!loop) return tl::unexpected(loop.error());

  const SteadyClock clock;
  Master master(options.master_config(), **store, clock, logging.sink());
  if (Status started = master.start(std::move(*providers)); !started) return tl::unexpected(started.error());
  if (Status watched = watch(**loop, master, **signals); !watched) return tl::unexpected(watched.error());
  if (!options.port_file.empty()) {
    if (Status written = write_port_file(options.port_file, master.addresses()); !written) {
      return tl::unexpected(written.error());
    }
  }
  if (Status served = serve(master, **loop, **signals, logging, invocation); !served) {
    return tl::unexpected(served.error());
  }
  return master.is_deposed() ? kDeposedExit : EXIT_SUCCESS;
}

}  // namespace
}  // namespace sluice::master

int main(int argc, char** argv) {
  using namespace sluice;
  master::MasterOptions options;
  runtime::OptionTable table = master::make_option_table(options);
  runtime::Invocation invocation;
  if (const auto status = runtime::configure(table, argc, argv, invocation)) return *status;
  const auto logging = runtime::Logging::open(options.log, table.program().name);
  if (!logging) {
    static_cast<void>(std::fprintf(stderr, "sluice-master: %s\n", logging.error().describe().c_str()));
    return EXIT_FAILURE;
  }
  const Result<int> ended = master::run(options, invocation, **logging);
  if (!ended) {
    (*logging)->log(runtime::LogLevel::error, ended.error().describe());
    return EXIT_FAILURE;
  }
  (*logging)->log(runtime::LogLevel::info, "stopped");
  return *ended;
}
