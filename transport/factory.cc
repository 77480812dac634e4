#include "transport/factory.h"

#include "transport/ofi/ofi_provider.h"
#include "transport/verbs/verbs_provider.h"

namespace sluice::transport {

namespace {

Result<std::unique_ptr<Provider>> open_whichever_fits(const TransportConfig& config) {
  auto verbs = verbs::open_verbs_provider(config);
  if (verbs) {
    log_line(config, LogLevel::info, "transport: verbs on " + (*verbs)->info().detail);
    return verbs;
  }
  auto ofi = ofi::open_ofi_provider(config);
  if (!ofi) {
    return fail(ofi.error().code, ofi.error().message + "; nor can verbs be used: " + verbs.error().message);
  }
  log_line(config, LogLevel::info,
           "transport: ofi on " + (*ofi)->info().detail +
               ", because verbs can't be used: " + verbs.error().message);
  return ofi;
}

}  // namespace

Result<std::unique_ptr<Provider>> open_provider(const TransportConfig& config) {
  switch (config.provider) {
    case ProviderChoice::verbs:
      return verbs::open_verbs_provider(config);
    case ProviderChoice::ofi:
      return ofi::open_ofi_provider(config);
    case ProviderChoice::automatic:
      break;
  }
  return open_whichever_fits(config);
}

}  // namespace sluice::transport
