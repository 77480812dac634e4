#include "tests/unit/client/small_server.h"

#include <utility>
#include <vector>

#include "protocol/base/check.h"
#include "transport/ofi/ofi_provider.h"

namespace sluice::client::test {
namespace {

constexpr VolumeId kVolume{1};
const transport::Address kAnyPort{"127.0.0.1", 0};

std::unique_ptr<transport::Provider> open_loopback() {
  transport::TransportConfig config;
  config.local_host = kAnyPort.host;
  auto provider = transport::ofi::open_ofi_provider(config);
  check(provider.has_value(), "libfabric works on the loopback");
  return std::move(*provider);
}

}  // namespace

SmallServer::SmallServer(std::uint64_t size_bytes) {
  protocol::VolumeRecord volume;
  volume.id = kVolume;
  volume.name = *protocol::VolumeName::from("db");
  volume.size = ByteCount(size_bytes);
  volume.block_size = 4096;
  volume.node = SmallNode::kId;
  store_.contents().volumes[kVolume] = volume;
  disk_.bytes.resize(size_bytes);
  auto loop = runtime::EventLoop::create({.mode = transport::PollingMode::event, .spin = {}});
  check(loop.has_value(), "there is an event loop");
  loop_ = std::move(*loop);
  master_ = std::make_unique<SmallMaster>(open_loopback(), kAnyPort, store_);
  check(master_->service.take_over().has_value(), "the master takes over");
  for (const int fd : master_->reactor().wait_fds())
    check(loop_->watch(fd).has_value(), "a descriptor is watched");
  follow_orders();
  thread_ = std::thread([this] {
    while (!stop_)
      loop_->run_once(*this, std::chrono::milliseconds(10));
  });
}

SmallServer::~SmallServer() {
  stop_ = true;
  thread_.join();
}

bool SmallServer::turn() {
  follow_orders();
  const bool any = master_->turn();
  return (node_ && node_->turn()) || any;
}

bool SmallServer::arm() {
  return master_->reactor().arm() && (!node_ || node_->reactor().arm());
}

void SmallServer::follow_orders() {
  const std::uint64_t wanted = wanted_boot_;
  if (wanted == boot_) return;
  boot_ = wanted;
  node_.reset();
  master_->service.on_node_lost(SmallNode::kId);
  if (wanted != 0) boot_node(wanted);
}

void SmallServer::boot_node(std::uint64_t boot) {
  SmallNode::Config config;
  config.volume = kVolume;
  config.slots.push_back({64 * 1024, 16});
  config.slots.push_back({1024 * 1024, 4});
  std::vector<std::unique_ptr<transport::Provider>> providers;
  for (int path = 0; path < 2; ++path) {
    config.addresses.push_back(kAnyPort);
    providers.push_back(open_loopback());
  }
  node_ = std::make_unique<SmallNode>(
      std::move(providers), clock_, config, protocol::BootId(boot), disk_,
      [this](const protocol::VerifyRequest& request) { return master_->service.on_verify(request); });
  for (const int fd : node_->reactor().wait_fds())
    check(loop_->watch(fd).has_value(), "a descriptor is watched");
  const auto answer = master_->service.on_hello(node_->hello());
  check(answer && answer->status == StatusCode::ok, "the node's hello is taken");
}

}  // namespace sluice::client::test
