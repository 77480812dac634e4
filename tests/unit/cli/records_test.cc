#include "client/cli/records.h"

#include <sstream>

#include <catch2/catch.hpp>

using sluice::ByteCount;
using sluice::cli::Json;
using sluice::cli::Output;
using sluice::cli::Record;

namespace {

std::vector<Record> two_volumes() {
  Record a;
  a.add("name", "a").add("size", ByteCount(10737418240)).add("moving_to", Json(), "-");
  Record b;
  b.add("name", "longer").add("size", ByteCount(512)).add("moving_to", std::uint64_t{7});
  return {a, b};
}

}  // namespace

TEST_CASE("a table has a head, aligned columns and no spaces at the ends of lines") {
  std::ostringstream out;
  Output(out, false).list({"name", "size", "moving_to"}, two_volumes());
  CHECK(out.str() ==
        "NAME    SIZE  MOVING TO\n"
        "a       10G   -\n"
        "longer  512   7\n");
}

TEST_CASE("JSON has numbers as numbers, and is whole whatever a text holds") {
  std::ostringstream out;
  std::vector<Record> records = two_volumes();
  records[0].add("odd", std::string("\"\\\n\xff"));
  Output(out, true).list({"name"}, records);
  const Json parsed = Json::parse(out.str());
  REQUIRE(parsed.size() == 2);
  CHECK(parsed[0]["size"] == 10737418240);
  CHECK(parsed[0]["moving_to"].is_null());
  CHECK(parsed[1]["moving_to"] == 7);
  CHECK(parsed[0]["odd"] == "\"\\\n\xef\xbf\xbd");
}

TEST_CASE("an empty list is a head, or an empty array") {
  std::ostringstream table;
  Output(table, false).list({"name", "size"}, {});
  CHECK(table.str() == "NAME  SIZE\n");
  std::ostringstream json;
  Output(json, true).list({"name", "size"}, {});
  CHECK(json.str() == "[]\n");
}

TEST_CASE("one record is shown as lines, or as an object") {
  Record record;
  record.add("manager_version", std::uint64_t{3}).add("up", true);
  std::ostringstream lines;
  Output(lines, false).show(record);
  CHECK(lines.str() ==
        "manager version: 3\n"
        "up:              yes\n");
  std::ostringstream json;
  Output(json, true).show(record);
  CHECK(Json::parse(json.str()) == Json::parse(R"({"manager_version": 3, "up": true})"));
}
