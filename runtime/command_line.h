#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "protocol/base/status.h"
#include "runtime/options.h"

namespace sluice::runtime {

/// What a program was asked to do by its arguments.
struct Invocation {
  bool help = false;
  bool version = false;
  bool check_config = false;
  std::string config_file;  ///< --config; empty: not given
  /// Option key and value, in the order given: they win over the file.
  std::vector<std::pair<std::string, std::string>> overrides;
};

/// Reads the arguments (without the program's name). Changes no option. Errors: invalid_argument, naming the
/// argument and what was expected.
Result<Invocation> parse_arguments(OptionTable& table, std::span<const std::string> arguments);

/// Sets the table's options: from the file that the invocation, the environment or the program names, then
/// from the command line; then verifies them. A file that only the program's default names may be missing.
Status load_options(OptionTable& table, const Invocation& invocation);

/// What a daemon's main does with its arguments. Prints help, version, or errors on standard error. Nothing:
/// go on, the table's fields are set; else the status to exit with.
std::optional<int> configure(OptionTable& table, int argc, char** argv, Invocation& invocation);

}  // namespace sluice::runtime
