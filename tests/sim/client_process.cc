#include "tests/sim/client_process.h"

#include <algorithm>
#include <array>
#include <utility>

#include "protocol/base/check.h"

namespace sluice::sim {

using std::chrono::milliseconds;

namespace {

client::VolumeClientConfig make_config(const ClientSetup& setup) {
  client::BlockClientConfig config;
  config.masters = setup.masters;
  config.volume = setup.volume;
  config.client = setup.client_id;
  config.read_only = setup.read_only;
  config.steal = setup.steal;
  config.on_loss = setup.fails_on_loss ? client::LossPolicy::fail : client::LossPolicy::queue;
  config.loss_deadline = milliseconds(600);
  config.queue_depth = setup.workload.depth;
  config.bounce_bytes = std::size_t{2} << 20U;
  config.open_timeout = std::chrono::hours(1);
  config.close_timeout = milliseconds(2000);
  config.io_timeout = milliseconds(400);
  config.keepalive_interval = milliseconds(100);
  auto checked = client::make_volume_client_config(config);
  check(checked.has_value(), "the simulated client's configuration is right");
  protocol::ClientConfig& session = checked->session;
  session.max_data_length = 64U << 10U;  // the longest slot of the simulated nodes
  session.control_timeout = milliseconds(200);
  session.ask_again = {milliseconds(5), milliseconds(200)};
  session.reconnect = {milliseconds(5), milliseconds(200)};
  session.ask_master_after = milliseconds(300);
  checked->redial = {milliseconds(5), milliseconds(200)};
  return *checked;
}

}  // namespace

ClientProcess::ClientProcess(Environment& environment, std::string host, History& history,
                             const ClientSetup& setup)
    : Process(environment, std::move(host), setup.client_id),
      history_(history),
      opening_(history.open(setup.client_id)),
      random_(setup.seed),
      workload_(history, opening_, setup.seed + 1, setup.workload) {
  random_.on_draw = [this](std::uint64_t drawn) { history_.note_nonce(opening_, drawn); };
  const client::VolumeClientConfig config = make_config(setup);
  for (const std::string& address : setup.local_addresses) {
    transport::TransportConfig transport = setup.transport;
    transport.local_host = address;
    auto provider = open_provider(transport);
    check(provider.has_value(), "a client's host is up");
    const std::uint32_t depth = client::completion_queue_depth(config, (*provider)->info().max_queue_depth);
    check(reactor_.add_rail(std::move(*provider), depth).has_value(), "a client's device has a queue");
  }
  auto created = client::VolumeClient::create(
      config, reactor_, environment.network.clock(), random_,
      [this](const client::ClientEvent& event) { log_sink()(event.level, event.text); });
  if (!created) {
    log_sink()(transport::LogLevel::error, created.error().describe());
    kill(false);
    return;
  }
  client_ = std::move(*created);
  if (setup.registers_memory) static_cast<void>(client_->register_memory(workload_.memory()));
  client_->open();
  start(*this);
}

ClientProcess::~ClientProcess() {
  kill(false);
  client_.reset();
}

void ClientProcess::on_killed(bool /*with_the_power*/) {
  history_.forget(opening_);
}

void ClientProcess::close() {
  workload_.stop();
  client_->close();
  wake();
}

bool ClientProcess::turn() {
  bool any = client_->turn();
  if (!is_alive()) return false;
  note_session();
  any = workload_.turn(*this, environment().network.now()) || any;
  return any;
}

void ClientProcess::note_session() {
  const protocol::ClientSession& session = client_->session();
  if (session.gvn() != noted_) {
    noted_ = session.gvn();
    history_.note_version(opening_, session.volume(), noted_);
  }
  if (session.phase() != protocol::SessionPhase::active || session.gvn() == acknowledged_) return;
  acknowledged_ = session.gvn();
  history_.acknowledge(opening_, session.volume(), acknowledged_);
  const client::VolumeInfo info = client_->info();
  workload_.start(info.volume, info.size_bytes, info.block_size, info.largest_io_bytes, info.read_only);
}

Duration ClientProcess::longest_sleep() const {
  const Duration until_next =
      workload_.next_submission() - const_cast<ClientProcess*>(this)->environment().network.now();
  return workload_.is_started() ? std::min(client_->longest_sleep(), std::max(until_next, Duration::zero()))
                                : client_->longest_sleep();
}

StatusCode ClientProcess::submit(const Request& request) {
  return client_->submit(
      {request.tag, request.op, request.fua, request.offset, request.length, request.data});
}

std::size_t ClientProcess::take(std::span<Completion> out) {
  std::array<client::Completion, 16> taken;
  const std::size_t count = client_->take(std::span(taken).first(std::min(taken.size(), out.size())));
  for (std::size_t i = 0; i < count; ++i)
    out[i] = {taken[i].tag, taken[i].status};
  return count;
}

std::map<std::string, std::uint64_t> ClientProcess::marks() const {
  std::map<std::string, std::uint64_t> marks;
  for (const auto& [status, count] : workload_.outcomes())
    marks["outcome." + std::string(to_string(status))] += count;
  return marks;
}

std::string ClientProcess::describe() const {
  const protocol::ClientSession& session = client_->session();
  return name() + "#" + std::to_string(opening_.value()) + ": " + std::string(to_string(session.phase())) +
         ", gvn " + to_string(session.gvn()) + ", " + std::to_string(workload_.outstanding()) +
         " outstanding; " + client_->describe_progress();
}

}  // namespace sluice::sim
