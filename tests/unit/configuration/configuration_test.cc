#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "client/cli/options.h"
#include "master/options.h"
#include "runtime/config_file.h"
#include "runtime/option_page.h"
#include "storage_node/options.h"

namespace {

/// A program's options, bound to a configuration of its own.
struct Program {
  std::string sample;  ///< in config/
  std::function<void(const std::function<void(sluice::runtime::OptionTable&)>&)> with_table;
};

template <typename Config>
Program program(std::string sample, sluice::runtime::OptionTable (*bind)(Config&)) {
  return {std::move(sample), [bind](const std::function<void(sluice::runtime::OptionTable&)>& use) {
            Config config;
            sluice::runtime::OptionTable table = bind(config);
            use(table);
          }};
}

/// All programs that have a configuration.
std::vector<Program> programs() {
  return {program("master.yaml", sluice::master::make_option_table),
          program("node.yaml", sluice::storage_node::make_option_table),
          program("client.yaml", sluice::cli::client_option_table)};
}

std::string page() {
  std::string text =
      "# Configuration\n\n"
      "<!-- Written by configuration_test from the programs' own tables of options. -->\n\n"
      "Each program reads a YAML file, in which a key with a point is a key in a group:\n\n"
      "```yaml\ntransport:\n  provider: verbs\n```\n\n"
      "Each key can be set on the command line as well, which wins over the file: "
      "`--transport.provider=verbs`; lists "
      "with commas.\n`--config FILE` names another file, `--check-config` (`sluice config check`) says what "
      "is wrong "
      "with one, with file, line and key.\nSizes are bytes, or numbers with K, M, G, T, P or E: powers of "
      "1024. "
      "Keys that end in `_ms` or `_us` are milliseconds or microseconds.\n";
  for (const Program& each : programs()) {
    each.with_table(
        [&text](sluice::runtime::OptionTable& table) { text += "\n" + reference_section(table); });
  }
  return text;
}

}  // namespace

// To write the page anew after a change of the options:
// SLUICE_WRITE_PAGE=1 configuration_test "docs/configuration.md is what the programs' tables say"
TEST_CASE("docs/configuration.md is what the programs' tables say") {
  const std::string expected = page();
  if (std::getenv("SLUICE_WRITE_PAGE") != nullptr) std::ofstream(SLUICE_CONFIGURATION_PAGE) << expected;
  std::ifstream file(SLUICE_CONFIGURATION_PAGE);
  std::ostringstream text;
  text << file.rdbuf();
  CHECK(text.str() == expected);
}

TEST_CASE("each sample file is a good configuration") {
  for (const Program& each : programs()) {
    std::string path(SLUICE_SAMPLES);
    path.append("/").append(each.sample);
    each.with_table([&path](sluice::runtime::OptionTable& table) {
      const sluice::Status read = sluice::runtime::read_config_file(table, path);
      INFO((read ? "" : read.error().message));
      CHECK(read.has_value());
      const sluice::Status verified = table.verify();
      INFO((verified ? "" : verified.error().message));
      CHECK(verified.has_value());
    });
  }
}
