#include "storage_node/options.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <optional>

#include "protocol/limits.h"
#include "runtime/sizes.h"
#include "runtime/transport_options.h"

namespace sluice::storage_node {
namespace {

using runtime::OptionTable;

constexpr std::uint64_t kGiB = std::uint64_t{1} << 30U;

Status invalid(std::string message) {
  return fail(StatusCode::invalid_argument, std::move(message));
}

std::optional<std::string> check_slots(const std::string& text) {
  if (parse_slots(text)) return std::nullopt;
  return "slots such as 32x64K: a number, x, and a multiple of 4K up to 1M";
}

std::optional<std::string> check_cpu(const std::string& text) {
  std::uint32_t cpu = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), cpu);
  if (error == std::errc{} && end == text.data() + text.size() && cpu < 1024) return std::nullopt;
  return "a processor's number, from 0";
}

// ---- What can be told of several options together

Status check_addresses(const NodeOptions& options) {
  const NodeCoreConfig& core = options.core;
  if (core.listen.size() > protocol::kMaxPaths) {
    return invalid("listen: at most " + std::to_string(protocol::kMaxPaths) + " addresses, one a path");
  }
  if (!core.advertise.empty() && core.advertise.size() != core.listen.size()) {
    return invalid("advertise: one address for each of those in listen, or none");
  }
  for (const transport::Address& address : core.listen) {
    if (address.port == 0 && core.reactors > 1) {
      return invalid("listen: port 0, the system's choice, is for one reactor; with " +
                     std::to_string(core.reactors) + " the ports from it on are used");
    }
    if (address.port + core.reactors > 65536) {
      return invalid("listen: each reactor has a port, from " + to_string(address) + " on: there aren't " +
                     std::to_string(core.reactors));
    }
  }
  return {};
}

Status take_slots(NodeOptions& options) {
  auto& classes = options.core.reactor.session.path.slots;
  classes.clear();
  std::size_t count = 0;
  for (const std::string& text : options.slots) {
    const auto slots = parse_slots(text);
    if (!slots) return tl::unexpected(slots.error());
    if (classes.full()) return invalid("session.slots: at most 4 sizes");
    classes.push_back(*slots);
    count += slots->count;
  }
  if (count == 0 || count > protocol::kMaxSlots) {
    return invalid("session.slots: from 1 to " + std::to_string(protocol::kMaxSlots) + " slots altogether");
  }
  return {};
}

Status check_shares(const NodeOptions& options) {
  const NodeCoreConfig& core = options.core;
  if (core.reactor.memory.limit.value() / core.reactors < kMinIoMemory.value()) {
    return invalid("memory_limit: at least " + runtime::format_size(kMinIoMemory) + " a reactor");
  }
  if (!options.cpus.empty() && options.cpus.size() != core.reactors) {
    return invalid("cpus: one for each reactor, or none");
  }
  if (!std::has_single_bit(core.reactor.session.window_size)) {
    return invalid("session.window: a power of two");
  }
  return {};
}

// ---- The table, in parts

void add_node_options(OptionTable& table, NodeOptions& options) {
  table.group("Node");
  table.add("listen", options.core.listen,
            "Where clients connect, one address for each path that they may have; the second reactor listens "
            "at the port above, and so on");
  table.add("advertise", options.core.advertise,
            "How clients reach these addresses, if others than those in listen");
  table.add("masters", options.core.masters, "The masters, tried one after the other").required();
  table.add("data_directory", options.storage.directory, "What the node keeps: its id, its volumes")
      .required();
  table.add("lock_timeout_ms", options.lock_timeout, {0, 3'600'000},
            "How long to wait for a data directory that another process has");
  table.add("reactors", options.core.reactors, {1, protocol::kMaxReactors},
            "Threads that share the volumes; don't lower or raise it while block devices are used by others");
  table.add("cpus", options.cpus, "The processor of each reactor; empty: the system chooses", check_cpu);
  table.add("port_file", options.port_file,
            "Write the ports that are listened at to this file, one a line, once they are open");
}

