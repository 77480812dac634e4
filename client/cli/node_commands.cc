#include "client/cli/command.h"

namespace sluice::cli {
namespace {

using protocol::NodeEntry;
using protocol::NodeVerb;

std::string state_of(const NodeEntry& node) {
  if (node.rolled_back) return "rolled_back";
  if (!node.up) return "down";
  return node.draining ? "draining" : "up";
}

Record describe(const NodeEntry& node) {
  Json addresses = Json::array();
  std::string words;
  for (const protocol::NodeAddress& address : node.addresses) {
    addresses.push_back(std::string(address.view()));
    words += (words.empty() ? "" : " ") + std::string(address.view());
  }
  Record record;
  record.add("id", node.id);
  record.add("state", state_of(node));
  record.add("free", node.free);
  record.add("capacity", node.capacity);
  record.add("volumes", std::uint64_t{node.volumes});
  record.add("sessions", std::uint64_t{node.sessions});
  record.add("addresses", addresses, words);
  return record;
}

Result<std::vector<NodeEntry>> nodes(Context& context) {
  const auto master = context.master();
  if (!master) return tl::unexpected(master.error());
  return client::list_nodes(**master);
}

Status list(Context& context, const Arguments& /*arguments*/) {
  const auto all = nodes(context);
  if (!all) return tl::unexpected(all.error());
  std::vector<Record> records;
  for (const NodeEntry& node : *all)
    records.push_back(describe(node));
  context.output.list({"id", "state", "free", "capacity", "volumes", "sessions", "addresses"}, records);
  return {};
}

Status info(Context& context, const Arguments& arguments) {
  const auto id = context.find_node(arguments, arguments.operand(0));
  if (!id) return tl::unexpected(id.error());
  const auto all = nodes(context);
  if (!all) return tl::unexpected(all.error());
  for (const NodeEntry& node : *all) {
    if (node.id != *id) continue;
    Record record = describe(node);
    record.add("up", node.up);
    record.add("draining", node.draining);
    record.add("rolled_back", node.rolled_back);
    record.add("boot", std::to_string(node.boot.value()));
    context.output.show(record);
    return {};
  }
  return fail(StatusCode::not_found, "node " + arguments.operand(0) + " has just been removed");
}

Status command(Context& context, const Arguments& arguments, NodeVerb verb, const std::string& sentence) {
  const auto id = context.find_node(arguments, arguments.operand(0));
  if (!id) return tl::unexpected(id.error());
  const auto master = context.master();
  if (!master) return tl::unexpected(master.error());
  protocol::NodeCommand request;
  request.verb = verb;
  request.node = *id;
  const auto answer = (*master)->request<protocol::CommandAnswer>(request);
  if (!answer) return tl::unexpected(answer.error());
  Record record;
  record.add("node", *id);
  context.output.done("node " + arguments.operand(0) + " " + sentence, record);
  return {};
}

Status drain(Context& context, const Arguments& arguments) {
  return command(context, arguments, NodeVerb::drain, "gets no more volumes");
}

Status undrain(Context& context, const Arguments& arguments) {
  return command(context, arguments, NodeVerb::undrain, "gets volumes again");
}

Status accept(Context& context, const Arguments& arguments) {
  if (Status sure = require_yes(
          arguments,
          "goes on with whatever is on the disk of node " + arguments.operand(0) +
              ", which is older than what it once held: writes that were acknowledged may be lost");
      !sure) {
    return sure;
  }
  return command(context, arguments, NodeVerb::accept, "is accepted as it is");
}

Status remove(Context& context, const Arguments& arguments) {
  if (Status sure = require_yes(arguments, "makes the master forget node " + arguments.operand(0)); !sure) {
    return sure;
  }
  return command(context, arguments, NodeVerb::remove, "is forgotten");
}

}  // namespace

std::span<const Command> node_commands() {
  static const std::vector<Command> commands{
      {{"node ls", "Lists the storage nodes", {}, {}}, list},
      {{"node info", "Shows a node", {{"NODE"}}, {}}, info},
      {{"node drain",
        "Places no more volumes on a node; those that it has stay until they are migrated",
        {{"NODE"}},
        {}},
       drain},
      {{"node undrain", "Places volumes on a node again", {{"NODE"}}, {}}, undrain},
      {{"node accept",
        "Goes on with a node whose disk was put back to an older state",
        {{"NODE"}},
        {yes_flag()}},
       accept},
      {{"node rm", "Forgets a node that holds no volume", {{"NODE"}}, {yes_flag()}}, remove}};
  return commands;
}

}  // namespace sluice::cli
