#pragma once

#include <cerrno>
#include <string_view>

namespace sluice::transport {

/// Lets a test fail any single call that a provider makes into its library or kernel, so that every error
/// path runs. Production leaves it out (null): the cost is one predictable branch.
class FaultInjector {
 public:
  FaultInjector() = default;
  FaultInjector(const FaultInjector&) = delete;
  FaultInjector& operator=(const FaultInjector&) = delete;
  virtual ~FaultInjector() = default;

  /// Asked before the library call of that name (e.g. "ibv_create_qp"). True: the provider behaves as if the
  /// call had failed, without making it. On the provider's thread.
  virtual bool should_fail(std::string_view call) noexcept = 0;
};

/// True, with errno set to ENOMEM, if there is an injector and it wants this call to fail.
inline bool injected_failure(FaultInjector* faults, std::string_view call) noexcept {
  if (faults == nullptr || !faults->should_fail(call)) return false;
  errno = ENOMEM;
  return true;
}

}  // namespace sluice::transport
