#pragma once

#include <string_view>

#include "protocol/base/status.h"

namespace sluice::storage_node {

/// What a failed operation of a volume's storage is answered with: no_space where room ran out (a full file
/// system or thin device, a quota, a limit on file size), else io_error.
[[nodiscard]] StatusCode io_status(int errno_value) noexcept;

/// An error to return: "WHAT: strerror(errno_value)", with io_status's code.
tl::unexpected<Error> fail_io(int errno_value, std::string_view what);

}  // namespace sluice::storage_node
