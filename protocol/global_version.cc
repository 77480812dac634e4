#include "protocol/global_version.h"

#include <limits>
#include <string>

#include "protocol/base/check.h"

namespace sluice::protocol {
namespace {

template <typename Version>
Result<Version> next(Version last, const char* what) {
  if (last.value() == std::numeric_limits<typename Version::rep>::max()) {
    return fail(StatusCode::exhausted, std::string(what) + " is at its maximum of " +
                                           std::to_string(last.value()) + " and can't be raised again");
  }
  return Version(last.value() + 1);
}

}  // namespace

Result<OpenVersion> next_open_version(OpenVersion last) {
  return next(last, "the volume's open version");
}

// P1: a master that takes over answers nothing under a version that was ever in use.
Result<ManagerVersion> next_manager_version(ManagerVersion highest_seen) {
  return next(highest_seen, "the cluster's manager version");
}

void Fence::raise(Gvn gvn) noexcept {
  check(accepted_ < gvn, "a fence is only ever raised");
  accepted_ = gvn;
}

}  // namespace sluice::protocol
