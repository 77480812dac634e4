#pragma once

#include <memory>

#include "transport/provider.h"

namespace sluice::transport {

/// Opens the provider that the configuration asks for. `auto` takes verbs if a usable device has the local
/// address (any address, if none is given), else ofi, and logs one line that says which and why. Errors:
/// no_device, address_unusable, invalid_argument; each says what to do.
Result<std::unique_ptr<Provider>> open_provider(const TransportConfig& config);

}  // namespace sluice::transport
