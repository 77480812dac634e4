#include "runtime/reactor.h"

#include <algorithm>
#include <utility>

#include "protocol/base/check.h"

namespace sluice::runtime {
namespace {

using transport::Channel;
using transport::ChannelEvent;
using transport::Completion;
using transport::ConnectionEvent;

Link* link_of(const transport::Endpoint& endpoint) noexcept {
  return endpoint.user_data() == nullptr ? nullptr : static_cast<Link*>(Channel::of(endpoint).owner());
}

}  // namespace

Reactor::~Reactor() {
  check(links_ == 0, "links go before their reactor");
}

Result<Rail> Reactor::add_rail(std::unique_ptr<transport::Provider> provider, std::uint32_t queue_depth) {
  auto queue = provider->create_completion_queue(queue_depth);
  if (!queue) return tl::unexpected(queue.error());
  rails_.push_back({std::move(provider), std::move(*queue), nullptr});
  return static_cast<Rail>(rails_.size() - 1);
}

Result<transport::ProtectionDomain*> Reactor::control_domain(Rail rail) {
  RailState& state = at(rail);
  if (!state.control_domain) {
    auto domain = state.provider->create_protection_domain();
    if (!domain) return tl::unexpected(domain.error());
    state.control_domain = std::move(*domain);
  }
  return state.control_domain.get();
}

// ---- Connections

Result<std::unique_ptr<transport::Listener>> Reactor::listen(Rail rail, const transport::Address& address,
                                                             ListenHandler& handler) {
  auto listener = at(rail).provider->listen(address);
  if (listener) listening_.push_back({listener->get(), &handler});
  return listener;
}

Result<std::unique_ptr<Link>> Reactor::connect(Rail rail, transport::ProtectionDomain& domain,
                                               const transport::Address& address,
                                               const transport::ChannelConfig& config,
                                               std::span<const std::byte> private_data,
                                               LinkHandler& handler) {
  RailState& state = at(rail);
  auto channel = Channel::connect(*state.provider, domain, *state.queue, address, config, private_data);
  if (!channel) return tl::unexpected(channel.error());
  return adopt(std::move(*channel), handler);
}

Result<std::unique_ptr<Link>> Reactor::accept(Incoming incoming, transport::ProtectionDomain& domain,
                                              const transport::ChannelConfig& config,
                                              std::span<const std::byte> private_data, LinkHandler& handler) {
  RailState& state = at(incoming.rail);
  auto channel = Channel::accept(*state.provider, domain, *state.queue, std::move(incoming.request), config,
                                 private_data);
  if (!channel) return tl::unexpected(channel.error());
  return adopt(std::move(*channel), handler);
}

void Reactor::reject(Incoming incoming, std::span<const std::byte> private_data) {
  at(incoming.rail).provider->reject(std::move(incoming.request), private_data);
}

std::unique_ptr<Link> Reactor::adopt(std::unique_ptr<Channel> channel, LinkHandler& handler) {
  std::unique_ptr<Link> link(new Link(*this, handler));
  link->attach(std::move(channel));
  ++links_;
  touched_.reserve(links_);  // so that touch() never allocates
  return link;
}

// ---- A turn

bool Reactor::poll() {
  bool any = false;
  for (RailState& rail : rails_)
    any = poll_completions(rail) || any;
  for (std::size_t rail = 0; rail < rails_.size(); ++rail)
    any = poll_events(static_cast<Rail>(rail)) || any;
  return any;
}

bool Reactor::poll_completions(RailState& rail) noexcept {
  const std::size_t count = rail.queue->poll(taken_);
  hands_out_completions_ = true;
  for (std::size_t i = 0; i < count; ++i)
    dispatch(taken_[i]);
  hands_out_completions_ = false;
  return count > 0;
}

void Reactor::dispatch(const Completion& completion) noexcept {
  Link* const link = link_of(*completion.endpoint);
  if (link == nullptr) return;
  ChannelEvent event = link->channel_->on_completion(completion);
  touch(*link);
  switch (event.kind) {
    case ChannelEvent::Kind::none:
      return link->handler_.on_room(*link);
    case ChannelEvent::Kind::message:
      return link->handler_.on_message(*link, event.bytes, event.message);
    case ChannelEvent::Kind::sent:
    case ChannelEvent::Kind::failed:
      for (; event.kind != ChannelEvent::Kind::none; event = link->channel_->more_sent())
        link->handler_.on_sent(*link, event.tag, event.status);
  }
}

bool Reactor::poll_events(Rail rail) {
  bool any = false;
  while (auto event = at(rail).provider->next_event()) {
    any = true;
    dispatch(rail, std::move(*event));
  }
  return any;
}

void Reactor::dispatch(Rail rail, ConnectionEvent event) {
  if (event.kind == ConnectionEvent::Kind::connect_request) return on_incoming(rail, std::move(event));
  // A lost device or listener says nothing that its endpoints don't, or that isn't in the transport's log.
  Link* const link = event.endpoint == nullptr ? nullptr : link_of(*event.endpoint);
  if (link == nullptr) return;
  switch (event.kind) {
    case ConnectionEvent::Kind::established:
      link->channel_->on_established(event.peer_credits);
      touch(*link);
      return link->handler_.on_up(*link, event.private_data);
    case ConnectionEvent::Kind::disconnected:
      return link->handler_.on_down(*link, event.error, event.private_data);
    case ConnectionEvent::Kind::drained:
      return link->handler_.on_drained(*link);
    default:
      return;
  }
}

void Reactor::on_incoming(Rail rail, ConnectionEvent event) {
  const auto found = std::find_if(listening_.begin(), listening_.end(), [&](const Listening& listening) {
    return listening.listener == event.listener;
  });
  if (found == listening_.end()) return;
  found->handler->on_incoming({rail, std::move(event.request)});
}

void Reactor::touch(Link& link) noexcept {
  if (link.is_touched_) return;
  link.is_touched_ = true;
  touched_.push_back(&link);
}

void Reactor::flush() noexcept {
  for (Link* const link : touched_) {
    link->is_touched_ = false;
    // A connection that is over says so by its events.
    static_cast<void>(link->channel_->flush());
  }
  touched_.clear();
}

void Reactor::forget(Link& link) noexcept {
  check(!hands_out_completions_, "no link is destroyed while completions are handed out");
  std::erase(touched_, &link);
  --links_;
}

// ---- Sleeping

bool Reactor::arm() noexcept {
  return std::all_of(rails_.begin(), rails_.end(), [](const RailState& rail) { return rail.queue->arm(); });
}

std::vector<int> Reactor::wait_fds() const {
  std::vector<int> fds;
  for (const RailState& rail : rails_) {
    if (rail.queue->wait_fd() >= 0) fds.push_back(rail.queue->wait_fd());
  }
  return fds;
}

}  // namespace sluice::runtime
