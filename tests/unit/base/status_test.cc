#include "protocol/base/status.h"

#include <cerrno>
#include <set>
#include <string>

#include <catch2/catch.hpp>

using sluice::Error;
using sluice::StatusCode;

TEST_CASE("every status code has a name of its own", "[base]") {
  std::set<std::string> names;
  int named = 0;
  for (unsigned value = 0; value <= 64; ++value) {
    const std::string name(sluice::to_string(static_cast<StatusCode>(value)));
    if (name == "unknown_status") continue;
    ++named;
    CHECK(names.insert(name).second);
  }
  CHECK(named == 35);
}

TEST_CASE("an error describes itself with code and sentence", "[base]") {
  CHECK(Error{StatusCode::busy, {}}.describe() == "busy");
  CHECK(Error{StatusCode::busy, "volume db is held"}.describe() == "busy: volume db is held");
}

TEST_CASE("an errno becomes the code that fits, and keeps the system's words", "[base]") {
  const sluice::Status status = sluice::fail_errno(ECONNREFUSED, "connect to 127.0.0.1:1");
  REQUIRE(!status);
  CHECK(status.error().code == StatusCode::connection_refused);
  CHECK(status.error().message == "connect to 127.0.0.1:1: Connection refused");
  const auto code_of = [](int errno_value) { return sluice::fail_errno(errno_value, "x").value().code; };
  CHECK(code_of(-ENOMEM) == StatusCode::out_of_memory);
  CHECK(code_of(EMFILE) == StatusCode::out_of_memory);
  CHECK(code_of(ENODEV) == StatusCode::no_device);
  CHECK(code_of(EADDRINUSE) == StatusCode::address_unusable);
  CHECK(code_of(EHOSTUNREACH) == StatusCode::address_unusable);
  CHECK(code_of(ETIMEDOUT) == StatusCode::timed_out);
  CHECK(code_of(EACCES) == StatusCode::permission_denied);
  CHECK(code_of(EINVAL) == StatusCode::invalid_argument);
  CHECK(code_of(ENOSYS) == StatusCode::unsupported);
  CHECK(code_of(ENOSPC) == StatusCode::no_space);
  CHECK(code_of(EIO) == StatusCode::system_error);
}
