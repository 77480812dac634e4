#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "client/bounce_pool.h"
#include "client/registered_memory.h"
#include "protocol/base/status.h"
#include "runtime/reactor.h"

namespace sluice::client {

/// The memory of a client's paths, and the protection domains that it is registered in, one a rail.
struct ClientMemory {
  /// Errors: out_of_memory, and what else a device may say.
  static Result<ClientMemory> create(runtime::Reactor& reactor, std::size_t bounce_bytes);

  std::vector<std::unique_ptr<transport::ProtectionDomain>> domains;
  std::unique_ptr<RegisteredMemory> registered;
  std::unique_ptr<BouncePool> bounce;
};

}  // namespace sluice::client
