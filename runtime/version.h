#pragma once

#include <string_view>

namespace sluice::runtime {

/// The release of which this program is, e.g. "0.1.0".
[[nodiscard]] std::string_view version() noexcept;

}  // namespace sluice::runtime
