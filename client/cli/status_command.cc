#include "client/cli/command.h"
#include "runtime/sizes.h"
#include "runtime/version.h"

namespace sluice::cli {
namespace {

struct Totals {
  std::uint64_t nodes_up = 0;
  std::uint64_t sessions = 0;
  std::uint64_t moving = 0;
  ByteCount capacity;
  ByteCount free;
  ByteCount promised;
  std::vector<std::string> troubles;
};

void add(Totals& totals, const protocol::NodeEntry& node) {
  const std::string name = "node " + std::to_string(node.id.value());
  if (node.up) {
    ++totals.nodes_up;
    totals.capacity = ByteCount(totals.capacity.value() + node.capacity.value());
    totals.free = ByteCount(totals.free.value() + node.free.value());
  }
  totals.sessions += node.up ? node.sessions : 0;
  if (node.rolled_back) {
    totals.troubles.push_back(name +
                              " was put back to an older state and is refused: see sluice node accept");
  } else if (!node.up) {
    totals.troubles.push_back(name + " is down, with " + std::to_string(node.volumes) + " volumes");
  }
}

Status status(Context& context, const Arguments& /*arguments*/) {
  const auto master = context.master();
  if (!master) return tl::unexpected(master.error());
  const auto overview = (*master)->request<protocol::NodeList>(protocol::ListNodes{});
  if (!overview) return tl::unexpected(overview.error());
  const auto nodes = client::list_nodes(**master);
  if (!nodes) return tl::unexpected(nodes.error());
  const auto volumes = client::list_volumes(**master);
  if (!volumes) return tl::unexpected(volumes.error());

  Totals totals;
  for (const protocol::NodeEntry& node : *nodes)
    add(totals, node);
  for (const protocol::VolumeEntry& volume : *volumes) {
    totals.promised = ByteCount(totals.promised.value() + volume.size.value());
    if (volume.moving_to != protocol::NodeId(0)) ++totals.moving;
  }
  Record record;
  record.add("master", to_string((*master)->address()));
  record.add("manager_version", std::uint64_t{overview->manager_version.value()});
  record.add("nodes", std::uint64_t{nodes->size()});
  record.add("nodes_up", totals.nodes_up);
  record.add("capacity", totals.capacity);
  record.add("free", totals.free);
  record.add("volumes", std::uint64_t{volumes->size()});
  record.add("volumes_moving", totals.moving);
  record.add("promised", totals.promised);
  record.add("sessions", totals.sessions);
  std::string words;
  for (const std::string& trouble : totals.troubles)
    words += (words.empty() ? "" : "; ") + trouble;
  record.add("troubles", Json(totals.troubles), words.empty() ? "none" : words);
  context.output.show(record);
  return {};
}

}  // namespace

std::span<const Command> status_commands() {
  static const std::vector<Command> commands{
      {{"status", "Shows the cluster at a glance: master, nodes, space, volumes, sessions", {}, {}}, status}};
  return commands;
}

}  // namespace sluice::cli