void add_backend_options(OptionTable& table, NodeOptions& options) {
  table.group("Backend");
  table.add_choice(
      "backend.kind", options.storage.backend,
      {{"file", BackendKind::file}, {"block", BackendKind::block}, {"memory", BackendKind::memory}},
      "file: a sparse file a volume; block: a block device a volume; memory: for benchmarks, gone "
      "with the process");
  table.add("backend.reserve", options.storage.reserve, {}, "file: room that isn't offered as free");
  table.add("backend.devices", options.storage.devices, "block: the devices");
  table.add("backend.wipe", options.storage.wipe,
            "block: those of them whose content may be destroyed, if it is no volume's");
  table.add("backend.capacity", options.storage.capacity, {}, "memory: for all volumes together");
}

void add_session_options(OptionTable& table, NodeOptions& options) {
  NodeReactorConfig& reactor = options.core.reactor;
  table.group("Memory and sessions");
  table.add("memory_limit", reactor.memory.limit, {kMinIoMemory.value(), 1024 * kGiB},
            "Memory for data, of all reactors together");
  table.add("huge_pages", reactor.memory.huge_pages, "Use huge pages where the system grants them");
  table.add("session.window", reactor.session.window_size,
            {protocol::kMinWindowSize, protocol::kMaxWindowSize},
            "Requests between a session's lowest unanswered one and its highest; a power of two");
  table.add("session.paths", reactor.session.max_paths, {1, protocol::kMaxPaths}, "Paths of a session");
  table.add("session.path_depth", reactor.session.path_depth, {1, protocol::kMaxPathDepth},
            "Requests that a path may have unanswered");
  table.add("session.slots", options.slots, "Slots of each path for data of writes: number x size",
            check_slots);
}

void add_limit_options(OptionTable& table, NodeOptions& options) {
  NodeReactorConfig& reactor = options.core.reactor;
  table.group("Limits, of each reactor");
  table.add("limits.sessions", reactor.limits.sessions, {1, 100'000}, "Sessions");
  table.add("limits.paths", reactor.limits.paths, {1, 100'000}, "Paths of all sessions");
  table.add("limits.volumes", reactor.limits.volumes, {1, 1'000'000}, "Volumes");
  table.add("limits.control_connections", reactor.control.max_connections, {1, 100'000},
            "Connections that are no paths");
}

}  // namespace

NodeOptions::NodeOptions() {
  core.listen = {{"127.0.0.1", 7471}};
  core.reactor.memory.limit = ByteCount(256UL * 1024 * 1024);
}

Result<protocol::SlotClass> parse_slots(const std::string& text) {
  protocol::SlotClass slots;
  const std::size_t sign = text.find('x');
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + std::min(sign, text.size()), slots.count);
  const bool has_count = sign != std::string::npos && error == std::errc{} && end == text.data() + sign;
  const auto size =
      has_count ? runtime::parse_size(text.substr(sign + 1)) : fail(StatusCode::invalid_argument);
  if (!size || slots.count == 0 || size->value() == 0 || size->value() % 4096 != 0 ||
      size->value() > protocol::kMaxDataLength) {
    return fail(StatusCode::invalid_argument, "session.slots: \"" + text + "\" isn't like 32x64K");
  }
  slots.slot_size = static_cast<std::uint32_t>(size->value());
  return slots;
}

OptionTable make_option_table(NodeOptions& options) {
  OptionTable table({.name = "sluice-node",
                     .summary = "serves the volumes that a sluice master places on this machine",
                     .default_file = "/etc/sluice/node.yaml"});
  add_node_options(table, options);
  add_backend_options(table, options);
  add_session_options(table, options);
  add_limit_options(table, options);
  runtime::add_transport_options(table, options.transport);
  runtime::add_log_options(table, options.log);
  table.add_rule([&options] { return check_addresses(options); });
  table.add_rule([&options] { return take_slots(options); });
  table.add_rule([&options] { return check_shares(options); });
  return table;
}

}  // namespace sluice::storage_node
