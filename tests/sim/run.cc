#include "tests/sim/run.h"

#include <algorithm>
#include <vector>

#include "protocol/refusals.h"
#include "tests/sim/cluster.h"
#include "tests/sim/injector.h"

namespace sluice::sim {

using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

/// What a cluster that works takes at most for anything, in virtual time.
constexpr Duration kPatience = seconds(120);

std::uint64_t in_ms(Instant instant) {
  return static_cast<std::uint64_t>(instant.ns) / 1'000'000U;
}

/// One seed's life, step by step.
class Run {
 public:
  explicit Run(const RunOptions& options)
      : options_(options),
        random_(options.seed),
        span_(milliseconds(span_ms(options))),
        plan_(make_plan(options.seed, span_)),
        cluster_(options.seed, ClusterSetup::draw(options.seed), log()),
        injector_(cluster_, random_.next()) {}

  RunResult run() {
    if (options_.trace) {
      cluster_.history().trace = [this](const std::string& line) { log()(transport::LogLevel::debug, line); };
    }
    trace("cluster: " + cluster_.setup().describe());
    for (const PlannedFault& planned : plan_) {
      if (options_.faults.takes(planned)) trace("plan " + to_string(planned));
    }
    static_cast<void>(start() && have_a_bad_day() && get_well() && read_everything() && close_everything());
    finish();
    return std::move(result_);
  }

 private:
  void trace(const std::string& line) {
    if (options_.trace) options_.trace(line);
  }
  transport::LogSink log() {
    if (!options_.trace) return {};
    return [this](transport::LogLevel /*level*/, std::string_view line) {
      const std::uint64_t us = static_cast<std::uint64_t>(cluster_.now().ns) / 1000;
      options_.trace(std::to_string(us) + " us " + std::string(line));
    };
  }

  /// False: the run is over.
  bool is_fine() {
    const std::optional<Violation>& violation = cluster_.history().violation();
    if (!violation) return result_.verdict == Verdict::passed;
    result_.verdict = Verdict::safety;
    result_.rule = violation->rule;
    result_.what = violation->what;
    return false;
  }
  bool stuck(const std::string& what) {
    if (!is_fine()) return false;
    result_.verdict = Verdict::liveness;
    result_.rule = "liveness";
    result_.what = what;
    for (std::size_t i = 0; i < cluster_.setup().clients; ++i) {
      if (const ClientProcess* const client = cluster_.client(i)) result_.what += "; " + client->describe();
    }
    return false;
  }

  bool start() {
    cluster_.start_master(0);
    for (std::size_t i = 0; i < cluster_.setup().nodes; ++i)
      cluster_.start_node(i);
    if (!cluster_.make_volumes()) return stuck("a cluster without faults makes no volumes");
    for (std::size_t i = 0; i < cluster_.setup().clients; ++i)
      cluster_.start_client(i, i > 0 && random_.below(2) == 0);
    cluster_.start_stranger();
    const bool works = cluster_.run_until([this] { return count_connected() > 0; }, kPatience);
    return works || stuck("a cluster without faults opens no volume");
  }

  bool have_a_bad_day() {
    trace("the bad day begins at " + std::to_string(in_ms(cluster_.now())) + " ms");
    injector_.schedule(plan_, options_.faults);
    injector_.supervise();
    cluster_.run_for(span_);
    return is_fine();
  }

  /// Liveness: when faults stop, opens end, and every IO completes or its session is replaced.
  bool get_well() {
    injector_.heal();
    trace("healed at " + std::to_string(in_ms(cluster_.now())) + " ms");
    if (!cluster_.run_until([this] { return all_settled(); }, kPatience))
      return stuck(
          "faults have stopped, but not every client is connected or ended, or a move goes on for ever");
    cluster_.run_for(milliseconds(300));  // and they work
    for_each_client([](ClientProcess& client) { client.workload().stop(); });
    if (!cluster_.run_until([this] { return all_idle(); }, kPatience))
      return stuck("faults have stopped, but not every operation ends");
    return is_fine();
  }

  /// Nothing that was acknowledged is missing.
  bool read_everything() {
    for (std::size_t volume = 0; volume < cluster_.setup().volumes.size(); ++volume) {
      const std::size_t reader = reader_of(volume);
      if (reader == kNobody) continue;
      if (cluster_.client(reader) == nullptr || !cluster_.client(reader)->is_connected()) {
        cluster_.kill_client(reader);
        cluster_.start_client(reader, true);
      }
      ClientProcess& client = *cluster_.client(reader);
      client.workload().stop();
      if (!cluster_.run_until([&] { return client.is_connected() && client.workload().is_started(); },
                              kPatience))
        return stuck("faults have stopped, but a volume can't be opened");
      client.workload().read_all();
      client.wake_up();
      if (!cluster_.run_until(
              [&] { return client.workload().has_read_all() && client.workload().outstanding() == 0; },
              kPatience))
        return stuck("faults have stopped, but a volume can't be read");
    }
    return is_fine();
  }

  /// Pools are full again.
  bool close_everything() {
    for_each_client([](ClientProcess& client) { client.close(); });
    if (Stranger* const stranger = cluster_.stranger()) stranger->stop();
    if (!cluster_.run_until([this] { return all_ended(); }, kPatience)) return stuck("a close doesn't end");
    if (!cluster_.run_until([this] { return nodes_are_idle(); }, kPatience))
      return stuck("everybody has closed, but a node keeps sessions, paths or memory: " + describe_nodes());
    return is_fine();
  }

