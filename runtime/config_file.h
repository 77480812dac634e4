#pragma once

#include <string>
#include <string_view>

#include "protocol/base/status.h"
#include "runtime/options.h"

namespace sluice::runtime {

/// Sets a table's options from a YAML text: groups of keys, one group in another wherever a key has a point.
/// `name` stands for the text in errors. Errors: invalid_argument, one line for each mistake:
/// "NAME:LINE: KEY: expected ..., not ...".
Status read_config(OptionTable& table, std::string_view text, const std::string& name);

/// The same from a file. Further errors: those of reading it, naming it.
Status read_config_file(OptionTable& table, const std::string& path);

}  // namespace sluice::runtime
