#pragma once

#include <string>

#include "protocol/identifiers.h"

namespace sluice::master {

/// For people: "node 7".
[[nodiscard]] inline std::string name_of(protocol::NodeId node) {
  return "node " + std::to_string(node.value());
}

}  // namespace sluice::master
