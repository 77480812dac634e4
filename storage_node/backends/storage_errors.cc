#include "storage_node/backends/storage_errors.h"

#include <cerrno>
#include <string>
#include <system_error>

namespace sluice::storage_node {

StatusCode io_status(int errno_value) noexcept {
  switch (errno_value) {
    case 0:
      return StatusCode::ok;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return StatusCode::no_space;
    default:
      return StatusCode::io_error;
  }
}

tl::unexpected<Error> fail_io(int errno_value, std::string_view what) {
  return fail(io_status(errno_value),
              std::string(what) + ": " + std::generic_category().message(errno_value));
}

}  // namespace sluice::storage_node
