#include "client/client_memory.h"

#include <utility>

namespace sluice::client {

Result<ClientMemory> ClientMemory::create(runtime::Reactor& reactor, std::size_t bounce_bytes) {
  ClientMemory memory;
  std::vector<transport::ProtectionDomain*> domains;
  for (std::size_t rail = 0; rail < reactor.rail_count(); ++rail) {
    auto domain = reactor.provider(static_cast<runtime::Rail>(rail)).create_protection_domain();
    if (!domain) return tl::unexpected(domain.error());
    domains.push_back(domain->get());
    memory.domains.push_back(std::move(*domain));
  }
  memory.registered = std::make_unique<RegisteredMemory>(std::move(domains));
  auto bounce = BouncePool::create(bounce_bytes, *memory.registered);
  if (!bounce) return tl::unexpected(bounce.error());
  memory.bounce = std::make_unique<BouncePool>(std::move(*bounce));
  return memory;
}

}  // namespace sluice::client
