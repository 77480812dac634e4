#pragma once

#include <string>

#include "runtime/options.h"

namespace sluice::runtime {

/// The options as --help shows them: by group, with type, default and help, lines of at most 100 characters.
[[nodiscard]] std::string describe_options(const OptionTable& table);

/// The options as a section of the reference page, in Markdown.
[[nodiscard]] std::string reference_section(const OptionTable& table);

/// The options with the values that they have now, as YAML that read_config reads back.
[[nodiscard]] std::string show_values(const OptionTable& table);

}  // namespace sluice::runtime
