#pragma once

#include <cstdint>
#include <memory>

#include "protocol/base/status.h"
#include "storage_node/io_memory.h"
#include "transport/provider.h"

namespace sluice::storage_node {

/// R1: what keeps the paths of one session, on one device, from reaching any other session's memory: a
/// protection domain of their own. The node's buffers are registered in it too, out of every peer's reach, so
/// that read data leaves them without a copy. Shared by the session's paths; goes with the last one.
class SessionDomain {
 public:
  /// Errors: out_of_memory, limit_reached, as the device says.
  static Result<std::shared_ptr<SessionDomain>> create(transport::Provider& provider, IoMemory& memory);

  [[nodiscard]] transport::ProtectionDomain& domain() noexcept { return *domain_; }
  /// The first `length` bytes of a buffer, as the device names them here.
  [[nodiscard]] transport::LocalBuffer local(const IoBuffer& buffer, std::uint32_t length) const noexcept {
    const auto offset = static_cast<std::uint64_t>(buffer.data() - buffers_->memory().data());
    return buffers_->local(offset, length);
  }

 private:
  SessionDomain() = default;

  std::unique_ptr<transport::ProtectionDomain> domain_;
  std::unique_ptr<transport::Region> buffers_;  ///< goes before its domain
};

}  // namespace sluice::storage_node
