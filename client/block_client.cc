#include "client/block_client.h"

#include <algorithm>
#include <utility>

#include "client/volume_client.h"
#include "client/volume_client_config.h"
#include "runtime/event_loop.h"
#include "runtime/random.h"
#include "runtime/reactor.h"
#include "transport/factory.h"

namespace sluice::client {
namespace {

using protocol::IoOp;

/// What closing may take beyond its three steps: draining the paths' queue pairs.
constexpr Duration kDrainTime = std::chrono::seconds(3);

bool is_fua(Durability durability) noexcept {
  return durability == Durability::stable;
}

/// One provider and completion queue for each local address, or one in all.
Status add_rails(const BlockClientConfig& config, const VolumeClientConfig& checked,
                 runtime::Reactor& reactor) {
  std::vector<std::string> hosts = config.local_hosts;
  if (hosts.empty()) hosts.push_back(config.transport.local_host);
  for (const std::string& host : hosts) {
    transport::TransportConfig transport = config.transport;
    transport.local_host = host;
    auto provider = transport::open_provider(transport);
    if (!provider) return tl::unexpected(provider.error());
    const std::uint32_t depth = completion_queue_depth(checked, (*provider)->info().max_queue_depth);
    const auto rail = reactor.add_rail(std::move(*provider), depth);
    if (!rail) return tl::unexpected(rail.error());
  }
  return {};
}

std::string_view name_of(IoOp op) noexcept {
  switch (op) {
    case IoOp::read:
      return "read";
    case IoOp::write:
      return "write";
    case IoOp::flush:
      return "flush";
    case IoOp::discard:
      return "discard";
    case IoOp::write_zeroes:
      return "write zeroes";
  }
  return "request";
}

}  // namespace

std::string_view to_string(ConnectionState state) noexcept {
  switch (state) {
    case ConnectionState::connected:
      return "connected";
    case ConnectionState::reconnecting:
      return "reconnecting";
    case ConnectionState::ended:
      return "ended";
  }
  return "unknown_connection_state";
}

class BlockClient::Implementation {
 public:
  explicit Implementation(BlockClientConfig block_client_config) : config(std::move(block_client_config)) {}

  Status prepare() {
    auto checked = make_volume_client_config(config);
    if (!checked) return tl::unexpected(checked.error());
    if (auto status = add_rails(config, *checked, reactor); !status) return status;
    auto made = runtime::EventLoop::create(config.transport.polling);
    if (!made) return tl::unexpected(made.error());
    loop = std::move(*made);
    for (const int fd : reactor.wait_fds()) {
      if (auto status = loop->watch(fd); !status) return status;
    }
    auto core = VolumeClient::create(*checked, reactor, clock, random, config.on_event);
    if (!core) return tl::unexpected(core.error());
    client = std::move(*core);
    return {};
  }

  /// Turns until `is_done` or until the time has come: then false.
  template <typename Condition>
  bool turn_until(Instant deadline, const Condition& is_done) {
    while (!is_done()) {
      const Duration left = deadline - clock.now();
      if (left <= Duration::zero()) return false;
      loop->run_once(*client, left);
    }
    return true;
  }

  Status open() {
    client->open();
    const bool is_decided = turn_until(clock.now() + config.open_timeout,
                                       [this] { return client->state() != ConnectionState::reconnecting; });
    if (client->state() == ConnectionState::connected) return {};
    const StatusCode code = is_decided ? client->end_reason() : StatusCode::timed_out;
    const Error error{code, "open volume \"" + config.volume + "\": " + client->describe_progress()};
    if (!is_decided) static_cast<void>(close());
    return tl::unexpected(error);
  }

  Status close() {
    if (client->state() == ConnectionState::ended && !is_closing) {
      return fail(client->end_reason(), client->describe_progress());
    }
    is_closing = true;
    client->close();
    turn_until(clock.now() + 3 * config.close_timeout + kDrainTime, [this] { return client->has_ended(); });
    if (client->has_ended() && client->end_reason() == StatusCode::ok) return {};
    const StatusCode reason = client->has_ended() ? client->end_reason() : StatusCode::timed_out;
    return fail(reason, "close volume \"" + config.volume + "\": " + client->describe_progress() +
                            "; the volume may still count as held: open it with steal");
  }

  /// Submits, and waits for as long as the policy of loss lets it.
  Status run(IoRequestArgs args) {
    IoWaiter waiter;
    args.waiter = &waiter;
    StatusCode status = client->submit(args);
    if (status == StatusCode::ok) {
      while (!waiter.is_done)
        loop->run_once(*client, std::chrono::seconds(1));
      status = waiter.status;
    }
    if (status == StatusCode::ok) return {};
    return fail(status, std::string(name_of(args.op)) + " of " + std::to_string(args.length) + " bytes at " +
                            std::to_string(args.offset) + " of volume \"" + config.volume + "\"");
  }

