#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "client/cli/bench_run.h"
#include "client/cli/command.h"
#include "client/cli/open_volume.h"

namespace sluice::cli {
namespace {

constexpr std::array<std::pair<const char*, BenchPattern>, 5> kPatterns{
    {{"randread", BenchPattern::randread},
     {"randwrite", BenchPattern::randwrite},
     {"read", BenchPattern::read},
     {"write", BenchPattern::write},
     {"mixed", BenchPattern::mixed}}};

bool is_writing(BenchPattern pattern) {
  return pattern != BenchPattern::randread && pattern != BenchPattern::read;
}

std::string one_decimal(double value) {
  std::array<char, 32> text{};
  static_cast<void>(std::snprintf(text.data(), text.size(), "%.1f", value));
  return text.data();
}

/// The plan as the arguments have it, as far as it can be told without the volume.
Result<BenchPlan> read_plan(const Arguments& arguments) {
  BenchPlan plan;
  const std::string pattern = arguments.text("rw").value_or("randread");
  const auto found =
      std::find_if(kPatterns.begin(), kPatterns.end(), [&](const auto& p) { return pattern == p.first; });
  if (found == kPatterns.end()) {
    return arguments.wrong("--rw: expected randread, randwrite, read, write or mixed, not \"" + pattern +
                           "\"");
  }
  plan.pattern = found->second;
  const auto block_bytes = arguments.size("bs", ByteCount(plan.block_bytes));
  if (!block_bytes) return tl::unexpected(block_bytes.error());
  if (block_bytes->value() == 0 || block_bytes->value() > (64U << 20U)) {
    return arguments.wrong("--bs: expected a size from the volume's block size to 64M");
  }
  plan.block_bytes = block_bytes->value();
  const auto depth = arguments.number("depth", {1, 4096}, plan.depth);
  const auto seconds = arguments.number("time", {1, 86'400}, 10);
  const auto operations = arguments.number("ops", {1, std::uint64_t{1} << 48U}, 0);
  const auto read_percent = arguments.number("read-percent", {0, 100}, plan.read_percent);
  const auto seed = arguments.number("seed", {}, plan.seed);
  const auto span = arguments.size("span", {});
  for (const auto* const number : {&depth, &seconds, &operations, &read_percent, &seed}) {
    if (!*number) return tl::unexpected(number->error());
  }
  if (!span) return tl::unexpected(span.error());
  plan.depth = *depth;
  plan.time = std::chrono::seconds(*seconds);
  if (arguments.has("ops")) plan.operations = *operations;
  if (arguments.has("ops") && arguments.has("time"))
    return arguments.wrong("--time and --ops exclude each other");
  plan.read_percent = static_cast<std::uint32_t>(*read_percent);
  plan.seed = *seed;
  plan.span_bytes = span->value();
  plan.verify = arguments.has("verify");
  if (plan.verify && !is_writing(plan.pattern)) {
    return arguments.wrong(
        "--verify compares what the run has written: expected --rw randwrite, write or mixed");
  }
  return plan;
}

Status fit_to_volume(BenchPlan& plan, const client::VolumeInfo& info) {
  if (plan.block_bytes % info.block_size != 0) {
    return fail(StatusCode::invalid_argument, "--bs: expected a multiple of the volume's block size, " +
                                                  std::to_string(info.block_size) + " bytes");
  }
  if (plan.span_bytes == 0) plan.span_bytes = info.size_bytes;
  if (plan.span_bytes > info.size_bytes || plan.span_bytes < plan.block_bytes) {
    return fail(StatusCode::invalid_argument, "--span: expected a size from --bs to the volume's size, " +
                                                  std::to_string(info.size_bytes) + " bytes");
  }
  return {};
}

Record describe(const std::string& what, const BenchTotals& totals, const BenchPlan& plan, Duration took) {
  const double seconds = std::max(std::chrono::duration<double>(took).count(), 1e-9);
  const auto count = static_cast<double>(totals.latency.count());
  const auto add_us = [](Record& record, const char* key, Duration time) {
    const double us = std::chrono::duration<double, std::micro>(time).count();
    record.add(key, Json(us), one_decimal(us));
  };
  constexpr double kMegabyte = 1e6;
  Record record;
  record.add("operation", what);
  record.add("count", totals.latency.count());
  record.add("iops", Json(count / seconds), std::to_string(static_cast<std::uint64_t>(count / seconds)));
  const double rate = count * static_cast<double>(plan.block_bytes) / seconds / kMegabyte;
  record.add("mb_per_s", Json(rate), one_decimal(rate));
  add_us(record, "mean_us", totals.latency.mean());
  add_us(record, "p50_us", totals.latency.percentile(0.5));
  add_us(record, "p99_us", totals.latency.percentile(0.99));
  add_us(record, "p99.9_us", totals.latency.percentile(0.999));
  add_us(record, "max_us", totals.latency.greatest());
  record.add("errors", totals.errors);
  return record;
}

Status report(Context& context, const BenchPlan& plan, const BenchResult& result) {
  std::vector<Record> records;
  if (plan.pattern == BenchPattern::mixed || !is_writing(plan.pattern)) {
    records.push_back(describe("read", result.reads, plan, result.took));
  }
  if (is_writing(plan.pattern)) records.push_back(describe("write", result.writes, plan, result.took));
  if (plan.verify) {
    for (Record& record : records) {
      record.add("verified", result.verified);
      record.add("mismatches", result.mismatches);
    }
  }
  std::vector<std::string> columns;
  for (const Record::Cell& cell : records.front().cells())
    columns.push_back(cell.key);
  context.output.list(columns, records);

  if (result.mismatches > 0) {
    return fail(StatusCode::io_error, std::to_string(result.mismatches) + " of " +
                                          std::to_string(result.verified) +
                                          " reads brought other data than was written");
  }
  const std::uint64_t errors = result.reads.errors + result.writes.errors;
  if (errors == 0) return {};
  const StatusCode first = result.reads.errors > 0 ? result.reads.first_error : result.writes.first_error;
  return fail(first,
              std::to_string(errors) + " requests failed, the first with " + std::string(to_string(first)));
}

Status bench(Context& context, const Arguments& arguments) {
  auto plan = read_plan(arguments);
  if (!plan) return tl::unexpected(plan.error());
  const std::string name = arguments.operand(0);
  if (is_writing(plan->pattern)) {
    if (Status sure = require_yes(arguments, "overwrites data of volume " + name); !sure) return sure;
  }
  client::BlockClientConfig config = volume_config(context.options, name);
  config.read_only = !is_writing(plan->pattern);
  config.queue_depth = std::max(config.queue_depth, static_cast<std::uint32_t>(plan->depth));
  std::optional<BenchResult> result;
  Status outcome = with_volume(context, config, [&](client::BlockClient& volume) -> Status {
    if (Status fits = fit_to_volume(*plan, volume.info()); !fits) return fits;
    const auto buffers = RegisteredBuffers::make(volume, plan->depth, plan->block_bytes);
    if (!buffers) return tl::unexpected(buffers.error());
    const auto ran = BenchRun(volume, **buffers, *plan).run();
    if (!ran) return tl::unexpected(ran.error());
    result = *ran;
    return {};
  });
  if (!outcome) return outcome;
  return report(context, *plan, *result);
}

}  // namespace

std::span<const Command> bench_commands() {
  static const std::vector<Command> commands{
      {{"bench",
        "Measures a volume: requests a second, bytes a second, latency",
        {{"VOLUME"}},
        {{"rw", "PATTERN", "randread, randwrite, read, write (in order) or mixed (randread)"},
         {"bs", "SIZE", "of a request (4K)"},
         {"depth", "N", "requests under way (1)"},
         {"time", "SECONDS", "how long (10)"},
         {"ops", "N", "so many requests instead"},
         {"span", "SIZE", "use only so much of the volume, from its start"},
         {"read-percent", "N", "mixed: share of reads (70)"},
         {"seed", "N", "of what is random (1)"},
         {"verify", "", "compare what is read with what the run wrote"},
         {"yes", "", "overwrite the volume's data"}}},
       bench}};
  return commands;
}

}  // namespace sluice::cli
