#pragma once

#include <string>

#include "transport/provider.h"
#include "transport/sim/connection_manager.h"
#include "transport/sim/queue_pair.h"

namespace sluice::transport::sim {

/// What ended a connection, in words.
Error describe(const QueuePairCause& cause, const std::string& peer);
Error describe_rejection(RejectReason reason, const std::string& peer);

}  // namespace sluice::transport::sim
