#include "protocol/base/units.h"

namespace sluice {

std::string to_string(Gvn gvn) {
  return std::to_string(manager_version(gvn).value()) + "." + std::to_string(open_version(gvn).value());
}

}  // namespace sluice
