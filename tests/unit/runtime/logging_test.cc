#include "runtime/logging.h"

#include <filesystem>
#include <fstream>

#include <catch2/catch.hpp>
#include <unistd.h>
#include <yaml-cpp/yaml.h>

using sluice::runtime::LogConfig;
using sluice::runtime::LogFormat;
using sluice::runtime::Logging;
using sluice::runtime::LogLevel;

namespace {

class LogPlace {
 public:
  LogPlace()
      : path_(std::filesystem::temp_directory_path() / ("sluice_log_test." + std::to_string(getpid()))) {}
  LogPlace(const LogPlace&) = delete;
  LogPlace& operator=(const LogPlace&) = delete;
  ~LogPlace() {
    std::filesystem::remove(path_);
    std::filesystem::remove(moved());
  }
  [[nodiscard]] std::string path() const { return path_.string(); }
  [[nodiscard]] std::string moved() const { return path() + ".1"; }

  static std::vector<std::string> lines(const std::string& path) {
    std::ifstream file(path);
    std::vector<std::string> lines;
    std::string line;
    while (std::getline(file, line))
      lines.push_back(line);
    return lines;
  }

 private:
  std::filesystem::path path_;
};

LogConfig config_for(const LogPlace& place, LogFormat format) {
  return {.level = LogLevel::info, .format = format, .file = place.path()};
}

}  // namespace

TEST_CASE("a line of text has time, level, program and message") {
  const LogPlace place;
  const auto logging = Logging::open(config_for(place, LogFormat::text), "sluice-x");
  REQUIRE(logging.has_value());
  (*logging)->log(LogLevel::warning, "volume=12 {} %s\nforged");
  const auto lines = LogPlace::lines(place.path());
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].substr(27) == " warning sluice-x: volume=12 {} %s\\nforged");
  CHECK(lines[0][26] == 'Z');
}

TEST_CASE("a line of JSON is one object, whatever the message holds") {
  const LogPlace place;
  const auto logging = Logging::open(config_for(place, LogFormat::json), "sluice-x");
  REQUIRE(logging.has_value());
  const std::string message = "say \"hi\" \\ %v {}\n\t\x01 \xff end";
  (*logging)->sink()(LogLevel::error, message);
  const auto lines = LogPlace::lines(place.path());
  REQUIRE(lines.size() == 1);
  // JSON is YAML, as far as such an object goes.
  const YAML::Node object = YAML::Load(lines[0]);
  CHECK(object["level"].as<std::string>() == "error");
  CHECK(object["program"].as<std::string>() == "sluice-x");
  CHECK(object["message"].as<std::string>() == "say \"hi\" \\ %v {}\n\t\x01 \xef\xbf\xbd end");
}

TEST_CASE("the level can be changed while the program runs") {
  const LogPlace place;
  const auto logging = Logging::open(config_for(place, LogFormat::text), "sluice-x");
  REQUIRE(logging.has_value());
  (*logging)->log(LogLevel::debug, "unseen");
  (*logging)->set_level(LogLevel::debug);
  (*logging)->log(LogLevel::debug, "seen");
  (*logging)->set_level(LogLevel::error);
  (*logging)->log(LogLevel::warning, "unseen");
  CHECK(LogPlace::lines(place.path()).size() == 1);
}

TEST_CASE("a reload opens the file anew and takes over the level, or changes nothing") {
  const LogPlace place;
  const auto logging = Logging::open(config_for(place, LogFormat::text), "sluice-x");
  REQUIRE(logging.has_value());
  const auto reload = [&logging](const std::string& level) {
    LogConfig fresh;
    sluice::runtime::OptionTable table({"sluice-x", "", "/nonexistent/x.yaml"});
    add_log_options(table, fresh);
    sluice::runtime::Invocation invocation;
    invocation.overrides = {{"log.level", level}};
    reload_log(**logging, table, fresh, invocation);
  };
  std::filesystem::rename(place.path(), place.moved());
  reload("debug");
  CHECK(LogPlace::lines(place.moved()).empty());
  CHECK(LogPlace::lines(place.path()).size() == 1);
  CHECK((*logging)->is_on(LogLevel::debug));
  reload("loud");
  CHECK((*logging)->is_on(LogLevel::debug));
  CHECK(LogPlace::lines(place.path()).back().find("nothing is changed: --log.level: expected") !=
        std::string::npos);
}

TEST_CASE("a log file that can't be opened is named") {
  const auto logging = Logging::open({.file = "/nonexistent/log"}, "sluice-x");
  REQUIRE_FALSE(logging.has_value());
  CHECK(logging.error().message.find("/nonexistent/log") != std::string::npos);
}
