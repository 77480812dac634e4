#pragma once

#include <string>

#include <infiniband/verbs.h>
#include <rdma/rdma_cma.h>

#include "protocol/base/status.h"
#include "transport/provider.h"

namespace sluice::transport::verbs {

/// The contract's status for a work completion's (InfiniBand 1.2.1, 11.6.2).
CompletionStatus status_of(ibv_wc_status status, bool is_receive) noexcept;

/// "remote access error (status 10, vendor error 0x88) on work ..., queue pair 17, to 10.0.0.7:7400", as the
/// cause of a connection's failure: what it usually means and what to do about it.
Error describe_failure(const ibv_wc& completion, CompletionStatus status, WorkId id, const std::string& peer);

/// Why a connection attempt ended, from the connection manager's event and status. `peer` is where it went.
Error describe_connect_failure(rdma_cm_event_type event, int status, const std::string& peer);

/// IB CM reject reasons that arrive as the status of RDMA_CM_EVENT_REJECTED (InfiniBand 1.2.1, 12.6.7.2).
inline constexpr int kRejectInvalidServiceId = 8;
inline constexpr int kRejectStaleConnection = 10;
inline constexpr int kRejectConsumer = 28;

}  // namespace sluice::transport::verbs
