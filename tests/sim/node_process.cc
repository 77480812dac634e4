#include "tests/sim/node_process.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace sluice::sim {

using std::chrono::milliseconds;
using storage_node::NodeReactor;

namespace {

constexpr std::uint16_t kPort = 7480;

storage_node::NodeCoreConfig make_config(const NodeSetup& setup) {
  storage_node::NodeCoreConfig config;
  config.reactors = static_cast<std::uint16_t>(setup.reactors);
  for (const std::string& address : setup.addresses)
    config.listen.push_back({address, kPort});
  config.masters = setup.masters;
  storage_node::NodeReactorConfig& reactor = config.reactor;
  reactor.memory.limit = ByteCount(setup.reactors * storage_node::kMinIoMemory.value());
  reactor.memory.huge_pages = false;
  reactor.session.window_size = setup.window_size;
  reactor.session.path_depth = setup.path_depth;
  reactor.session.open_timeout = milliseconds(3000);
  reactor.session.path.slots.push_back({16U << 10U, 4});
  reactor.session.path.slots.push_back({64U << 10U, 2});
  reactor.session.path.silence_limit = milliseconds(1500);
  reactor.session.path.stall_limit = milliseconds(800);
  reactor.control.idle_limit = milliseconds(500);
  reactor.control.keepalive = {milliseconds(200), 3};
  return config;
}

}  // namespace

NodeProcess::NodeProcess(Environment& environment, std::string host, SimDisk& disk, const NodeSetup& setup)
    : Process(environment, host, host), disk_(disk), random_(setup.seed) {
  const storage_node::NodeIdentity identity{protocol::NodeId(setup.id), protocol::BootId(random_.next())};
  storage_node::NodeCoreParts parts{
      [this, transport = setup.transport](const std::string& local_host) {
        transport::TransportConfig config = transport;
        config.local_host = local_host;
        return open_provider(config);
      },
      [this,
       reactors = setup.reactors](std::uint16_t index) -> Result<std::unique_ptr<storage_node::Backend>> {
        auto backend = disk_.open_backend(index, reactors, [this] { wake(); });
        backends_.push_back(backend.get());
        return backend;
      },
      environment.network.clock(), random_, log_sink()};
  auto core = storage_node::NodeCore::create(make_config(setup), identity, parts);
  if (!core) {
    log_sink()(transport::LogLevel::error, core.error().describe());
    backends_.clear();
    fail_to_start();
    return;
  }
  core_ = std::move(*core);
  if (is_alive()) start(*this);
}

NodeProcess::~NodeProcess() {
  kill(false);
  core_.reset();
}

void NodeProcess::on_killed(bool /*with_the_power*/) {
  for (storage_node::Backend* backend : backends_)
    disk_.kill(*backend);
  backends_.clear();
}

bool NodeProcess::turn() {
  return core_->turn();
}

bool NodeProcess::arm() {
  bool may_sleep = core_->agent().arm();
  for (const auto& reactor : core_->reactors())
    may_sleep = reactor->arm() && may_sleep;
  return may_sleep;
}

Duration NodeProcess::longest_sleep() const {
  Duration longest = core_->agent().longest_sleep();
  for (const auto& reactor : core_->reactors())
    longest = std::min(longest, reactor->longest_sleep());
  return longest;
}

bool NodeProcess::is_idle() const {
  return std::ranges::all_of(core_->reactors(), [](const auto& reactor) {
    return reactor->memory().buffers_on_loan() == 0 && reactor->memory().staging_on_loan() == ByteCount(0);
  });
}

bool NodeProcess::may_be_written(std::span<const std::byte> memory) const {
  return std::ranges::all_of(core_->reactors(), [memory](const auto& reactor) {
    const std::span<std::byte> own = reactor->memory().all();
    const std::less<const std::byte*> before;
    const bool is_own = !before(memory.data(), own.data()) && before(memory.data(), own.data() + own.size());
    return !is_own || reactor->memory().is_on_loan_to_paths(memory);
  });
}

std::string NodeProcess::describe() const {
  std::string text = name();
  for (const auto& reactor : core_->reactors()) {
    text += ": " + std::to_string(reactor->memory().buffers_on_loan()) + " buffers and " +
            std::to_string(reactor->memory().staging_on_loan().value()) + " bytes of slots on loan";
  }
  return text;
}

std::map<std::string, std::uint64_t> NodeProcess::marks() const {
  std::map<std::string, std::uint64_t> marks;
  if (!core_) return marks;
  for (const auto& reactor : core_->reactors()) {
    const protocol::RefusalCounts refusals = reactor->refusals();
    for (std::size_t i = 0; i < protocol::kRefusalCount; ++i) {
      const auto reason = static_cast<protocol::Refusal>(i);
      if (refusals.of(reason) > 0) marks["refusal." + std::string(to_string(reason))] += refusals.of(reason);
    }
  }
  return marks;
}

}  // namespace sluice::sim
