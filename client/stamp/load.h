#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "client/block_client.h"
#include "client/stamp/journal.h"
#include "protocol/base/clock.h"

namespace sluice::stamp {

struct LoadPlan {
  std::uint32_t depth = 32;  ///< writes and reads in flight
  Duration length{};         ///< of the load; 0: until it is stopped
  std::uint32_t read_percent = 25;
  std::uint64_t seed = 1;  ///< which blocks, in which order
};

/// What became of a load. A block is wrong if what it holds isn't between its last acknowledged and its last
/// sent write.
struct LoadReport {
  std::uint64_t writes = 0;
  std::uint64_t reads = 0;
  std::map<StatusCode, std::uint64_t> failures;  ///< completions that weren't ok
  std::vector<std::string> wrong_blocks;         ///< one sentence each, the first few
  std::uint64_t wrong_block_count = 0;
  Duration elapsed{};
  Duration longest_stall{};  ///< the longest time without a completion while something was outstanding
};

/// Writes stamped blocks at random places, one write a block at a time, and reads others and checks them,
/// until the plan's length has passed, `stop` is set, or the session has ended for good. Errors: the
/// journal's.
Result<LoadReport> run_load(client::BlockClient& client, Journal& journal, const LoadPlan& plan,
                            const volatile bool& stop);

/// Reads every block of the journal and checks it.
Result<LoadReport> check_all(client::BlockClient& client, const Journal& journal, std::uint32_t depth);

}  // namespace sluice::stamp
