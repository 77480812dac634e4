#pragma once

#include <memory>

#include "transport/provider.h"

namespace sluice::transport::verbs {

/// Opens the RDMA device that has `config.local_host` (or the first usable one) through libibverbs and
/// librdmacm. Errors: no_device, address_unusable, permission_denied; each says what to do.
Result<std::unique_ptr<Provider>> open_verbs_provider(const TransportConfig& config);

/// The device that open_verbs_provider would take, as "rxe0 port 1 (10.0.0.7)", or why there is none.
Result<std::string> probe_verbs_device(const TransportConfig& config);

}  // namespace sluice::transport::verbs
