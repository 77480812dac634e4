#pragma once

#include <cstdint>
#include <vector>

#include "bench/transport/perf_link.h"

namespace sluice::bench {

struct PerfResult {
  std::vector<double>
      one_way_us;        ///< a sample an iteration, half of the round trip, sorted; empty for bandwidth
  double mib_per_s = 0;  ///< bandwidth only
};

/// The client's part of its plan.
Result<PerfResult> run_client(PerfLink& link);
/// The server's part.
Status run_server(PerfLink& link);

}  // namespace sluice::bench
