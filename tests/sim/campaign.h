#pragma once

#include <cstdint>
#include <string>

#include "tests/sim/run.h"

namespace sluice::sim {

struct CampaignOptions {
  std::uint64_t count = 0;
  std::string base;  ///< seeds are derived from it
  unsigned jobs = 2;
  unsigned twice_percent = 5;
  unsigned limit_s = 60;       ///< a run's, of a processor
  unsigned seconds = 0;        ///< the whole; 0: until all are done
  bool until_failure = false;  ///< no explanations
  std::string hashes_file;     ///< gets "SEED HASH" for each run, in their order; empty: none does
  std::string marks_file;      ///< what must have happened in all of them together; empty: nothing
};

/// Many seeds. 0, or the verdict of the first that failed; it tells how to replay that one.
[[nodiscard]] int run_campaign(const CampaignOptions& options);

/// What failed, with one command to replay it, and one with as few of its faults as could be found.
void report_failure(const RunOptions& run, const RunResult& result, unsigned limit_s);

/// The seeds of a base: the same on every machine.
[[nodiscard]] std::uint64_t derive_seed(const std::string& base, std::uint64_t number);

}  // namespace sluice::sim
