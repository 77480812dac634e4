#include "tests/sim/campaign.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <deque>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "tests/sim/child.h"
#include "tests/sim/shrink.h"

namespace sluice::sim {
namespace {

constexpr unsigned kMostShrinkingRuns = 60;
/// The process that explains failures explains so many.
constexpr std::size_t kMostReports = 3;
/// So many of what hardly happened are named.
constexpr std::ptrdiff_t kMostRare = 5;
/// Runs are collected in their order: so many may have ended behind one that takes long.
constexpr std::size_t kMostRunning = 200;

std::vector<std::string> read_lines(const std::string& path) {
  std::vector<std::string> lines;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.empty() && line.front() != '#') lines.push_back(line);
  }
  return lines;
}

class Campaign {
 public:
  explicit Campaign(const CampaignOptions& options) : options_(options) {}

  int run() {
    if (!options_.hashes_file.empty()) {
      hashes_.open(options_.hashes_file, std::ios::trunc);
      if (!hashes_) {
        std::cerr << "sluice-sim: can't write the hashes to " << options_.hashes_file << "\n";
        return 1;
      }
    }
    while (failures_.size() < (options_.until_failure ? 1 : kMostReports)) {
      while (count_busy() < options_.jobs && running_.size() < kMostRunning && may_start())
        start_next();
      if (running_.empty()) break;
      if (running_.front().child->has_ended()) {
        collect_oldest();
      } else {
        listen();
      }
    }
    running_.clear();
    if (options_.until_failure && !failures_.empty()) {
      const RunResult& first = failures_.front().second;
      std::cout << "after " << done_ << " seeds: " << first.rule << ": " << first.what << "\n";
      return static_cast<int>(first.verdict);
    }
    for (const auto& [run, result] : failures_)
      report_failure(run, result, options_.limit_s);
    const bool all_marked = check_marks();
    std::cout << done_ << " seeds of base " << options_.base << ", " << repeated_
              << " of them twice: " << done_ - failures_.size() << " passed, " << failures_.size()
              << " failed; " << virtual_ms_ / 1000 << " s of virtual time, " << events_ << " events, "
              << operations_ << " operations, " << elapsed_s() << " s\n";
    if (!failures_.empty()) return static_cast<int>(failures_.front().second.verdict);
    return all_marked ? 0 : 1;
  }

 private:
  struct Running {
    RunOptions run;
    std::unique_ptr<Child> child;
    bool is_repetition = false;
    std::uint64_t expected_hash = 0;
  };