  void finish() {
    static_cast<void>(is_fine());
    collect_marks();
    result_.virtual_ms = in_ms(cluster_.now());
    result_.events = cluster_.network().events_run();
    result_.hash = hash();
  }

  static constexpr std::size_t kNobody = SIZE_MAX;

  template <typename Call>
  void for_each_client(Call&& call) {
    for (std::size_t i = 0; i < cluster_.setup().clients; ++i) {
      if (ClientProcess* const client = cluster_.client(i)) call(*client);
    }
  }
  std::size_t count_connected() {
    std::size_t count = 0;
    for_each_client([&](ClientProcess& client) { count += client.is_connected() ? 1U : 0U; });
    return count;
  }
  bool all_settled() {
    bool settled = cluster_.store().contents().rolled_back.empty();
    for (const auto& [id, record] : cluster_.store().contents().volumes)
      settled = settled && record.moving_to == protocol::NodeId(0);
    for_each_client(
        [&](ClientProcess& client) { settled = settled && (client.is_connected() || client.has_ended()); });
    return settled;
  }
  bool all_idle() {
    bool idle = true;
    for_each_client([&](ClientProcess& client) { idle = idle && client.workload().outstanding() == 0; });
    return idle;
  }
  bool all_ended() {
    bool ended = true;
    for_each_client([&](ClientProcess& client) { ended = ended && client.has_ended(); });
    return ended;
  }
  bool nodes_are_idle() {
    for (std::size_t i = 0; i < cluster_.setup().nodes; ++i) {
      if (cluster_.node(i) == nullptr || !cluster_.node(i)->is_idle()) return false;
    }
    return true;
  }
  std::string describe_nodes() {
    std::string text;
    for (std::size_t i = 0; i < cluster_.setup().nodes; ++i)
      text += cluster_.node(i) == nullptr ? "dead; " : cluster_.node(i)->describe() + "; ";
    return text;
  }
  /// Somebody who may read the volume: the one that has it, or else anybody.
  std::size_t reader_of(std::size_t volume) {
    std::size_t found = kNobody;
    for (std::size_t i = 0; i < cluster_.setup().clients; ++i) {
      if (cluster_.setup().volume_of(i) != volume) continue;
      if (found == kNobody || (cluster_.client(i) != nullptr && cluster_.client(i)->is_connected()))
        found = i;
    }
    return found;
  }

  void mark(const std::string& name, std::uint64_t count) {
    if (count > 0) result_.marks[name] += count;
  }
  void collect_marks() {
    for (std::size_t i = 0; i < kFaults; ++i)
      mark("plan." + std::string(to_string(static_cast<Fault>(i))), injector_.count(static_cast<Fault>(i)));
    for (std::size_t i = 0; i < transport::sim::kFaultKinds; ++i) {
      const auto kind = static_cast<transport::sim::FaultKind>(i);
      mark("network." + std::string(to_string(kind)), cluster_.network().faults().count(kind));
    }
    for (std::size_t i = 0; i < kStoreFaults; ++i)
      mark("store." + std::string(to_string(static_cast<StoreFault>(i))),
           cluster_.store().count(static_cast<StoreFault>(i)));
    for (std::size_t node = 0; node < cluster_.setup().nodes; ++node) {
      for (std::size_t i = 0; i < kDiskFaults; ++i)
        mark("disk." + std::string(to_string(static_cast<DiskFault>(i))),
             cluster_.disk(node).count(static_cast<DiskFault>(i)));
    }
    for (const auto& [name, count] : cluster_.marks())
      mark(name, count);
    const History::Counts& counts = cluster_.history().counts();
    mark("io.started", counts.started);
    mark("io.succeeded", counts.succeeded);
    mark("io.failed", counts.failed);
    mark("io.outcome_unknown", counts.unknown);
    mark("session.acknowledged", counts.acknowledgements);
  }

  std::uint64_t hash() {
    std::uint64_t folded = cluster_.network().trace_hash();
    const auto fold = [&](std::uint64_t word) { folded = (folded ^ word) * 0x0000'0100'0000'01b3U; };
    fold(cluster_.scheduler().turns());
    fold(cluster_.history().counts().succeeded);
    fold(cluster_.history().counts().failed);
    for (std::size_t node = 0; node < cluster_.setup().nodes; ++node) {
      const SimDisk& disk = cluster_.disk(node);
      for (const VolumeId volume : disk.volumes()) {
        fold(disk.state(volume).fence.value());
        for (std::uint64_t sector = 0; sector < disk.state(volume).size.value() / kSectorBytes; ++sector)
          fold(disk.stable_value(volume, sector));
      }
    }
    return folded;
  }

  const RunOptions& options_;
  transport::sim::Random random_;
  Duration span_;
  std::vector<PlannedFault> plan_;
  RunResult result_;
  Cluster cluster_;
  Injector injector_;
};

}  // namespace

std::string_view to_string(Verdict verdict) noexcept {
  switch (verdict) {
    case Verdict::passed:
      return "passed";
    case Verdict::safety:
      return "safety";
    case Verdict::liveness:
      return "liveness";
    case Verdict::crash:
      return "crash";
  }
  return "unknown";
}

RunResult run_seed(const RunOptions& options) {
  return Run(options).run();
}

std::uint64_t span_ms(const RunOptions& options) {
  return options.steps.value_or(500 + transport::sim::Random(options.seed ^ 0x7370'616eU).below(3500));
}

std::string replay_command(const RunOptions& options) {
  std::string command = "sluice-sim --seed " + std::to_string(options.seed);
  if (options.steps) command += " --steps " + std::to_string(*options.steps);
  return command + " --faults " + options.faults.describe() + " --trace";
}

}  // namespace sluice::sim