  BlockClientConfig config;
  SteadyClock clock;
  runtime::SystemRandom random;
  runtime::Reactor reactor;
  std::unique_ptr<runtime::EventLoop> loop;
  std::unique_ptr<VolumeClient> client;  // goes before its reactor
  bool is_closing = false;
};

BlockClient::BlockClient(std::unique_ptr<Implementation> implementation)
    : implementation_(std::move(implementation)) {}

BlockClient::~BlockClient() = default;

Result<std::unique_ptr<BlockClient>> BlockClient::open(BlockClientConfig config) {
  auto implementation = std::make_unique<Implementation>(std::move(config));
  if (auto status = implementation->prepare(); !status) return tl::unexpected(status.error());
  if (auto status = implementation->open(); !status) return tl::unexpected(status.error());
  return std::unique_ptr<BlockClient>(new BlockClient(std::move(implementation)));
}

Status BlockClient::close() {
  return implementation_->close();
}

VolumeInfo BlockClient::info() const {
  return implementation_->client->info();
}

std::vector<PathInfo> BlockClient::paths() const {
  return implementation_->client->paths();
}

ConnectionState BlockClient::state() const noexcept {
  return implementation_->client->state();
}

StatusCode BlockClient::end_reason() const noexcept {
  return implementation_->client->end_reason();
}

// ---- Memory

Status BlockClient::register_memory(std::span<std::byte> memory) {
  return implementation_->client->register_memory(memory);
}

Status BlockClient::unregister_memory(std::span<std::byte> memory) {
  return implementation_->client->unregister_memory(memory);
}

// ---- Asynchronous

namespace {

IoRequestArgs read_args(std::uint64_t offset, std::span<std::byte> into) noexcept {
  IoRequestArgs args;
  args.op = IoOp::read;
  args.offset = offset;
  args.length = into.size();
  args.memory = into.data();
  return args;
}

IoRequestArgs write_args(std::uint64_t offset, std::span<const std::byte> data,
                         Durability durability) noexcept {
  IoRequestArgs args;
  args.op = IoOp::write;
  args.fua = is_fua(durability);
  args.offset = offset;
  args.length = data.size();
  // One place for the memory of reads and writes: that of a write is never written to.
  args.memory = const_cast<std::byte*>(data.data());
  return args;
}

IoRequestArgs range_args(IoOp op, std::uint64_t offset, std::uint64_t length,
                         Durability durability) noexcept {
  IoRequestArgs args;
  args.op = op;
  args.fua = is_fua(durability);
  args.offset = offset;
  args.length = length;
  return args;
}

IoRequestArgs tagged(std::uint64_t tag, IoRequestArgs args) noexcept {
  args.tag = tag;
  return args;
}

}  // namespace

StatusCode BlockClient::submit_read(std::uint64_t tag, std::uint64_t offset,
                                    std::span<std::byte> into) noexcept {
  return implementation_->client->submit(tagged(tag, read_args(offset, into)));
}

StatusCode BlockClient::submit_write(std::uint64_t tag, std::uint64_t offset, std::span<const std::byte> data,
                                     Durability durability) noexcept {
  return implementation_->client->submit(tagged(tag, write_args(offset, data, durability)));
}

StatusCode BlockClient::submit_flush(std::uint64_t tag) noexcept {
  return implementation_->client->submit(tagged(tag, {}));
}

StatusCode BlockClient::submit_discard(std::uint64_t tag, std::uint64_t offset, std::uint64_t length,
                                       Durability durability) noexcept {
  return implementation_->client->submit(tagged(tag, range_args(IoOp::discard, offset, length, durability)));
}

StatusCode BlockClient::submit_write_zeroes(std::uint64_t tag, std::uint64_t offset, std::uint64_t length,
                                            Durability durability) noexcept {
  return implementation_->client->submit(
      tagged(tag, range_args(IoOp::write_zeroes, offset, length, durability)));
}

std::size_t BlockClient::poll(std::span<Completion> out, Duration timeout) {
  VolumeClient& client = *implementation_->client;
  client.turn();
  if (timeout > Duration::zero() && !client.has_completed()) {
    implementation_->turn_until(implementation_->clock.now() + timeout,
                                [&] { return client.has_completed(); });
  }
  return client.take(out);
}

std::uint32_t BlockClient::outstanding() const noexcept {
  return implementation_->client->outstanding();
}

// ---- Other people's loops

int BlockClient::fd() const noexcept {
  return implementation_->loop->fd();
}

bool BlockClient::arm() noexcept {
  return implementation_->client->arm();
}

Duration BlockClient::longest_sleep() const noexcept {
  return implementation_->client->longest_sleep();
}

// ---- Blocking

Status BlockClient::read(std::uint64_t offset, std::span<std::byte> into) {
  return implementation_->run(read_args(offset, into));
}

Status BlockClient::write(std::uint64_t offset, std::span<const std::byte> data, Durability durability) {
  return implementation_->run(write_args(offset, data, durability));
}

Status BlockClient::flush() {
  return implementation_->run({});
}

Status BlockClient::discard(std::uint64_t offset, std::uint64_t length, Durability durability) {
  return implementation_->run(range_args(IoOp::discard, offset, length, durability));
}

Status BlockClient::write_zeroes(std::uint64_t offset, std::uint64_t length, Durability durability) {
  return implementation_->run(range_args(IoOp::write_zeroes, offset, length, durability));
}

}  // namespace sluice::client
