#include "client/client_host.h"

#include <string>
#include <utility>
#include <vector>

#include "client/volume_client_config.h"
#include "transport/factory.h"

namespace sluice::client {
namespace {

/// What closing may take beyond its three steps: draining the paths' queue pairs.
constexpr Duration kDrainTime = std::chrono::seconds(3);

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

}  // namespace

Result<std::unique_ptr<ClientHost>> ClientHost::create(const BlockClientConfig& config) {
  std::unique_ptr<ClientHost> host(new ClientHost(config));
  if (auto status = host->prepare(); !status) return tl::unexpected(status.error());
  return host;
}

Status ClientHost::prepare() {
  auto checked = make_volume_client_config(config_);
  if (!checked) return tl::unexpected(checked.error());
  if (auto status = add_rails(config_, *checked, reactor_); !status) return status;
  auto loop = runtime::EventLoop::create(config_.transport.polling);
  if (!loop) return tl::unexpected(loop.error());
  loop_ = std::move(*loop);
  for (const int fd : reactor_.wait_fds()) {
    if (auto status = loop_->watch(fd); !status) return status;
  }
  auto core = VolumeClient::create(*checked, reactor_, clock_, random_, config_.on_event);
  if (!core) return tl::unexpected(core.error());
  core_ = std::move(*core);
  return {};
}

Status ClientHost::open(runtime::Turning& turning) {
  core_->open();
  const bool is_decided = turn_until(turning, clock_.now() + config_.open_timeout,
                                     [this] { return core_->state() != ConnectionState::reconnecting; });
  if (core_->state() == ConnectionState::connected) return {};
  const StatusCode code = is_decided ? core_->end_reason() : StatusCode::timed_out;
  const Error error{code, "open volume \"" + config_.volume + "\": " + core_->describe_progress()};
  if (!is_decided) static_cast<void>(close(turning));  // what was given is given up again
  return tl::unexpected(error);
}

Status ClientHost::close(runtime::Turning& turning) {
  if (core_->state() == ConnectionState::ended && !is_closing_) {
    return fail(core_->end_reason(),
                "close volume \"" + config_.volume + "\": " + core_->describe_progress());
  }
  is_closing_ = true;
  core_->close();
  turn_until(turning, clock_.now() + 3 * config_.close_timeout + kDrainTime,
             [this] { return core_->has_ended(); });
  if (core_->has_ended() && core_->end_reason() == StatusCode::ok) return {};
  const StatusCode reason = core_->has_ended() ? core_->end_reason() : StatusCode::timed_out;
  return fail(reason, "close volume \"" + config_.volume + "\": " + core_->describe_progress() +
                          "; the volume may still count as held: the next open may need to steal it");
}

}  // namespace sluice::client
