#include "tests/sim/fault_plan.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "tests/sim/disk.h"
#include "tests/sim/store.h"
#include "transport/sim/faults.h"
#include "transport/sim/random.h"

namespace sluice::sim {

using std::chrono::milliseconds;
using transport::sim::Random;

namespace {

constexpr std::array<std::string_view, kFaults> kNames = {
    "kill_master",   "kill_node",    "kill_client",   "power_loss",    "master_power_loss",
    "pause_master",  "pause_node",   "pause_client",  "partition",     "partition_one_way",
    "cut_path",      "stall_path",   "remove_device", "new_master",    "network_noise",
    "disk_noise",    "store_noise",  "late_threads",  "crash_in_call", "crash_at_commit",
    "restore_store", "restore_disk", "corruption",    "steal",         "migrate",
    "cancel_move",   "resize",       "close"};

/// How much of each kind a usual day has; 0: only in the seeds of the rare ones.
constexpr std::array<std::uint32_t, kFaults> kWeights = {4, 6, 6,  4, 1, 3,  // kill_master .. pause_master
                                                         4, 4, 5,  3, 6, 9,  // pause_node .. stall_path
                                                         1, 4, 10, 8, 9, 2,  // remove_device .. late_threads
                                                         2, 3, 0,  0, 0, 9,  // crash_in_call .. steal
                                                         4, 1, 2,  5};       // migrate .. close
constexpr std::array kRare = {Fault::restore_store, Fault::restore_disk, Fault::corruption};

bool is_noise(Fault fault) {
  return fault == Fault::network_noise || fault == Fault::disk_noise || fault == Fault::store_noise;
}

void choose_noise(PlannedFault& planned, Random& random) {
  static constexpr std::array<std::uint32_t, 4> kRates = {300, 2'000, 10'000, 60'000};
  planned.ppm = kRates[random.below(kRates.size())];
  switch (planned.fault) {
    case Fault::network_noise:
      planned.detail = random.below(transport::sim::kRandomFaultKinds);
      // There are far fewer connects and registrations than posts.
      if (planned.detail >= static_cast<std::uint64_t>(transport::sim::FaultKind::stuck_drain))
        planned.ppm = std::min(planned.ppm * 20, 600'000U);
      break;
    case Fault::disk_noise:
      planned.detail = random.below(kRandomDiskFaults);
      if (planned.detail == static_cast<std::uint64_t>(DiskFault::call_error) ||
          planned.detail == static_cast<std::uint64_t>(DiskFault::store_error))
        planned.ppm = std::min(planned.ppm * 20, 600'000U);
      if (planned.detail == static_cast<std::uint64_t>(DiskFault::hang))
        planned.ppm = std::min(planned.ppm, 2'000U);
      break;
    default:
      planned.detail = random.below(kRandomStoreFaults);
      // Transactions are very few.
      planned.ppm = std::clamp(planned.ppm * 50, 100'000U, 500'000U);
      break;
  }
}

Duration choose_span(Random& random, Duration longest) {
  // Mostly short, sometimes long.
  const Duration most = random.below(3) == 0 ? longest : longest / 10;
  return milliseconds(1) + random.up_to(most);
}

}  // namespace

std::string_view to_string(Fault fault) noexcept {
  return kNames[static_cast<std::size_t>(fault)];
}

std::string to_string(const PlannedFault& planned) {
  const auto in_ms = [](Duration span) {
    return std::to_string(std::chrono::duration_cast<milliseconds>(span).count()) + " ms";
  };
  std::string text = "#" + std::to_string(planned.number) + " at " + in_ms(planned.at) + ": " +
                     std::string(to_string(planned.fault)) + " " + std::to_string(planned.target);
  if (planned.fault == Fault::network_noise)
    text += " " + std::string(to_string(static_cast<transport::sim::FaultKind>(planned.detail)));
  if (planned.fault == Fault::disk_noise)
    text += " " + std::string(to_string(static_cast<DiskFault>(planned.detail)));
  if (planned.fault == Fault::store_noise)
    text += " " + std::string(to_string(static_cast<StoreFault>(planned.detail)));
  if (planned.ppm > 0) text += " at " + std::to_string(planned.ppm) + " ppm";
  return text + ", for " + in_ms(planned.lasts);
}

std::vector<PlannedFault> make_plan(std::uint64_t seed, Duration span) {
  Random random(seed ^ 0x6661'756c'7473U);
  std::array<std::uint32_t, kFaults> weights = kWeights;
  // Each seed leaves out some kinds, and has much of others.
  for (std::uint32_t& weight : weights) {
    const std::uint64_t draw = random.below(8);
    if (draw < 3) weight = 0;
    if (draw == 7) weight *= 4;
  }
  if (random.below(8) == 0) {
    const Fault rare = kRare[random.below(kRare.size())];
    weights[static_cast<std::size_t>(rare)] = 6;
    // An old copy of the store or a disk doesn't know where volumes have moved since, or how large they are:
    // that is the operator's to put right.
    if (rare != Fault::corruption) {
      for (const Fault lost : {Fault::migrate, Fault::cancel_move, Fault::resize})
        weights[static_cast<std::size_t>(lost)] = 0;
    }
  }
  std::uint64_t sum = 0;
  for (const std::uint32_t weight : weights)
    sum += weight;

  std::vector<PlannedFault> plan;
  const std::uint64_t count = sum == 0 ? 0 : random.below(25);
  for (std::uint64_t i = 0; i < count; ++i) {
    PlannedFault planned;
    std::uint64_t draw = random.below(sum);
    std::size_t kind = 0;
    while (draw >= weights[kind])
      draw -= weights[kind++];
    planned.fault = static_cast<Fault>(kind);
    planned.at = random.up_to(span);
    planned.target = random.below(12);
    planned.detail = random.below(1'000'000);
    planned.lasts = choose_span(random, is_noise(planned.fault) ? span : span / 3);
    // Mostly until clients have given the path up, and not much longer: what is late then hurts most.
    if (planned.fault == Fault::stall_path && random.below(4) > 0)
      planned.lasts = milliseconds(250) + random.up_to(milliseconds(200));
    if (is_noise(planned.fault)) choose_noise(planned, random);
    plan.push_back(planned);
  }
  std::stable_sort(plan.begin(), plan.end(),
                   [](const PlannedFault& a, const PlannedFault& b) { return a.at < b.at; });
  for (std::size_t i = 0; i < plan.size(); ++i)
    plan[i].number = static_cast<std::uint32_t>(i);
  return plan;
}

Result<FaultFilter> FaultFilter::parse(std::string_view text) {
  if (text == "all") return FaultFilter();
  if (text == "none") return FaultFilter::only({});
  const bool only = text.starts_with("only=");
  if (!only && !text.starts_with("without="))
    return fail(StatusCode::invalid_argument,
                "faults: expected all, none, only=N,N... or without=N,N..., not " + std::string(text));
  text.remove_prefix(text.find('=') + 1);
  std::set<std::uint32_t> numbers;
  while (!text.empty()) {
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc())
      return fail(StatusCode::invalid_argument, "faults: expected numbers, not " + std::string(text));
    numbers.insert(number);
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (text.starts_with(",")) text.remove_prefix(1);
  }
  return FaultFilter(only, std::move(numbers));
}

std::string FaultFilter::describe() const {
  if (numbers_.empty()) return only_ ? "none" : "all";
  std::string text = only_ ? "only=" : "without=";
  for (const std::uint32_t number : numbers_)
    text += (text.back() == '=' ? "" : ",") + std::to_string(number);
  return text;
}

}  // namespace sluice::sim
