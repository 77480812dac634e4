#pragma once

#include <memory>

#include <infiniband/verbs.h>
#include <rdma/rdma_cma.h>

#include "protocol/base/check.h"

namespace sluice::transport::verbs {

/// Owners of the C libraries' handles. Order of destruction is the members' reverse order of declaration in
/// the class that holds them, and it matters: queue pair, then id; regions before the memory is freed;
/// completion queue after its queue pairs; protection domain after all that uses it.
///
/// A failed destroy call means that something still uses the handle: a bug of ours, which would leak device
/// resources silently, so it is checked.

template <auto Destroy>
struct CheckedDestroy {
  template <typename Handle>
  void operator()(Handle* handle) const noexcept {
    check(Destroy(handle) == 0, "an RDMA handle is destroyed after everything that uses it");
  }
};

using ProtectionDomainHandle = std::unique_ptr<ibv_pd, CheckedDestroy<ibv_dealloc_pd>>;
using MemoryRegionHandle = std::unique_ptr<ibv_mr, CheckedDestroy<ibv_dereg_mr>>;
using CompletionChannelHandle = std::unique_ptr<ibv_comp_channel, CheckedDestroy<ibv_destroy_comp_channel>>;
using CompletionQueueHandle = std::unique_ptr<ibv_cq, CheckedDestroy<ibv_destroy_cq>>;

struct DestroyEventChannel {
  void operator()(rdma_event_channel* channel) const noexcept { rdma_destroy_event_channel(channel); }
};
using EventChannelHandle = std::unique_ptr<rdma_event_channel, DestroyEventChannel>;

/// Destroys the id's queue pair first if it has one. Would hang if an event of this id were fetched and not
/// acknowledged: events are copied and acknowledged at once (see connection_events.cc).
struct DestroyId {
  void operator()(rdma_cm_id* id) const noexcept {
    if (id->qp != nullptr) rdma_destroy_qp(id);
    rdma_destroy_id(id);  // fails only when the device is gone, and then there is nothing left to destroy
  }
};
using IdHandle = std::unique_ptr<rdma_cm_id, DestroyId>;

}  // namespace sluice::transport::verbs
