#include "runtime/command_line.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <catch2/catch.hpp>
#include <unistd.h>

#include "tests/unit/runtime/sample_config.h"

using sluice::Result;
using sluice::Status;
using sluice::runtime::Invocation;
using sluice::runtime::OptionTable;

namespace {

/// A file that goes with the test.
class ConfigFile {
 public:
  explicit ConfigFile(const std::string& text)
      : path_(std::filesystem::temp_directory_path() / ("sluice_config_test." + std::to_string(getpid()))) {
    std::ofstream(path_) << text;
  }
  ConfigFile(const ConfigFile&) = delete;
  ConfigFile& operator=(const ConfigFile&) = delete;
  ~ConfigFile() { std::filesystem::remove(path_); }

  [[nodiscard]] std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

Status load(SampleConfig& config, const std::vector<std::string>& arguments) {
  OptionTable table = sample_table(config);
  Result<Invocation> invocation = sluice::runtime::parse_arguments(table, arguments);
  if (!invocation) return tl::unexpected(invocation.error());
  return load_options(table, *invocation);
}

std::string error_of(const std::vector<std::string>& arguments) {
  SampleConfig config;
  const Status loaded = load(config, arguments);
  return loaded ? "" : loaded.error().message;
}

}  // namespace

TEST_CASE("the command line wins over the file, and the file over the default") {
  const ConfigFile file("name: from-file\nlimits:\n  depth: 7\n");
  SampleConfig config;
  REQUIRE(load(config, {"--config=" + file.path(), "--limits.depth=9"}).has_value());
  CHECK(config.name == "from-file");
  CHECK(config.depth == 9);
  CHECK(config.timeout == std::chrono::milliseconds(500));
}

TEST_CASE("an option is given with = or as two words, a switch alone, a list with commas") {
  SampleConfig config;
  REQUIRE(load(config, {"--name", "dora", "--eager", "--listen=a:1,b:2", "--tags="}).has_value());
  CHECK(config.name == "dora");
  CHECK(config.is_eager);
  CHECK(config.listen.size() == 2);
  CHECK(config.tags.empty());
  REQUIRE(load(config, {"--eager=false"}).has_value());
  CHECK_FALSE(config.is_eager);
}

TEST_CASE("the environment names a file unless the command line does") {
  const ConfigFile file("name: from-environment\n");
  setenv("SLUICE_SAMPLE_CONFIG", file.path().c_str(), 1);
  SampleConfig config;
  const Status loaded = load(config, {});
  const Status named = load(config, {"--config=/nonexistent/x"});
  unsetenv("SLUICE_SAMPLE_CONFIG");
  REQUIRE(loaded.has_value());
  CHECK(config.name == "from-environment");
  CHECK_FALSE(named.has_value());
}

TEST_CASE("a wrong argument is named, with what was expected") {
  CHECK(error_of({"--nmae=x"}).find("unknown option --nmae; did you mean \"name\"?") == 0);
  CHECK(error_of({"--limits.depth=x"}) == R"(--limits.depth: expected an integer from 1 to 64, not "x")");
  CHECK(error_of({"--eager=maybe"}) == R"(--eager: expected true or false, not "maybe")");
  CHECK(error_of({"word"}).find("expected options only") == 0);
  CHECK(error_of({"--name"}).find("--name") != std::string::npos);
  CHECK(error_of({"--nam=x"}).find("unknown option") == 0);
}

TEST_CASE("help, version and check-config are told apart from options") {
  SampleConfig config;
  OptionTable table = sample_table(config);
  const std::vector<std::string> arguments{"-h", "--version", "--check-config", "--name=x"};
  const Result<Invocation> invocation = parse_arguments(table, arguments);
  REQUIRE(invocation.has_value());
  CHECK(invocation->help);
  CHECK(invocation->version);
  CHECK(invocation->check_config);
  CHECK(invocation->overrides.size() == 1);
  CHECK(config.name == "anna");
}
