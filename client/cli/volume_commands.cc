#include <bit>
#include <thread>

#include "client/cli/command.h"
#include "client/cli/progress.h"
#include "runtime/sizes.h"

namespace sluice::cli {
namespace {

using protocol::CommandAnswer;
using protocol::VolumeCommand;
using protocol::VolumeEntry;
using protocol::VolumeVerb;

constexpr std::uint64_t kDefaultBlockSize = 4096;

std::string policy_words(protocol::WritePolicy policy) {
  return policy == protocol::WritePolicy::write_back ? "write_back" : "write_through";
}

Record describe(const VolumeEntry& volume) {
  Record record;
  record.add("name", std::string(volume.name.view()));
  record.add("id", volume.id.value());
  record.add("size", volume.size);
  record.add("block_size", volume.block_size, std::to_string(volume.block_size));
  record.add("policy", policy_words(volume.policy));
  record.add("node", volume.node);
  if (volume.moving_to == protocol::NodeId(0)) {
    record.add("moving_to", Json(), "-");
  } else {
    record.add("moving_to", volume.moving_to);
  }
  record.add("gvn", to_string(volume.current_gvn));
  record.add("sessions", std::uint64_t{volume.holders});
  record.add("holder", std::string(volume.holder.view()));
  return record;
}

Status check_shape(const Arguments& arguments, ByteCount size, std::uint64_t block_size) {
  if (!std::has_single_bit(block_size)) {
    return arguments.wrong("--block-size: expected 512, 1024, 2048 or 4096");
  }
  if (size == ByteCount(0) || size.value() % block_size != 0) {
    return arguments.wrong("--size: expected a multiple of the block size, " + std::to_string(block_size) +
                           " bytes, not " + std::to_string(size.value()));
  }
  return {};
}

Result<CommandAnswer> command(Context& context, const VolumeCommand& command) {
  const auto master = context.master();
  if (!master) return tl::unexpected(master.error());
  return (*master)->request<CommandAnswer>(command);
}

Status report(Context& context, const Result<CommandAnswer>& answer, const std::string& sentence) {
  if (!answer) return tl::unexpected(answer.error());
  Record record;
  record.add("volume_id", answer->volume.value());
  record.add("node", answer->node);
  context.output.done(
      sentence + (answer->node.value() == 0 ? "" : ", on node " + std::to_string(answer->node.value())),
      record);
  return {};
}

Status create(Context& context, const Arguments& arguments) {
  const auto name = volume_name(arguments, arguments.operand(0));
  if (!name) return tl::unexpected(name.error());
  if (!arguments.has("size")) return arguments.wrong("--size is missing");
  const auto size = arguments.size("size", {});
  if (!size) return tl::unexpected(size.error());
  const auto block_size =
      arguments.number("block-size", {protocol::kMinBlockSize, protocol::kMaxBlockSize}, kDefaultBlockSize);
  if (!block_size) return tl::unexpected(block_size.error());

  if (Status shape = check_shape(arguments, *size, *block_size); !shape) {
    return shape;
  }
  VolumeCommand request;
  request.verb = VolumeVerb::create;
  request.name = *name;
  request.size = *size;
  request.block_size = static_cast<std::uint32_t>(*block_size);
  if (arguments.has("write-back")) request.policy = protocol::WritePolicy::write_back;
  if (const auto text = arguments.text("node")) {
    const auto node = context.find_node(arguments, *text);
    if (!node) return tl::unexpected(node.error());
    request.node = *node;
  }
  return report(context, command(context, request),
                "created volume " + arguments.operand(0) + " of " + runtime::format_size(*size));
}

Status list(Context& context, const Arguments& /*arguments*/) {
  const auto master = context.master();
  if (!master) return tl::unexpected(master.error());
  const auto volumes = client::list_volumes(**master);
  if (!volumes) return tl::unexpected(volumes.error());
  std::vector<Record> records;
  for (const VolumeEntry& volume : *volumes)
    records.push_back(describe(volume));
  context.output.list({"name", "id", "size", "block_size", "node", "moving_to", "gvn", "sessions", "holder"},
                      records);
  return {};
}

Status info(Context& context, const Arguments& arguments) {
  const auto volume = context.find_volume(arguments.operand(0));
  if (!volume) return tl::unexpected(volume.error());
  const auto location = context.locate(arguments.operand(0));
  if (!location) return tl::unexpected(location.error());
  Record record = describe(*volume);
  record.add("node_up", location->node_up);
  if (volume->moving_to != protocol::NodeId(0)) record.add("moved", volume->moved);
  context.output.show(record);
  return {};
}

Status resize(Context& context, const Arguments& arguments) {
  const auto name = volume_name(arguments, arguments.operand(0));
  if (!name) return tl::unexpected(name.error());
  const auto size = runtime::parse_size(arguments.operand(1));
  if (!size) return arguments.wrong(size.error().message);
  if (*size == ByteCount(0)) return arguments.wrong("expected a size above 0");
  VolumeCommand request;
  request.verb = VolumeVerb::resize;
  request.name = *name;
  request.size = *size;
  request.allow_shrink = arguments.has("allow-shrink");
  return report(context, command(context, request),
                "volume " + arguments.operand(0) + " has " + runtime::format_size(*size));
}

Status rename(Context& context, const Arguments& arguments) {
  const auto name = volume_name(arguments, arguments.operand(0));
  if (!name) return tl::unexpected(name.error());
  const auto new_name = volume_name(arguments, arguments.operand(1));
  if (!new_name) return tl::unexpected(new_name.error());
  VolumeCommand request;
  request.verb = VolumeVerb::rename;
  request.name = *name;
  request.new_name = *new_name;
  return report(context, command(context, request),
                "volume " + arguments.operand(0) + " is now called " + arguments.operand(1));
}

Status remove(Context& context, const Arguments& arguments) {
  const auto name = volume_name(arguments, arguments.operand(0));
  if (!name) return tl::unexpected(name.error());
  if (Status sure = require_yes(arguments, "destroys volume " + arguments.operand(0) + " and its data");
      !sure) {
    return sure;
  }
  VolumeCommand request;
  request.verb = VolumeVerb::remove;
  request.name = *name;
  return report(context, command(context, request), "removed volume " + arguments.operand(0));
}

/// Shows how the copy goes on until the volume is where it was to go.
Status wait_for_move(Context& context, const std::string& name, protocol::NodeId target) {
  Progress progress("moving " + name);
  while (true) {
    const auto volume = context.find_volume(name);
    if (!volume) return tl::unexpected(volume.error());
    if (volume->moving_to == protocol::NodeId(0)) {
      progress.finish();
      if (volume->node == target) return {};
      return fail(StatusCode::cancelled, "the move of volume " + name + " was called off: it stays on node " +
                                             std::to_string(volume->node.value()));
    }
    progress.update(volume->moved, volume->size);
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
}

Status migrate(Context& context, const Arguments& arguments) {
  const auto name = volume_name(arguments, arguments.operand(0));
  if (!name) return tl::unexpected(name.error());
  VolumeCommand request;
  request.verb = arguments.has("cancel") ? VolumeVerb::cancel_move : VolumeVerb::migrate;
  request.name = *name;
  if (const auto text = arguments.text("to")) {
    const auto node = context.find_node(arguments, *text);
    if (!node) return tl::unexpected(node.error());
    request.node = *node;
  }
  const auto answer = command(context, request);
  if (!answer) return tl::unexpected(answer.error());
  if (arguments.has("cancel")) {
    return report(context, answer, "volume " + arguments.operand(0) + " stays where it is");
  }
  const auto volume = context.find_volume(arguments.operand(0));
  if (!volume) return tl::unexpected(volume.error());
  const bool is_moving = volume->moving_to != protocol::NodeId(0);
  const protocol::NodeId target = is_moving ? volume->moving_to : volume->node;
  if (is_moving && !arguments.has("detach")) {
    if (Status moved = wait_for_move(context, arguments.operand(0), target); !moved) return moved;
  }
  Record record;
  record.add("volume_id", volume->id.value());
  record.add("node", target);
  const bool is_under_way = is_moving && arguments.has("detach");
  context.output.done("volume " + arguments.operand(0) + (is_under_way ? " is being moved" : " has moved") +
                          " to node " + std::to_string(target.value()),
                      record);
  return {};
}

}  // namespace

std::span<const Command> volume_commands() {
  static const std::vector<Command> commands{
      {{"volume create",
        "Makes a volume",
        {{"NAME"}},
        {{"size", "SIZE", "how large, e.g. 10G (binary units)"},
         {"block-size", "BYTES", "the least that is read or written, 512 to 4096 (4096)"},
         {"write-back", "", "answer writes before they are durable: a flush makes them so"},
         {"node", "NODE", "on this node, not where most is free"}}},
       create},
      {{"volume ls", "Lists the volumes", {}, {}}, list},
      {{"volume info", "Shows a volume", {{"NAME"}}, {}}, info},
      {{"volume resize",
        "Makes a volume larger, or smaller",
        {{"NAME"}, {"SIZE"}},
        {{"allow-shrink", "", "let it get smaller, which cuts off its end"}}},
       resize},
      {{"volume rename", "Gives a volume another name", {{"NAME"}, {"NEW_NAME"}}, {}}, rename},
      {{"volume rm", "Destroys a volume and its data", {{"NAME"}}, {yes_flag()}}, remove},
      {{"volume migrate",
        "Moves a volume to another node, and waits until it is there",
        {{"NAME"}},
        {{"to", "NODE", "to this node, not where most is free"},
         {"detach", "", "don't wait: the move goes on by itself"},
         {"cancel", "", "call off a move that hasn't ended"}}},
       migrate}};
  return commands;
}

}  // namespace sluice::cli
