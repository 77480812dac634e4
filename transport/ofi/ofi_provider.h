#pragma once

#include <memory>

#include "transport/provider.h"

namespace sluice::transport::ofi {

/// Opens `config.fabric` (a libfabric provider's name; "tcp" needs no RDMA device) for connected endpoints.
/// Errors: no_device (no such fabric here: names those that there are), unsupported (the fabric doesn't keep
/// the order that the contract promises), address_unusable (`config.local_host` is no address of this
/// machine).
///
/// What differs from a device of its own, all of it TCP's or libfabric 1.17's doing:
///  - Nothing moves unless the completion queue is polled, at the target of a WRITE or READ too.
///  - A SEND's success means that its buffer is free and the bytes are with the kernel; a WRITE's and a
///  READ's
///    that the peer has executed it.
///  - The fabric drops the connection when it refuses a key, bounds or rights, and says no more. If a peer
///    drops it without having closed it while a WRITE or READ is unanswered, the oldest of those completes as
///    `remote_access`. A peer that died at that moment looks the same.
///  - With PollingMode::busy arm() is always false: nothing wakes up wait_fd() for a completion then.
///  - A message that finds no receive posted waits for one: `receiver_not_ready` never comes. All that the
///    peer sends behind it waits too, its answers to this side's WRITEs and READs among it.
Result<std::unique_ptr<Provider>> open_ofi_provider(const TransportConfig& config);

}  // namespace sluice::transport::ofi
