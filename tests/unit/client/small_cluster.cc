#include "tests/unit/client/small_cluster.h"

#include <utility>

#include "protocol/base/check.h"

namespace sluice::client::test {
namespace {

using std::chrono::milliseconds;

const std::vector<transport::Address> kMasters{{"10.0.0.1", 7000}, {"10.0.0.2", 7000}};
const std::vector<transport::Address> kNodeAddresses{{"10.0.1.1", 7100}, {"10.0.2.1", 7100}};

std::vector<std::string> devices_of_client(std::size_t index) {
  return {"10.0.1." + std::to_string(index + 10), "10.0.2." + std::to_string(index + 10)};
}

transport::sim::NetworkConfig network_config() {
  transport::sim::NetworkConfig config;
  config.trace_payloads = false;
  return config;
}

}  // namespace

TestClient::TestClient(transport::sim::Network& network, const std::vector<std::string>& local_hosts,
                       const VolumeClientConfig& config, std::uint64_t nonce)
    : random(nonce) {
  for (const std::string& host : local_hosts) {
    transport::TransportConfig transport;
    transport.local_host = host;
    auto provider = network.open_provider(host, transport);
    check(provider.has_value(), "the client's host is there");
    const std::uint32_t depth = completion_queue_depth(config, (*provider)->info().max_queue_depth);
    check(reactor.add_rail(std::move(*provider), depth).has_value(), "a rail is added");
  }
  auto made = VolumeClient::create(config, reactor, network.clock(), random,
                                   [this](const ClientEvent& event) { events.emplace_back(event.text); });
  check(made.has_value(), "a client is made");
  core = std::move(*made);
}

std::vector<Completion> TestClient::take() {
  std::vector<Completion> taken(64);
  taken.resize(core->take(taken));
  return taken;
}

SmallCluster::SmallCluster(std::uint64_t seed) : network(seed, network_config()) {
  slots.push_back({64 * 1024, 8});
  slots.push_back({1024 * 1024, 2});
  network.add_host("master-a", {kMasters[0].host});
  network.add_host("master-b", {kMasters[1].host});
  network.add_host("node", {kNodeAddresses[0].host, kNodeAddresses[1].host});
  for (std::size_t i = 0; i < 3; ++i)
    network.add_host("client-" + std::to_string(i), devices_of_client(i));

  protocol::VolumeRecord volume;
  volume.id = kVolume;
  volume.name = *protocol::VolumeName::from("db");
  volume.size = ByteCount(kSize);
  volume.block_size = kBlock;
  volume.node = SmallNode::kId;
  store.contents().volumes[kVolume] = volume;
  disk.bytes.resize(kSize);
  for (const transport::Address& address : kMasters)
    masters.push_back(std::make_unique<SmallMaster>(open_provider(address.host), address, store));
  check(masters[0]->service.take_over().has_value(), "the first master takes over");
  start_node();
}

SmallCluster::~SmallCluster() {
  clients.clear();
  node.reset();
  masters.clear();
}

VolumeClientConfig SmallCluster::client_config(const std::string& name) {
  VolumeClientConfig config;
  config.masters = kMasters;
  config.queue_depth = 32;
  config.bounce_bytes = std::size_t{4} << 20U;
  config.session.client = *protocol::ClientId::from(name);
  config.session.volume = *protocol::VolumeName::from("db");
  config.session.max_outstanding = 32;
  config.session.path_depth = 16;
  config.session.io_timeout = milliseconds(500);
  config.session.control_timeout = milliseconds(300);
  config.session.ask_master_after = milliseconds(400);
  config.session.reconnect = {milliseconds(10), milliseconds(200)};
  config.session.keepalive_interval = milliseconds(100);
  config.session.close_timeout = std::chrono::seconds(2);
  config.control_keepalive.interval = milliseconds(100);
  return config;
}

TestClient& SmallCluster::add_client(const VolumeClientConfig& config) {
  const std::size_t index = clients.size();
  clients.push_back(
      std::make_unique<TestClient>(network, devices_of_client(index), config, 1000 * (index + 1)));
  return *clients.back();
}

TestClient& SmallCluster::open_client(const VolumeClientConfig& config) {
  TestClient& client = add_client(config);
  client.core->open();
  const bool opened = run_until([&] { return client.core->state() == ConnectionState::connected; });
  check(opened, "the volume is opened");
  return client;
}

void SmallCluster::turn_all() {
  for (const auto& client : clients)
    client->core->turn();
  if (node) node->turn();
  for (const auto& master : masters)
    master->turn();
  const Instant end = network.now() + std::chrono::microseconds(500);
  const auto next = network.next_event_time();
  if (next && *next <= end) {
    network.step();
  } else {
    network.run_until(end);
  }
}

StatusCode SmallCluster::run(TestClient& client, IoRequestArgs args) {
  IoWaiter waiter;
  args.waiter = &waiter;
  const StatusCode status = client.core->submit(args);
  if (status != StatusCode::ok) return status;
  return run_until([&] { return waiter.is_done; }) ? waiter.status : StatusCode::timed_out;
}

StatusCode SmallCluster::write(TestClient& client, std::uint64_t offset, std::span<const std::byte> data) {
  return run(client, write_args(offset, data, Durability::volume_policy));
}

StatusCode SmallCluster::read(TestClient& client, std::uint64_t offset, std::span<std::byte> into) {
  return run(client, read_args(offset, into));
}

void SmallCluster::start_node() {
  SmallNode::Config config;
  config.addresses = kNodeAddresses;
  config.volume = kVolume;
  config.slots = slots;
  std::vector<std::unique_ptr<transport::Provider>> providers;
  for (const transport::Address& address : kNodeAddresses)
    providers.push_back(open_provider(address.host));
  node =
      std::make_unique<SmallNode>(std::move(providers), network.clock(), config, protocol::BootId(++boots_),
                                  disk, [this](const protocol::VerifyRequest& request) {
                                    return masters[master_in_charge]->service.on_verify(request);
                                  });
  say_hello();
}

std::unique_ptr<transport::Provider> SmallCluster::open_provider(const std::string& host) {
  transport::TransportConfig transport;
  transport.local_host = host;
  auto provider = network.open_provider(host, transport);
  check(provider.has_value(), "the host is there");
  return std::move(*provider);
}

void SmallCluster::stop_node() {
  node.reset();
  masters[master_in_charge]->service.on_node_lost(SmallNode::kId);
}

void SmallCluster::replace_master() {
  master_in_charge = 1;
  check(masters[1]->service.take_over().has_value(), "the second master takes over");
  say_hello();
}

void SmallCluster::say_hello() {
  const auto answer = masters[master_in_charge]->service.on_hello(node->hello());
  check(answer && answer->status == StatusCode::ok, "the node's hello is taken");
}

IoRequestArgs request(std::uint64_t tag, std::uint64_t offset, std::span<const std::byte> data) {
  IoRequestArgs args = write_args(offset, data, Durability::volume_policy);
  args.tag = tag;
  return args;
}

std::vector<std::byte> pattern(std::size_t length, std::uint64_t seed) {
  std::vector<std::byte> bytes(length);
  std::uint64_t state = seed * 0x9e37'79b9'7f4a'7c15U + 1;
  for (std::byte& byte : bytes) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    byte = static_cast<std::byte>(state >> 56U);
  }
  return bytes;
}

}  // namespace sluice::client::test
