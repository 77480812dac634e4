#include "runtime/version.h"

namespace sluice::runtime {

std::string_view version() noexcept {
  return SLUICE_VERSION;
}

}  // namespace sluice::runtime
