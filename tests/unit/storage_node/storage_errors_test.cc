#include "storage_node/backends/storage_errors.h"

#include <cerrno>

#include <catch2/catch.hpp>

namespace sluice::storage_node {
namespace {

TEST_CASE("Running out of room in any way is no_space, any other failure io_error", "[storage_errors]") {
  CHECK(io_status(0) == StatusCode::ok);
  for (const int full : {ENOSPC, EDQUOT, EFBIG})
    CHECK(io_status(full) == StatusCode::no_space);
  for (const int broken : {EIO, EINVAL, EBADF, ENXIO, EREMOTEIO, ETIMEDOUT, ENOMEM, EROFS})
    CHECK(io_status(broken) == StatusCode::io_error);
  CHECK(fail_io(ENOSPC, "write /srv/12.volume").value().describe() ==
        "no_space: write /srv/12.volume: No space left on device");
}

}  // namespace
}  // namespace sluice::storage_node
