#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include <catch2/catch.hpp>

#include "protocol/global_version.h"

namespace sluice::protocol::test {

inline Gvn gvn_of(std::uint32_t open, std::uint32_t manager = 1) {
  return make_gvn(ManagerVersion(manager), OpenVersion(open));
}

/// What the last event asked for, for a test to look at.
template <typename Actions>
struct LastActions {
  template <typename Action>
  [[nodiscard]] std::vector<Action> all() const {
    std::vector<Action> found;
    for (const auto& action : actions) {
      if (const auto* match = std::get_if<Action>(&action)) found.push_back(*match);
    }
    return found;
  }
  /// The only action of its type.
  template <typename Action>
  [[nodiscard]] Action one() const {
    const std::vector<Action> found = all<Action>();
    REQUIRE(found.size() == 1);
    return found.front();
  }
  template <typename Action>
  [[nodiscard]] bool none() const {
    return all<Action>().empty();
  }

  Actions actions;
};

}  // namespace sluice::protocol::test
