#pragma once

#include <cstdint>

#include "tests/sim/run.h"

namespace sluice::sim {

/// A failing run with as few faults as can be found in `most_runs` tries: the same seed and verdict.
[[nodiscard]] RunOptions shrink(const RunOptions& options, Verdict verdict, unsigned limit_s,
                                unsigned most_runs);

}  // namespace sluice::sim
