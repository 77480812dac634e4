#include "master/options.h"

#include <catch2/catch.hpp>

#include "runtime/config_file.h"

namespace sluice::master::test {
namespace {

std::string mistake(const std::string& text) {
  MasterOptions options;
  auto table = make_option_table(options);
  Status status = runtime::read_config(table, text, "master.yaml");
  if (status) status = table.verify();
  REQUIRE_FALSE(status);
  return status.error().message;
}

}  // namespace

TEST_CASE("what is set in the file is what the master is told", "[options]") {
  MasterOptions options;
  auto table = make_option_table(options);
  REQUIRE(runtime::read_config(table,
                               "listen: [10.0.0.1:1, '[fe80::1]:2']\n"
                               "max_connections: 17\n"
                               "max_volumes: 18\n"
                               "heartbeat_timeout_ms: 4000\n"
                               "keepalive: {interval_ms: 250, misses: 5}\n",
                               "master.yaml"));
  REQUIRE(table.verify());
  const MasterConfig config = options.master_config();
  CHECK(config.listen == std::vector<transport::Address>{{"10.0.0.1", 1}, {"fe80::1", 2}});
  CHECK(config.max_connections == 17);
  CHECK(config.max_volumes == 18);
  CHECK(config.heartbeat_timeout == std::chrono::seconds(4));
  CHECK(config.keepalive.interval == std::chrono::milliseconds(250));
  CHECK(config.keepalive.misses == 5);
}

TEST_CASE("a mistake names the line and what was expected", "[options]") {
  CHECK_THAT(mistake("database: /a\nmax_volume: 3\n"),
             Catch::Contains("master.yaml:2") && Catch::Contains("max_volumes"));
  CHECK_THAT(mistake("max_connections: many\n"), Catch::Contains("integer"));
  CHECK_THAT(mistake("listen: [somewhere]\n"), Catch::Contains("HOST:PORT"));
  CHECK_THAT(mistake("listen: []\n"), Catch::Contains("listen"));
  CHECK_THAT(mistake("database: ''\n"), Catch::Contains("database"));
}

TEST_CASE("the sample file is right, and says the defaults", "[options]") {
  MasterOptions sample;
  auto table = make_option_table(sample);
  REQUIRE(runtime::read_config_file(table, SLUICE_SAMPLE_CONFIG));
  REQUIRE(table.verify());
  MasterOptions plain;
  auto defaults = make_option_table(plain);
  for (const runtime::Option& option : table.options()) {
    INFO(option.key());
    CHECK(option.values() == defaults.find(option.key())->values());
  }
}

}  // namespace sluice::master::test
