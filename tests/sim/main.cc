// sluice-sim: a cluster in one thread and virtual time, made to suffer.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include <boost/program_options.hpp>

#include "tests/sim/campaign.h"
#include "tests/sim/child.h"
#include "tests/sim/run.h"
#include "tests/sim/shrink.h"

namespace options = boost::program_options;

namespace sluice::sim {
namespace {

constexpr int kUsageError = 2;

options::options_description description() {
  options::options_description all(
      "usage: sluice-sim --seed N [--steps MS] [--faults WHICH] [--trace]\n"
      "       sluice-sim --count N [--base TEXT] [--jobs N] [--twice PERCENT] [--marks FILE] [--seconds N]\n"
      "                  [--hashes FILE]\n"
      "\nExit status: 0 passed, 10 a rule was broken, 11 something doesn't end, 12 a crash, 2 a wrong "
      "option.\n");
  all.add_options()("help,h", "this text");
  all.add_options()("seed", options::value<std::uint64_t>(), "one run; shrinks its faults if it fails");
  all.add_options()("steps", options::value<std::uint64_t>(),
                    "milliseconds of virtual time with faults; default: the seed says");
  all.add_options()("faults", options::value<std::string>()->default_value("all"),
                    "all, none, only=N,N... or without=N,N...: numbers of the seed's plan");
  all.add_options()("trace", "tell what happens; no shrinking");
  all.add_options()("hash", "print the run's hash alone");
  all.add_options()("count", options::value<std::uint64_t>(), "many runs");
  all.add_options()("base", options::value<std::string>()->default_value("sluice"),
                    "what their seeds are derived from, e.g. a commit's hash");
  all.add_options()("jobs", options::value<unsigned>()->default_value(2), "runs at a time");
  all.add_options()("twice", options::value<unsigned>()->default_value(5),
                    "per cent of the runs that are done twice and must do the same");
  all.add_options()("seconds", options::value<unsigned>()->default_value(0),
                    "stop after that time; 0: never");
  all.add_options()("limit", options::value<unsigned>()->default_value(60),
                    "seconds of a processor that one run may take");
  all.add_options()("until-failure", "stop at the first run that fails, and say only what it was");
  all.add_options()("hashes", options::value<std::string>(),
                    "write each run's seed and hash there, a line each");
  all.add_options()("marks", options::value<std::string>(),
                    "each line of this file names something that must have happened");
  return all;
}

int run_one(const RunOptions& run, unsigned limit_s, bool hash_only) {
  if (run.trace) {
    const RunResult result = run_seed(run);
    std::cout << to_string(result.verdict) << " " << result.rule << " " << result.what << "\n";
    return static_cast<int>(result.verdict);
  }
  const RunResult result = run_in_child(run, limit_s, true);
  if (hash_only) {
    std::cout << std::hex << result.hash << "\n";
    return static_cast<int>(result.verdict);
  }
  if (result.verdict == Verdict::passed) {
    std::cout << "passed: " << result.virtual_ms << " ms of virtual time, " << result.events
              << " events, hash " << std::hex << result.hash << "\n";
    return 0;
  }
  report_failure(run, result, limit_s);
  return static_cast<int>(result.verdict);
}

int run(int argc, char** argv) {
  options::variables_map given;
  try {
    options::store(options::parse_command_line(argc, argv, description()), given);
    options::notify(given);
  } catch (const options::error& error) {
    std::cerr << "sluice-sim: " << error.what() << "\n";
    return kUsageError;
  }
  const Result<FaultFilter> filter = FaultFilter::parse(given["faults"].as<std::string>());
  if (!filter) {
    std::cerr << "sluice-sim: " << filter.error().message << "\n";
    return kUsageError;
  }
  if (given.contains("seed")) {
    RunOptions one;
    one.seed = given["seed"].as<std::uint64_t>();
    one.faults = *filter;
    if (given.contains("steps")) one.steps = given["steps"].as<std::uint64_t>();
    if (given.contains("trace")) one.trace = [](std::string_view line) { std::cout << line << "\n"; };
    return run_one(one, given["limit"].as<unsigned>(), given.contains("hash"));
  }
  if (given.contains("count")) {
    CampaignOptions campaign;
    campaign.count = given["count"].as<std::uint64_t>();
    campaign.base = given["base"].as<std::string>();
    campaign.jobs = given["jobs"].as<unsigned>();
    campaign.twice_percent = given["twice"].as<unsigned>();
    campaign.limit_s = given["limit"].as<unsigned>();
    campaign.seconds = given["seconds"].as<unsigned>();
    campaign.until_failure = given.contains("until-failure");
    if (given.contains("hashes")) campaign.hashes_file = given["hashes"].as<std::string>();
    if (given.contains("marks")) campaign.marks_file = given["marks"].as<std::string>();
    return run_campaign(campaign);
  }
  std::cout << description();
  return given.contains("help") ? 0 : kUsageError;
}

}  // namespace
}  // namespace sluice::sim

int main(int argc, char** argv) {
  return sluice::sim::run(argc, argv);
}
