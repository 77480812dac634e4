#include "runtime/option_page.h"

#include <catch2/catch.hpp>

#include "runtime/config_file.h"
#include "tests/unit/runtime/sample_config.h"

using sluice::runtime::OptionTable;

TEST_CASE("the help lists each option under its group, with its type, meaning and default") {
  SampleConfig config;
  const std::string help = describe_options(sample_table(config));
  CHECK(help.find("\nLimits:\n  --limits.depth=integer from 1 to 64\n      How deep to go. Default: 16.\n") !=
        std::string::npos);
  CHECK(help.find("--listen=list of HOST:PORT, with commas\n") != std::string::npos);
}

TEST_CASE("the reference has a table a group, with bars escaped") {
  SampleConfig config;
  const std::string section = reference_section(sample_table(config));
  CHECK(section.find("## sluice-sample\n") == 0);
  CHECK(section.find("| `colour` | red\\|green | `green` | Of the light. |\n") != std::string::npos);
  CHECK(section.find("| `limits.memory` | size from 4K to 1T | `1G` | How much to take. |\n") !=
        std::string::npos);
}

TEST_CASE("the values that are shown are read back as the same values") {
  SampleConfig config;
  config.name = "e: [va] #1";
  config.listen = {{"::1", 7000}};
  config.colour = SampleConfig::Colour::red;
  config.path = "/srv/x";
  config.master = {"host", 1};
  const std::string shown = show_values(sample_table(config));

  SampleConfig again;
  OptionTable table = sample_table(again);
  const sluice::Status read = sluice::runtime::read_config(table, shown, "shown");
  INFO(shown);
  REQUIRE(read.has_value());
  CHECK(again.name == config.name);
  CHECK(again.listen == config.listen);
  CHECK(again.colour == config.colour);
  CHECK(again.master == config.master);
  CHECK(show_values(table) == shown);
}
