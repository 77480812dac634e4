#include <unistd.h>

#include "client/block_client.h"
#include "client/cli/command.h"
#include "client/cli/open_volume.h"

namespace sluice::cli {
namespace {

using protocol::SessionEntry;
using protocol::VolumeStatus;

std::string mode_words(protocol::AccessMode mode) {
  return mode == protocol::AccessMode::read_only ? "read_only" : "read_write";
}

Result<VolumeStatus> status_at_node(Context& context, const std::string& name) {
  const auto location = context.locate(name);
  if (!location) return tl::unexpected(location.error());
  const auto node = context.node_of(*location);
  if (!node) return tl::unexpected(node.error());
  protocol::VolumeStatusRequest question;
  question.volume = location->volume;
  auto status = (*node)->ask<VolumeStatus>(question);
  if (status && status->status != StatusCode::ok) {
    return fail(status->status, "node " + std::to_string(location->node.value()) +
                                    " has no answer about volume \"" + name + "\"");
  }
  return status;
}

Record describe(const std::string& volume, const SessionEntry& session) {
  Record record;
  record.add("volume", volume);
  record.add("gvn", to_string(session.gvn));
  record.add("client", std::string(session.client.view()));
  record.add("mode", mode_words(session.mode));
  record.add("state", std::string(session.active ? "active" : "draining"));
  record.add("paths", std::uint64_t{session.paths});
  record.add("in_flight", std::uint64_t{session.in_flight});
  return record;
}

Status list(Context& context, const Arguments& arguments) {
  std::vector<std::string> names;
  if (!arguments.operand(0).empty()) {
    names.push_back(arguments.operand(0));
  } else {
    const auto master = context.master();
    if (!master) return tl::unexpected(master.error());
    const auto volumes = client::list_volumes(**master);
    if (!volumes) return tl::unexpected(volumes.error());
    for (const protocol::VolumeEntry& volume : *volumes) {
      if (volume.holders > 0) names.emplace_back(volume.name.view());
    }
  }
  std::vector<Record> records;
  Status outcome;
  for (const std::string& name : names) {
    const auto status = status_at_node(context, name);
    if (!status) {
      // The others are shown nevertheless.
      if (outcome) outcome = tl::unexpected(status.error());
      continue;
    }
    for (const SessionEntry& session : status->sessions)
      records.push_back(describe(name, session));
  }
  context.output.list({"volume", "gvn", "client", "mode", "state", "paths", "in_flight"}, records);
  return outcome;
}

Status info(Context& context, const Arguments& arguments) {
  const std::string name = arguments.operand(0);
  const auto status = status_at_node(context, name);
  if (!status) return tl::unexpected(status.error());
  Record record;
  record.add("volume", name);
  record.add("fence", to_string(status->fence));
  record.add("locked", status->locked);
  Json sessions = Json::array();
  std::string words;
  for (const SessionEntry& session : status->sessions) {
    sessions.push_back(describe(name, session).json());
    words += (words.empty() ? "" : ", ") + to_string(session.gvn) + " of " +
             std::string(session.client.view()) + (session.active ? "" : " (draining)");
  }
  record.add("sessions", sessions, words.empty() ? "none" : words);
  Json refusals = Json::object();
  std::string counts;
  for (std::size_t i = 0; i < status->refusals.size(); ++i) {
    const std::string reason(to_string(static_cast<protocol::Refusal>(i)));
    const std::uint64_t count = status->refusals[i].count;
    refusals[reason] = count;
    if (count > 0) counts += (counts.empty() ? "" : ", ") + reason + " " + std::to_string(count);
  }
  record.add("refusals", refusals, counts.empty() ? "none" : counts);
  context.output.show(record);
  return {};
}

/// Opens the volume over whoever holds it, which fences them for good, and gives it up again.
Status fence(Context& context, const Arguments& arguments) {
  const std::string name = arguments.operand(0);
  if (Status sure = require_yes(arguments, "ends every session of volume " + name +
                                               " for good: its clients' writes are refused from then on");
      !sure) {
    return sure;
  }
  client::BlockClientConfig config = volume_config(context.options, name);
  config.steal = true;
  if (config.client.empty()) config.client = "operator-" + std::to_string(getpid());
  Gvn gvn;
  Status fenced = with_volume(context, config, [&gvn](const client::BlockClient& volume) -> Status {
    gvn = volume.info().gvn;
    return {};
  });
  if (!fenced) return fenced;
  Record record;
  record.add("volume", name);
  record.add("fence", to_string(gvn));
  context.output.done("volume " + name + ": every session before " + to_string(gvn) + " is fenced", record);
  return {};
}

}  // namespace

std::span<const Command> session_commands() {
  static const std::vector<Command> commands{
      {{"session ls", "Lists the sessions as the nodes have them", {{"VOLUME", true}}, {}}, list},
      {{"session info", "Shows a volume's fence, lock, sessions and refusals by reason", {{"VOLUME"}}, {}},
       info},
      {{"session fence", "Ends every session of a volume for good", {{"VOLUME"}}, {yes_flag()}}, fence}};
  return commands;
}

}  // namespace sluice::cli
