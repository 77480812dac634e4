#include "storage_node/session_domain.h"

#include <utility>

namespace sluice::storage_node {

Result<std::shared_ptr<SessionDomain>> SessionDomain::create(transport::Provider& provider,
                                                             IoMemory& memory) {
  std::shared_ptr<SessionDomain> session(new SessionDomain);
  auto domain = provider.create_protection_domain();
  if (!domain) return tl::unexpected(domain.error());
  session->domain_ = std::move(*domain);
  auto buffers = session->domain_->register_memory(memory.buffers(), transport::Access::none);
  if (!buffers) return tl::unexpected(buffers.error());
  session->buffers_ = std::move(*buffers);
  return session;
}

}  // namespace sluice::storage_node
