#pragma once

#include <optional>
#include <string>

namespace sluice::contract {

/// Why this program can test nothing on this machine; nullopt if it can. Defined once in each contract
/// program.
std::optional<std::string> why_unavailable();

}  // namespace sluice::contract
