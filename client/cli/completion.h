#pragma once

#include <span>
#include <string>

#include "client/cli/arguments.h"
#include "runtime/options.h"

namespace sluice::cli {

/// A bash script that completes the commands' words, their flags and the configuration's keys. Volumes are
/// completed by asking the cluster.
[[nodiscard]] std::string bash_completion(std::span<const Syntax* const> commands,
                                          const runtime::OptionTable& options);

}  // namespace sluice::cli