  [[nodiscard]] std::int64_t elapsed_s() const {
    return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - begun_)
        .count();
  }
  [[nodiscard]] bool may_start() const {
    if (!repetitions_.empty()) return true;
    return next_ < options_.count && (options_.seconds == 0 || elapsed_s() < options_.seconds);
  }
  void start_next() {
    Running next;
    if (!repetitions_.empty()) {
      next.run = repetitions_.front().first;
      next.expected_hash = repetitions_.front().second;
      next.is_repetition = true;
      repetitions_.pop_front();
    } else {
      next.run.seed = derive_seed(options_.base, next_++);
    }
    next.child = std::make_unique<Child>(next.run, options_.limit_s, false);
    running_.push_back(std::move(next));
  }
  [[nodiscard]] std::size_t count_busy() const {
    return static_cast<std::size_t>(
        std::ranges::count_if(running_, [](const Running& each) { return !each.child->has_ended(); }));
  }
  void listen() {
    std::vector<Child*> children;
    for (const Running& each : running_)
      children.push_back(each.child.get());
    Child::listen(children);
  }
  void collect_oldest() {
    const Running oldest = std::move(running_.front());
    running_.pop_front();
    RunResult result = oldest.child->result();
    events_ += result.events;
    virtual_ms_ += result.virtual_ms;
    if (oldest.is_repetition) {
      ++repeated_;
      if (result.hash != oldest.expected_hash) {
        result.verdict = Verdict::safety;
        result.rule = "determinism";
        result.what = "two runs of one seed did different things";
        failures_.emplace_back(oldest.run, result);
      }
      return;
    }
    ++done_;
    if (hashes_.is_open()) hashes_ << std::dec << oldest.run.seed << " " << std::hex << result.hash << "\n";
    operations_ += result.marks["io.started"];
    for (const auto& [name, count] : result.marks)
      if (count > 0) ++seeds_with_[name];
    if (result.verdict != Verdict::passed) {
      failures_.emplace_back(oldest.run, result);
    } else if (done_ * options_.twice_percent / 100 > (done_ - 1) * options_.twice_percent / 100) {
      repetitions_.emplace_back(oldest.run, result.hash);
    }
  }
  /// Also says what came close to never happening: other seeds may not have it.
  bool check_marks() {
    if (options_.marks_file.empty()) return true;
    std::vector<std::pair<std::uint64_t, std::string>> rarest;
    for (const std::string& name : read_lines(options_.marks_file))
      rarest.emplace_back(seeds_with_[name], name);
    std::ranges::sort(rarest);
    const auto first_marked = std::ranges::find_if(rarest, [](const auto& each) { return each.first > 0; });
    for (auto missed = rarest.begin(); missed != first_marked; ++missed)
      std::cout << "never happened: " << missed->second << "\n";
    std::cout << "rarest:";
    const auto end = first_marked + std::min(kMostRare, rarest.end() - first_marked);
    for (auto each = first_marked; each != end; ++each)
      std::cout << " " << each->second << " (" << each->first << " seeds)";
    std::cout << "\n";
    return first_marked == rarest.begin();
  }

  const CampaignOptions& options_;
  const std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
  std::uint64_t next_ = 0;
  std::deque<Running> running_;
  std::deque<std::pair<RunOptions, std::uint64_t>> repetitions_;
  std::vector<std::pair<RunOptions, RunResult>> failures_;
  std::uint64_t done_ = 0;
  std::uint64_t repeated_ = 0;
  std::uint64_t events_ = 0;
  std::uint64_t virtual_ms_ = 0;
  std::uint64_t operations_ = 0;
  std::map<std::string, std::uint64_t> seeds_with_;  ///< each mark
  std::ofstream hashes_;
};

}  // namespace

int run_campaign(const CampaignOptions& options) {
  return Campaign(options).run();
}

void report_failure(const RunOptions& run, const RunResult& result, unsigned limit_s) {
  std::cout << "\nFAILED (" << to_string(result.verdict) << ") seed " << run.seed << "\n  " << result.rule
            << ": " << result.what << "\n  replay: " << replay_command(run) << "\n"
            << std::flush;
  if (result.rule == "determinism") return;
  const RunOptions smaller = shrink(run, result.verdict, limit_s, kMostShrinkingRuns);
  std::cout << "  shrunk: " << replay_command(smaller) << "\n";
  for (const PlannedFault& planned : make_plan(smaller.seed, std::chrono::milliseconds(span_ms(smaller)))) {
    if (smaller.faults.takes(planned)) std::cout << "    " << to_string(planned) << "\n";
  }
  std::cout << std::flush;
}

/// FNV-1a over the base, then splitmix64 over that and the number.
std::uint64_t derive_seed(const std::string& base, std::uint64_t number) {
  std::uint64_t hash = 0xcbf2'9ce4'8422'2325U;
  for (const char each : base)
    hash = (hash ^ static_cast<unsigned char>(each)) * 0x0000'0100'0000'01b3U;
  std::uint64_t mixed = hash + (number + 1) * 0x9e37'79b9'7f4a'7c15U;
  mixed = (mixed ^ (mixed >> 30U)) * 0xbf58'476d'1ce4'e5b9U;
  mixed = (mixed ^ (mixed >> 27U)) * 0x94d0'49bb'1331'11ebU;
  return mixed ^ (mixed >> 31U);
}

}  // namespace sluice::sim
