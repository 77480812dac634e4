#include "runtime/options.h"

#include <catch2/catch.hpp>

#include "tests/unit/runtime/sample_config.h"

using sluice::Status;
using sluice::runtime::nearest_word;
using sluice::runtime::OptionTable;

namespace {

std::string error_of(OptionTable& table, const char* key, std::vector<std::string> values) {
  const Status set = table.find(key)->set(values);
  return set ? "" : set.error().message;
}

}  // namespace

TEST_CASE("an option sets the field that it is bound to") {
  SampleConfig config;
  OptionTable table = sample_table(config);
  CHECK(error_of(table, "name", {"berta"}).empty());
  CHECK(error_of(table, "store.path", {"/srv"}).empty());
  CHECK(error_of(table, "eager", {"true"}).empty());
  CHECK(error_of(table, "limits.depth", {"64"}).empty());
  CHECK(error_of(table, "limits.timeout_ms", {"7"}).empty());
  CHECK(error_of(table, "limits.spin_us", {"8"}).empty());
  CHECK(table.find("limits.pause_us")->default_text() == "3000");
  CHECK(error_of(table, "limits.pause_us", {"9"}).empty());
  CHECK(error_of(table, "limits.buffer", {"8K"}).empty());
  CHECK(error_of(table, "limits.memory", {"2G"}).empty());
  CHECK(error_of(table, "colour", {"red"}).empty());
  CHECK(error_of(table, "master", {"[::1]:7000"}).empty());
  CHECK(error_of(table, "listen", {"a:1", "b:2"}).empty());
  CHECK(error_of(table, "tags", {}).empty());
  CHECK(config.name == "berta");
  CHECK(config.path == "/srv");
  CHECK(config.is_eager);
  CHECK(config.depth == 64);
  CHECK(config.timeout == std::chrono::milliseconds(7));
  CHECK(config.spin == std::chrono::microseconds(8));
  CHECK(config.pause == std::chrono::microseconds(9));
  CHECK(config.buffer == 8192);
  CHECK(config.memory == sluice::ByteCount(std::uint64_t{2} << 30U));
  CHECK(config.colour == SampleConfig::Colour::red);
  CHECK(config.master == sluice::transport::Address{"::1", 7000});
  CHECK(config.listen == std::vector<sluice::transport::Address>{{"a", 1}, {"b", 2}});
}

TEST_CASE("a bad value changes nothing and is answered with what was expected") {
  SampleConfig config;
  OptionTable table = sample_table(config);
  CHECK(error_of(table, "limits.depth", {"65"}) == R"(expected an integer from 1 to 64, not "65")");
  CHECK(error_of(table, "limits.depth", {"0"}) == R"(expected an integer from 1 to 64, not "0")");
  CHECK(error_of(table, "limits.depth", {"-1"}) == R"(expected an integer from 1 to 64, not "-1")");
  CHECK(error_of(table, "limits.depth", {"1.5"}) == R"(expected an integer from 1 to 64, not "1.5")");
  CHECK(error_of(table, "limits.depth", {""}) == R"(expected an integer from 1 to 64, not "")");
  CHECK(error_of(table, "eager", {"yes"}) == R"(expected true or false, not "yes")");
  CHECK(error_of(table, "colour", {"blue"}) == R"(expected red|green, not "blue")");
  CHECK(error_of(table, "store.path", {"srv"}) == R"(expected an absolute path, not "srv")");
  CHECK(error_of(table, "limits.memory", {"1"}) == R"(expected a size from 4K to 1T, not "1")");
  CHECK(error_of(table, "limits.memory", {"much"}).find("10G") != std::string::npos);
  CHECK(error_of(table, "listen", {"a:1", "b"}).find("HOST:PORT") != std::string::npos);
  CHECK(config.depth == 16);
  CHECK(config.listen.empty());
  CHECK_FALSE(table.find("limits.depth")->was_set());
}

TEST_CASE("a required option and a broken rule are named") {
  SampleConfig config;
  OptionTable table = sample_table(config);
  CHECK(table.verify().has_value());
  table.find("master")->required();
  const Status missing = table.verify();
  REQUIRE_FALSE(missing.has_value());
  CHECK(missing.error().message.find("master is not set: Whom to ask") == 0);
  REQUIRE(table.find("master")->set(std::vector<std::string>{"a:1"}).has_value());
  CHECK(table.verify().has_value());
  table.add_rule([] { return sluice::fail(sluice::StatusCode::invalid_argument, "never right"); });
  CHECK(table.verify().error().message == "never right");
}

TEST_CASE("the nearest word is a slip away, or it is none") {
  const std::vector<std::string> words{"transport.provider", "transport.device", "polling.spin_us", "log"};
  CHECK(nearest_word("transport.provder", words) == "transport.provider");
  CHECK(nearest_word("transprot.device", words) == "transport.device");
  CHECK(nearest_word("spin_us", words) == "polling.spin_us");
  CHECK(nearest_word("lgo", words) == "log");
  CHECK(nearest_word("colour", words).empty());
  CHECK(nearest_word("", words).empty());
  CHECK(nearest_word(std::string(100'000, 'x'), words).empty());
}
