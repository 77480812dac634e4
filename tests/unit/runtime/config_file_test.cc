#include "runtime/config_file.h"

#include <catch2/catch.hpp>

#include "tests/unit/runtime/sample_config.h"

using sluice::Status;
using sluice::runtime::OptionTable;
using sluice::runtime::read_config;

namespace {

std::string mistakes(const char* text) {
  SampleConfig config;
  OptionTable table = sample_table(config);
  const Status read = read_config(table, text, "f.yaml");
  return read ? "" : read.error().message;
}

}  // namespace

TEST_CASE("a file's groups and lists reach the fields") {
  SampleConfig config;
  OptionTable table = sample_table(config);
  const Status read = read_config(table, R"(
# a comment
name: "carla"
limits:
  depth: 5
  memory: 1.5G
listen: [127.0.0.1:7000, "[::1]:7001"]
tags:
  - one
  - two
)",
                                  "f.yaml");
  REQUIRE(read.has_value());
  CHECK(config.name == "carla");
  CHECK(config.depth == 5);
  CHECK(config.memory == sluice::ByteCount(std::uint64_t{3} << 29U));
  CHECK(config.listen == std::vector<sluice::transport::Address>{{"127.0.0.1", 7000}, {"::1", 7001}});
  CHECK(config.tags == std::vector<std::string>{"one", "two"});
  CHECK(config.timeout == std::chrono::milliseconds(500));
}

TEST_CASE("an empty file and an empty group leave the defaults") {
  CHECK(mistakes("").empty());
  CHECK(mistakes("# nothing\n").empty());
  CHECK(mistakes("---\n").empty());
  CHECK(mistakes("limits:\n").empty());
}

TEST_CASE("each mistake in a file is told with file, line, key and what was expected") {
  CHECK(mistakes("name: x\nlimits:\n  dept: 5\n") ==
        R"(f.yaml:3: unknown key "limits.dept"; did you mean "limits.depth"?)");
  CHECK(mistakes("depth: 5\n") == R"(f.yaml:1: unknown key "depth"; did you mean "limits.depth"?)");
  CHECK(mistakes("wholly_other: 5\n") == R"(f.yaml:1: unknown key "wholly_other")");
  CHECK(mistakes("limits:\n  depth: much\n") ==
        R"(f.yaml:2: limits.depth: expected an integer from 1 to 64, not "much")");
  CHECK(mistakes("limits:\n  depth: [1]\n") ==
        "f.yaml:2: limits.depth: expected integer from 1 to 64, not a list");
  CHECK(mistakes("limits:\n  depth:\n") ==
        "f.yaml:2: limits.depth: expected integer from 1 to 64, not nothing");
  CHECK(mistakes("limits: 5\n") == "f.yaml:1: limits: expected a group of keys, not a single value");
  CHECK(mistakes("listen: a:1\n") ==
        "f.yaml:1: listen: expected list of HOST:PORT, not a single value: write [a:1]");
  CHECK(mistakes("tags: [a, [b]]\n") == "f.yaml:1: tags: expected list of strings, not a list in it");
  CHECK(mistakes("name: a\nname: b\n") == "f.yaml:2: name: set twice, first in line 1");
  CHECK(mistakes("limits.depth: 5\nlimits:\n  depth: 6\n") ==
        "f.yaml:3: limits.depth: set twice, first in line 1");
  CHECK(mistakes("[a]: 5\n") == "f.yaml:1: expected a key, not a list");
  CHECK(mistakes("just words\n") == "f.yaml:1: expected keys and values, not a single value");
  CHECK(mistakes("name: a\n---\nname: b\n").find("one document") != std::string::npos);
  CHECK(mistakes("name: a\nlimits: {\n").find("this is no YAML") != std::string::npos);
  CHECK(mistakes("limits: &a\n  depth: 1\n  deeper: *a\n").find("f.yaml:") == 0);
}

TEST_CASE("all mistakes of a file are told at once") {
  CHECK(mistakes("nam: x\nlimits:\n  depth: 100\n") ==
        "f.yaml:1: unknown key \"nam\"; did you mean \"name\"?\n"
        "f.yaml:3: limits.depth: expected an integer from 1 to 64, not \"100\"");
}

TEST_CASE("a file that can't be read is named") {
  SampleConfig config;
  OptionTable table = sample_table(config);
  const Status missing = sluice::runtime::read_config_file(table, "/nonexistent/f.yaml");
  REQUIRE_FALSE(missing.has_value());
  CHECK(missing.error().message.find("/nonexistent/f.yaml: No such file") != std::string::npos);
  const Status folder = sluice::runtime::read_config_file(table, "/tmp");
  REQUIRE_FALSE(folder.has_value());
  CHECK(folder.error().message.find("/tmp") != std::string::npos);
}
