#pragma once

#include <memory>

#include <rdma/fabric.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_eq.h>

#include "protocol/base/check.h"
#include "transport/fault_injection.h"
#include "transport/ofi/words.h"

namespace sluice::transport::ofi {

/// Owners of libfabric's objects. The order of destruction matters and is the reverse of the members' order
/// in the class that holds them: endpoint before its queues and regions, queues and regions before the
/// domain, everything before the fabric. A close that fails means that something still uses the object: a
/// bug of ours, which would leak silently, so it is checked.
struct CloseFid {
  template <typename Fid>
  void operator()(Fid* object) const noexcept {
    check(fi_close(&object->fid) == 0, "a fabric object is closed after everything that uses it");
  }
};
template <typename Fid>
using Handle = std::unique_ptr<Fid, CloseFid>;

using FabricHandle = Handle<fid_fabric>;
using DomainHandle = Handle<fid_domain>;
using RegionHandle = Handle<fid_mr>;
using CompletionQueueHandle = Handle<fid_cq>;
using EventQueueHandle = Handle<fid_eq>;
using EndpointHandle = Handle<fid_ep>;
using PassiveEndpointHandle = Handle<fid_pep>;

struct FreeInfo {
  void operator()(fi_info* info) const noexcept { fi_freeinfo(info); }
};
using InfoHandle = std::unique_ptr<fi_info, FreeInfo>;

/// Makes a libfabric call that returns 0 or a negative error, unless a test wants it to fail.
template <typename Call>
Status call_fabric(FaultInjector* faults, std::string_view name, Call&& call) {
  const long result = injected_failure(faults, name) ? -FI_ENOMEM : static_cast<long>(call());
  if (result < 0) return fail_fabric(result, name);
  return {};
}

/// The same for a call that opens an object: `open(Fid**)`.
template <typename Fid, typename Open>
Result<Handle<Fid>> open_fabric(FaultInjector* faults, std::string_view name, Open&& open) {
  Fid* object = nullptr;
  if (Status status = call_fabric(faults, name, [&] { return open(&object); }); !status) {
    return tl::unexpected(status.error());
  }
  return Handle<Fid>(object);
}

}  // namespace sluice::transport::ofi
