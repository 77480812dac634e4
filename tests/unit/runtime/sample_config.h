#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "runtime/options.h"

/// A configuration with an option of each type, for the tests of what reads and shows options.
struct SampleConfig {
  enum class Colour { red, green };

  std::string name = "anna";
  std::string path;
  bool is_eager = false;
  std::uint8_t depth = 16;
  std::chrono::milliseconds timeout{500};
  std::chrono::microseconds spin{50};
  sluice::Duration pause = std::chrono::milliseconds(3);
  std::size_t buffer = 65536;
  sluice::ByteCount memory{std::uint64_t{1} << 30U};
  Colour colour = Colour::green;
  sluice::transport::Address master;
  std::vector<sluice::transport::Address> listen;
  std::vector<std::string> tags;
};

inline sluice::runtime::OptionTable sample_table(SampleConfig& config) {
  sluice::runtime::OptionTable table(
      {"sluice-sample", "Shows what options are like.", "/nonexistent/sample.yaml", "SLUICE_SAMPLE_CONFIG"});
  table.group("General");
  table.add("name", config.name, "Whom to greet");
  table.add("store.path", config.path, "Where things are kept", [](const std::string& path) {
    return path.starts_with('/') ? std::nullopt : std::optional<std::string>("an absolute path");
  });
  table.add("eager", config.is_eager, "Start at once");
  table.group("Limits");
  table.add("limits.depth", config.depth, {1, 64}, "How deep to go");
  table.add("limits.timeout_ms", config.timeout, {1, 60'000}, "How long to wait");
  table.add("limits.spin_us", config.spin, {}, "How long to look");
  table.add("limits.memory", config.memory, {4096, std::uint64_t{1} << 40U}, "How much to take");
  table.add("limits.pause_us", config.pause, {1, 1'000'000}, "How long to rest");
  table.add_size("limits.buffer", config.buffer, {512, 1U << 20U}, "How much to hold");
  table.group("Network");
  table.add_choice("colour", config.colour,
                   {{"red", SampleConfig::Colour::red}, {"green", SampleConfig::Colour::green}},
                   "Of the light");
  table.add("master", config.master, "Whom to ask");
  table.add("listen", config.listen, "Where to listen");
  table.add("tags", config.tags, "What else to say");
  return table;
}
