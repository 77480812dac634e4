#include "tests/sim/shrink.h"

#include <algorithm>
#include <chrono>
#include <set>
#include <vector>

#include "tests/sim/child.h"
#include "transport/sim/random.h"

namespace sluice::sim {
namespace {

/// Delta debugging (Zeller and Hildebrandt, 2002): leaves out ever smaller parts of the schedule.
class Shrinker {
 public:
  Shrinker(const RunOptions& options, Verdict verdict, unsigned limit_s, unsigned most_runs)
      : options_(options), verdict_(verdict), limit_s_(limit_s), runs_left_(most_runs) {
    options_.trace = {};
    options_.steps = span_ms(options);
  }

  RunOptions shrink() {
    std::vector<std::uint32_t> kept = numbers();
    if (!still_fails(kept)) return options_;  // it depends on something else
    if (still_fails({})) return with({});
    std::size_t parts = 2;
    while (kept.size() > 1 && runs_left_ > 0) {
      bool is_smaller = false;
      for (std::size_t part = 0; part < parts && runs_left_ > 0; ++part) {
        const std::vector<std::uint32_t> rest = without(kept, part, parts);
        if (!still_fails(rest)) continue;
        kept = rest;
        parts = std::max<std::size_t>(2, parts - 1);
        is_smaller = true;
        break;
      }
      if (is_smaller) continue;
      if (parts >= kept.size()) break;
      parts = std::min(kept.size(), 2 * parts);
    }
    return with(kept);
  }

 private:
  [[nodiscard]] std::vector<std::uint32_t> numbers() const {
    std::vector<std::uint32_t> taken;
    for (const PlannedFault& planned : make_plan(options_.seed, std::chrono::milliseconds(*options_.steps))) {
      if (options_.faults.takes(planned)) taken.push_back(planned.number);
    }
    return taken;
  }
  static std::vector<std::uint32_t> without(const std::vector<std::uint32_t>& all, std::size_t part,
                                            std::size_t parts) {
    const std::size_t from = all.size() * part / parts;
    const std::size_t to = all.size() * (part + 1) / parts;
    std::vector<std::uint32_t> rest;
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (i < from || i >= to) rest.push_back(all[i]);
    }
    return rest;
  }
  [[nodiscard]] RunOptions with(const std::vector<std::uint32_t>& numbers) const {
    RunOptions options = options_;
    options.faults = FaultFilter::only({numbers.begin(), numbers.end()});
    return options;
  }
  bool still_fails(const std::vector<std::uint32_t>& numbers) {
    if (runs_left_ == 0) return false;
    --runs_left_;
    return run_in_child(with(numbers), limit_s_, false).verdict == verdict_;
  }

  RunOptions options_;
  Verdict verdict_;
  unsigned limit_s_;
  unsigned runs_left_;
};

}  // namespace

RunOptions shrink(const RunOptions& options, Verdict verdict, unsigned limit_s, unsigned most_runs) {
  return Shrinker(options, verdict, limit_s, most_runs).shrink();
}

}  // namespace sluice::sim
