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
  CHECK(sluice::fail_errno(-ENOMEM, "x").value().code == StatusCode::out_of_memory);
}
