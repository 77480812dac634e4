#include "protocol/wire_format.h"

#include <fstream>
#include <sstream>

#include <catch2/catch.hpp>

// SLUICE_WIRE_FORMAT_PAGE is the page's place in the source tree. To write it anew after a change of the
// format: SLUICE_WRITE_PAGE=1 wire_test "docs/wire_format.md is what the code does"
TEST_CASE("docs/wire_format.md is what the code does", "[wire]") {
  const std::string described = sluice::protocol::describe_wire_format();
  if (std::getenv("SLUICE_WRITE_PAGE") != nullptr) std::ofstream(SLUICE_WIRE_FORMAT_PAGE) << described;
  std::ifstream page(SLUICE_WIRE_FORMAT_PAGE);
  std::ostringstream text;
  text << page.rdbuf();
  CHECK(text.str() == described);
}
