#include "tests/sim/cluster.h"

#include <utility>

#include "protocol/base/check.h"

namespace sluice::sim {

using std::chrono::milliseconds;
using transport::sim::Random;

namespace {

constexpr std::uint16_t kMasterPort = 7470;
constexpr const char* kStrangersVolume = "stranger";
constexpr std::uint64_t kDiskBytes = 8U << 20U;

transport::sim::NetworkConfig network_config(const ClusterSetup& setup) {
  transport::sim::NetworkConfig config;
  config.flush_delay = setup.flush_delay;
  return config;
}

}  // namespace

/// Keeps the operator's console going; nobody ever kills it.
class Cluster::OperatorProcess final : public Process {
 public:
  OperatorProcess(Environment& environment, const transport::TransportConfig& transport,
                  std::vector<transport::Address> masters)
      : Process(environment, "op", "operator") {
    auto provider = open_provider(transport);
    check(provider.has_value(), "the operator's host is up");
    console_ =
        std::make_unique<Operator>(environment.network.clock(), std::move(*provider), std::move(masters));
    start(*console_);
  }
  ~OperatorProcess() override {
    kill(false);
    console_.reset();
  }
  [[nodiscard]] Operator& console() noexcept { return *console_; }

 private:
  std::unique_ptr<Operator> console_;
};

ClusterSetup ClusterSetup::draw(std::uint64_t seed) {
  Random random(seed ^ 0x7365'7475'70U);
  ClusterSetup setup;
  setup.nodes = 1 + random.below(3);
  setup.clients = 1 + random.below(4);
  setup.paths = std::array<std::size_t, 4>{1, 2, 2, 4}[random.below(4)];
  setup.reactors = 1 + random.below(2);
  setup.window_size = std::array<std::uint32_t, 4>{2, 8, 1024, 1024}[random.below(4)];
  setup.path_depth = std::array<std::uint16_t, 3>{4, 16, 64}[random.below(3)];
  const std::size_t volumes = setup.clients > 2 ? 1 + random.below(2) : 1;
  for (std::size_t i = 0; i < volumes; ++i) {
    VolumeSetup volume;
    volume.name = "vol" + std::to_string(i);
    volume.block_size = random.below(3) == 0 ? 512 : 4096;
    volume.blocks = 16 + random.below(48);
    if (random.below(3) == 0) volume.policy = protocol::WritePolicy::write_back;
    setup.volumes.push_back(volume);
  }
  setup.workload.depth = static_cast<std::uint32_t>(1 + random.below(12));
  setup.workload.hot_blocks = static_cast<std::uint32_t>(2 + random.below(12));
  setup.workload.longest_blocks = static_cast<std::uint32_t>(1 + random.below(6));
  setup.workload.read_percent = static_cast<std::uint32_t>(10 + random.below(60));
  setup.workload.longest_pause = milliseconds(1 + random.below(20));
  setup.long_path = std::array<Duration, 4>{std::chrono::microseconds(4), std::chrono::microseconds(4),
                                            std::chrono::microseconds(200), milliseconds(1)}[random.below(4)];
  setup.flush_delay = random.below(2) == 0 ? std::chrono::microseconds(2) : milliseconds(100);
  setup.fails_on_loss = random.below(4) == 0;
  setup.has_stranger = random.below(4) == 0;
  setup.readers = setup.clients > 1 && random.below(5) == 0 ? 1 : 0;
  return setup;
}

std::string ClusterSetup::describe() const {
  std::string text = std::to_string(nodes) + " nodes, " + std::to_string(clients) + " clients, " +
                     std::to_string(paths) + " paths, " + std::to_string(reactors) + " reactors, W " +
                     std::to_string(window_size) + ", path depth " + std::to_string(path_depth) +
                     ", queue depth " + std::to_string(workload.depth);
  if (long_path > std::chrono::microseconds(10)) text += ", a long path";
  if (flush_delay > milliseconds(1)) text += ", slow flushes";
  if (has_stranger) text += ", a stranger";
  for (const VolumeSetup& volume : volumes)
    text += ", " + volume.name + " of " + std::to_string(volume.blocks) + " blocks of " +
            std::to_string(volume.block_size) + " " + std::string(to_string(volume.policy));
  return text;
}

Cluster::Cluster(std::uint64_t seed, const ClusterSetup& setup, transport::LogSink log)
    : setup_(setup),
      seeds_(seed),
      network_(seeds_.next(), network_config(setup)),
      scheduler_(network_, seeds_.next()),
      store_(seeds_.next(), history_),
      environment_{network_, scheduler_, std::move(log)} {
  for (std::size_t i = 0; i < kMasters; ++i)
    network_.add_host(master_host(i), {"10.0.0." + std::to_string(i + 1)});
  network_.add_host("op", {"10.3.0.1"});
  network_.add_host("x", {"10.4.0.1"});
  const auto addresses = [&](auto address_of, std::size_t index) {
    std::vector<std::string> all;
    for (std::size_t path = 0; path < setup_.paths; ++path)
      all.push_back(address_of(index, path));
    return all;
  };
  for (std::size_t i = 0; i < setup_.nodes; ++i) {
    network_.add_host(node_host(i), addresses(node_address, i));
    disks_.push_back(std::make_unique<SimDisk>(network_, draw_seed(), "disk of " + node_host(i),
                                               ByteCount(kDiskBytes), history_));
  }
  for (std::size_t i = 0; i < setup_.clients; ++i)
    network_.add_host(client_host(i), addresses(client_address, i));
  // Of several paths the last is the long way round.
  for (std::size_t node = 0; node < setup_.nodes && setup_.paths > 1; ++node) {
    for (std::size_t client = 0; client < setup_.clients; ++client) {
      const std::string one = node_address(node, setup_.paths - 1);
      const std::string other = client_address(client, setup_.paths - 1);
      network_.set_path(one, other, setup_.long_path, setup_.long_path);
      network_.set_path(other, one, setup_.long_path, setup_.long_path);
    }
  }
  network_.set_write_sink([this](std::span<const std::byte> written) {
    for (const auto& each : clients_) {
      if (each != nullptr) each->workload().on_device_write(written);
    }
    for (const auto& each : nodes_) {
      const NodeProcess* const node = live(each);
      if (node != nullptr && !node->may_be_written(written))
        history_.violate("R4", "a device wrote to slots of " + node->name() + " that no path has any more");
    }
  });
  masters_.resize(kMasters);
  nodes_.resize(setup_.nodes);
  clients_.resize(setup_.clients);
  operator_process_ = std::make_unique<OperatorProcess>(environment_, transport(), master_addresses());
  operator_ = &operator_process_->console();
}

Cluster::~Cluster() {
  operator_process_.reset();
  stranger_.reset();
  clients_.clear();
  nodes_.clear();
  masters_.clear();
  graveyard_.clear();
}

std::string Cluster::node_address(std::size_t index, std::size_t path) {
  return "10.1." + std::to_string(path) + "." + std::to_string(index + 1);
}

std::string Cluster::client_address(std::size_t index, std::size_t path) {
  return "10.2." + std::to_string(path) + "." + std::to_string(index + 1);
}

std::vector<transport::Address> Cluster::master_addresses() const {
  std::vector<transport::Address> addresses;
  for (std::size_t i = 0; i < kMasters; ++i)
    addresses.push_back({"10.0.0." + std::to_string(i + 1), kMasterPort});
  return addresses;
}

/// Impatient, so that little virtual time passes before anybody acts.
transport::TransportConfig Cluster::transport() const {
  transport::TransportConfig config;
  config.connect_timeout = milliseconds(300);
  config.drain_timeout = milliseconds(150);
  config.ack_timeout_exponent = 10;  // 4 ms
  config.retry_count = 5;
  config.rnr_retry_count = 3;
  return config;
}

// ---- Time

bool Cluster::step() {
  const bool happened = network_.step();
  graveyard_.clear();
  return happened;
}

bool Cluster::run_until(const std::function<bool()>& done, Duration limit) {
  const Instant deadline = now() + limit;
  while (!done()) {
    const auto next = network_.next_event_time();
    if (history_.violation() || !next || *next > deadline) return false;
    step();
  }
  return true;
}

// ---- Processes

void Cluster::start_master(std::size_t index) {
  if (master(index) != nullptr || !network_.is_up(master_host(index))) return;
  bury(masters_[index]);
  masters_[index] = std::make_unique<MasterProcess>(environment_, master_host(index), store_,
                                                    master_addresses().at(index), transport());
  if (masters_[index]->has_failed_to_start()) start_again([this, index] { start_master(index); });
}

void Cluster::start_node(std::size_t index) {
  if (node(index) != nullptr || !network_.is_up(node_host(index))) return;
  bury(nodes_[index]);
  NodeSetup node;
  node.id = index + 1;
  node.masters = master_addresses();
  node.transport = transport();
  node.reactors = setup_.reactors;
  node.window_size = setup_.window_size;
  node.path_depth = setup_.path_depth;
  node.seed = draw_seed();
  for (std::size_t path = 0; path < setup_.paths; ++path)
    node.addresses.push_back(node_address(index, path));
  nodes_[index] = std::make_unique<NodeProcess>(environment_, node_host(index), *disks_[index], node);
  if (nodes_[index]->has_failed_to_start()) start_again([this, index] { start_node(index); });
}

/// As whatever supervises daemons does.
void Cluster::start_again(std::function<void()> start) {
  network_.at(now() + milliseconds(100), std::move(start));
}

void Cluster::start_client(std::size_t index, bool steal) {
  if (client(index) != nullptr) return;
  bury(clients_[index]);
  ClientSetup client;
  client.client_id = setup_.one_client_id ? "c" : client_host(index);
  client.volume = setup_.volumes[setup_.volume_of(index)].name;
  client.steal = steal;
  client.read_only = index >= setup_.clients - setup_.readers;
  client.fails_on_loss = setup_.fails_on_loss && index == 0;
  client.masters = master_addresses();
  client.transport = transport();
  client.workload = setup_.workload;
  client.seed = draw_seed();
  client.registers_memory = client.seed % 2 == 0;
  for (std::size_t path = 0; path < setup_.paths; ++path)
    client.local_addresses.push_back(client_address(index, path));
  clients_[index] = std::make_unique<ClientProcess>(environment_, client_host(index), history_, client);
}

void Cluster::lose_node_power(std::size_t index) {
  const std::string host = node_host(index);
  if (!network_.is_up(host)) return;
  network_.crash_host(host);
  if (NodeProcess* const process = node(index)) process->kill(true);
  bury(nodes_[index]);
  disks_[index]->lose_power();
}

void Cluster::lose_master_power(std::size_t index) {
  if (!network_.is_up(master_host(index))) return;
  network_.crash_host(master_host(index));
  if (MasterProcess* const process = master(index)) process->kill(true);
  bury(masters_[index]);
}

MasterProcess* Cluster::master_in_charge() {
  for (std::size_t i = 0; i < kMasters; ++i) {
    if (master(i) != nullptr && masters_[i]->is_in_charge() &&
        masters_[i]->master().manager_version() == store_.contents().manager_version)
      return masters_[i].get();
  }
  for (std::size_t i = 0; i < kMasters; ++i) {
    if (MasterProcess* const any = master(i)) return any;
  }
  return nullptr;
}

std::optional<std::size_t> Cluster::home_of(std::size_t client) const {
  for (const auto& [id, record] : store_.contents().volumes) {
    if (record.name.view() == setup_.volumes[setup_.volume_of(client)].name)
      return static_cast<std::size_t>(record.node.value() - 1);
  }
  return std::nullopt;
}

void Cluster::take_marks(const Process& process) {
  for (const auto& [name, count] : process.marks())
    marks_[name] += count;
}

std::map<std::string, std::uint64_t> Cluster::marks() {
  std::map<std::string, std::uint64_t> all = marks_;
  const auto add = [&](const Process* process) {
    if (process == nullptr) return;
    for (const auto& [name, count] : process->marks())
      all[name] += count;
  };
  for (const auto& each : masters_)
    add(each.get());
  for (const auto& each : nodes_)
    add(each.get());
  for (const auto& each : clients_)
    add(each.get());
  add(stranger_.get());
  return all;
}

void Cluster::make_volume(const VolumeSetup& volume) {
  protocol::VolumeCommand command;
  command.verb = protocol::VolumeVerb::create;
  command.name = *protocol::VolumeName::from(volume.name);
  command.size = ByteCount(volume.blocks * volume.block_size);
  command.block_size = volume.block_size;
  command.policy = volume.policy;
  operator_->ask(command, std::chrono::hours(1));
}

bool Cluster::make_volumes() {
  for (const VolumeSetup& volume : setup_.volumes)
    make_volume(volume);
  if (setup_.has_stranger) make_volume({kStrangersVolume, 4, 4096, protocol::WritePolicy::write_through});
  if (!run_until([this] { return operator_->is_idle(); }, std::chrono::seconds(30))) return false;
  for (const auto& [id, record] : store_.contents().volumes) {
    if (record.name.view() == kStrangersVolume) history_.ignore(id);
  }
  return store_.contents().volumes.size() == setup_.volumes.size() + (setup_.has_stranger ? 1 : 0);
}

void Cluster::start_stranger() {
  if (!setup_.has_stranger || stranger() != nullptr) return;
  stranger_ = std::make_unique<Stranger>(
      environment_, "x", history_,
      StrangerSetup{kStrangersVolume, "10.4.0.1", master_addresses(), transport(), draw_seed()});
}

}  // namespace sluice::sim
