#pragma once

#include <string>
#include <string_view>

namespace sluice::runtime {

/// A message that is one line for sure: control characters as "\n" or "\u001b", and U+FFFD for what isn't
/// UTF-8.
[[nodiscard]] std::string escape_line(std::string_view message);

/// The same as the inside of a JSON string: quotes and backslashes are escaped as well.
[[nodiscard]] std::string escape_json(std::string_view message);

}  // namespace sluice::runtime
