#include "client/block_client.h"

#include <utility>

#include "client/client_host.h"
#include "client/io_request_args.h"

namespace sluice::client {
namespace {

using protocol::IoOp;

IoRequestArgs tagged(std::uint64_t tag, IoRequestArgs args) noexcept {
  args.tag = tag;
  return args;
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
  explicit Implementation(std::unique_ptr<ClientHost> client_host)
      : host(std::move(client_host)), client(host->core()) {}

  /// Submits, and waits for as long as the policy of loss lets it.
  Status run(IoRequestArgs args) {
    IoWaiter waiter;
    args.waiter = &waiter;
    waiter.status = client.submit(args);
    if (waiter.status == StatusCode::ok) {
      while (!waiter.is_done)
        host->loop().run_once(client, std::chrono::seconds(1));
    }
    return to_status(args, waiter.status, host->config().volume);
  }

  std::unique_ptr<ClientHost> host;
  VolumeClient& client;
};

BlockClient::BlockClient(std::unique_ptr<Implementation> implementation)
    : implementation_(std::move(implementation)) {}

BlockClient::~BlockClient() = default;

Result<std::unique_ptr<BlockClient>> BlockClient::open(const BlockClientConfig& config) {
  auto host = ClientHost::create(config);
  if (!host) return tl::unexpected(host.error());
  if (auto status = (*host)->open((*host)->core()); !status) return tl::unexpected(status.error());
  return std::unique_ptr<BlockClient>(new BlockClient(std::make_unique<Implementation>(std::move(*host))));
}

Status BlockClient::close() {
  return implementation_->host->close(implementation_->client);
}

VolumeInfo BlockClient::info() const {
  return implementation_->client.info();
}

std::vector<PathInfo> BlockClient::paths() const {
  return implementation_->client.paths();
}

ConnectionState BlockClient::state() const noexcept {
  return implementation_->client.state();
}

StatusCode BlockClient::end_reason() const noexcept {
  return implementation_->client.end_reason();
}

// ---- Memory

Status BlockClient::register_memory(std::span<std::byte> memory) {
  return implementation_->client.register_memory(memory);
}

Status BlockClient::unregister_memory(std::span<std::byte> memory) {
  return implementation_->client.unregister_memory(memory);
}

// ---- Asynchronous

StatusCode BlockClient::submit_read(std::uint64_t tag, std::uint64_t offset,
                                    std::span<std::byte> into) noexcept {
  return implementation_->client.submit(tagged(tag, read_args(offset, into)));
}

StatusCode BlockClient::submit_write(std::uint64_t tag, std::uint64_t offset, std::span<const std::byte> data,
                                     Durability durability) noexcept {
  return implementation_->client.submit(tagged(tag, write_args(offset, data, durability)));
}

StatusCode BlockClient::submit_flush(std::uint64_t tag) noexcept {
  return implementation_->client.submit(tagged(tag, {}));
}

StatusCode BlockClient::submit_discard(std::uint64_t tag, std::uint64_t offset, std::uint64_t length,
                                       Durability durability) noexcept {
  return implementation_->client.submit(tagged(tag, range_args(IoOp::discard, offset, length, durability)));
}

StatusCode BlockClient::submit_write_zeroes(std::uint64_t tag, std::uint64_t offset, std::uint64_t length,
                                            Durability durability) noexcept {
  return implementation_->client.submit(
      tagged(tag, range_args(IoOp::write_zeroes, offset, length, durability)));
}

std::size_t BlockClient::poll(std::span<Completion> out, Duration timeout) {
  VolumeClient& client = implementation_->client;
  client.turn();
  if (timeout > Duration::zero() && !client.has_completed()) {
    ClientHost& host = *implementation_->host;
    host.turn_until(client, host.clock().now() + timeout, [&] { return client.has_completed(); });
  }
  return client.take(out);
}

std::uint32_t BlockClient::outstanding() const noexcept {
  return implementation_->client.outstanding();
}

// ---- Other people's loops

int BlockClient::fd() const noexcept {
  return implementation_->host->loop().fd();
}

bool BlockClient::arm() noexcept {
  return implementation_->client.arm();
}

Duration BlockClient::longest_sleep() const noexcept {
  return implementation_->client.longest_sleep();
}

// ---- Blocking

Status BlockClient::run(const IoRequestArgs& args) {
  return implementation_->run(args);
}

}  // namespace sluice::client
