#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "tests/sim/fault_plan.h"

namespace sluice::sim {

struct RunOptions {
  std::uint64_t seed = 1;
  std::optional<std::uint64_t> steps;  ///< virtual milliseconds of faults; else drawn from the seed
  FaultFilter faults;
  /// Gets every line that a process logs, and every fault, with its time.
  std::function<void(std::string_view line)> trace;
};

enum class Verdict : std::uint8_t {
  passed = 0,
  safety = 10,    ///< a rule of protocol.md was broken
  liveness = 11,  ///< nothing is wrong any more, and yet something doesn't end
  crash = 12,     ///< the process died: a violated check, a sanitizer, a signal
};
[[nodiscard]] std::string_view to_string(Verdict verdict) noexcept;

struct RunResult {
  Verdict verdict = Verdict::passed;
  std::string rule;
  std::string what;
  std::uint64_t hash = 0;  ///< of everything that happened
  std::uint64_t virtual_ms = 0;
  std::uint64_t events = 0;
  /// How often things happened: faults, refusals, outcomes; by name.
  std::map<std::string, std::uint64_t> marks;
};

/// One seed: a cluster at work, its faults, and then the proof that it is well again.
[[nodiscard]] RunResult run_seed(const RunOptions& options);

/// How long a seed's bad day is, in milliseconds of virtual time.
[[nodiscard]] std::uint64_t span_ms(const RunOptions& options);

/// "sluice-sim --seed 7 --steps 3000 --faults without=2".
[[nodiscard]] std::string replay_command(const RunOptions& options);

}  // namespace sluice::sim
