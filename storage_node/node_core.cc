#include "storage_node/node_core.h"

#include <algorithm>
#include <utility>

namespace sluice::storage_node {
namespace {

using transport::Address;

/// Each reactor has ports of its own. Port 0 is for one reactor alone: the system chooses.
std::vector<Address> addresses_of(std::uint16_t reactor, std::vector<Address> first) {
  for (Address& address : first)
    address.port = static_cast<std::uint16_t>(address.port + reactor);
  return first;
}

Result<std::unique_ptr<NodeReactor>> make_reactor(const NodeCoreConfig& config, const NodeIdentity& identity,
                                                  const NodeCoreParts& parts, std::uint16_t index,
                                                  AgentMailbox& agent) {
  NodeReactorConfig reactor = config.reactor;
  reactor.index = index;
  reactor.listen = addresses_of(index, config.listen);
  reactor.memory.limit = ByteCount(config.reactor.memory.limit.value() / config.reactors);
  auto backend = parts.open_backend(index);
  if (!backend) return tl::unexpected(backend.error());
  NodeReactorParts made{{}, std::move(*backend), parts.clock, parts.random, parts.log, agent};
  for (const Address& address : reactor.listen) {
    auto provider = parts.open_provider(address.host);
    if (!provider) return tl::unexpected(provider.error());
    made.providers.push_back(std::move(*provider));
  }
  return NodeReactor::create(reactor, identity, std::move(made));
}

Result<AgentConfig> make_agent_config(const NodeCoreConfig& config, const NodeReactor& first) {
  AgentConfig agent;
  agent.masters.addresses = config.masters;
  for (const Address& address : config.advertise.empty() ? first.addresses() : config.advertise) {
    const auto text = protocol::NodeAddress::from(to_string(address));
    if (!text) return fail(StatusCode::invalid_argument, to_string(address) + " is too long an address");
    agent.addresses.push_back(*text);
  }
  return agent;
}

}  // namespace

Result<std::unique_ptr<NodeCore>> NodeCore::create(const NodeCoreConfig& config, const NodeIdentity& identity,
                                                   const NodeCoreParts& parts) {
  std::unique_ptr<NodeCore> node(new NodeCore);
  std::vector<ReactorMailbox*> mailboxes;
  for (std::uint16_t i = 0; i < config.reactors; ++i) {
    auto reactor = make_reactor(config, identity, parts, i, node->mailbox_);
    if (!reactor) return tl::unexpected(reactor.error());
    node->reactors_.push_back(std::move(*reactor));
    mailboxes.push_back(&node->reactors_.back()->mailbox());
  }
  auto agent_config = make_agent_config(config, *node->reactors_.front());
  if (!agent_config) return tl::unexpected(agent_config.error());
  auto provider = parts.open_provider(config.listen.front().host);
  if (!provider) return tl::unexpected(provider.error());
  auto agent = Agent::create(std::move(*agent_config), identity, std::move(*provider), node->mailbox_,
                             std::move(mailboxes), parts.clock, parts.log);
  if (!agent) return tl::unexpected(agent.error());
  node->agent_ = std::move(*agent);
  return node;
}

bool NodeCore::turn() {
  bool worked = agent_->turn();
  for (const auto& reactor : reactors_)
    worked = reactor->turn() || worked;
  return worked;
}

void NodeCore::shut_down() {
  for (const auto& reactor : reactors_)
    reactor->mailbox().post(ShutdownLetter{});
}

bool NodeCore::is_shut_down() const noexcept {
  return std::all_of(reactors_.begin(), reactors_.end(),
                     [](const auto& reactor) { return reactor->is_shut_down(); });
}

}  // namespace sluice::storage_node
