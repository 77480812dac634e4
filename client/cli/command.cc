#include "client/cli/command.h"

#include <algorithm>

namespace sluice::cli {

Result<client::AdminClient*> Context::master() {
  if (!master_) {
    auto connected = client::AdminClient::create(admin_config(options, "master", options.masters));
    if (!connected) return tl::unexpected(connected.error());
    master_ = std::move(*connected);
  }
  return master_.get();
}

Result<protocol::VolumeEntry> Context::find_volume(const std::string& name) {
  auto admin = master();
  if (!admin) return tl::unexpected(admin.error());
  protocol::ListVolumes question;
  // A name that can't be one is no volume's.
  const auto valid = protocol::VolumeName::from(name);
  if (valid && !valid->empty()) {
    question.name = *valid;
    const auto list = (*admin)->ask<protocol::VolumeList>(question);
    if (!list) return tl::unexpected(list.error());
    if (list->status != StatusCode::ok && list->status != StatusCode::not_found) {
      return fail(list->status, "look for volume \"" + name + "\"");
    }
    if (!list->volumes.empty()) return list->volumes[0];
  }
  return fail(StatusCode::not_found, "there is no volume \"" + name + "\"; sluice volume ls lists them");
}

Result<protocol::NodeId> Context::find_node(const Arguments& arguments, const std::string& text) {
  const auto admin = master();
  if (!admin) return tl::unexpected(admin.error());
  const auto nodes = client::list_nodes(**admin);
  if (!nodes) return tl::unexpected(nodes.error());
  std::vector<protocol::NodeId> found;
  for (const protocol::NodeEntry& node : *nodes) {
    const bool has_address =
        std::any_of(node.addresses.begin(), node.addresses.end(),
                    [&text](const protocol::NodeAddress& address) { return address.view() == text; });
    if (has_address || std::to_string(node.id.value()) == text) found.push_back(node.id);
  }
  if (found.size() == 1) return found.front();
  if (found.empty()) {
    return fail(StatusCode::not_found, "there is no node \"" + text +
                                           "\": expected an id or an address, as sluice node ls shows them");
  }
  return arguments.wrong("several nodes had the address \"" + text + "\": expected an id");
}

Result<protocol::OpenAnswer> Context::locate(const std::string& name) {
  const auto volume = find_volume(name);
  if (!volume) return tl::unexpected(volume.error());
  protocol::OpenRequest question;
  question.kind = protocol::OpenKind::locate;
  question.volume = volume->id;
  auto admin = master();
  if (!admin) return tl::unexpected(admin.error());
  auto answer = (*admin)->ask<protocol::OpenAnswer>(question);
  if (!answer) return answer;
  if (answer->status != StatusCode::ok) {
    return fail(answer->status, "the master can't say where volume \"" + name + "\" is");
  }
  return answer;
}

Result<std::unique_ptr<client::AdminClient>> Context::node_of(const protocol::OpenAnswer& location) {
  const std::string node = "node " + std::to_string(location.node.value());
  std::vector<transport::Address> addresses;
  for (const protocol::NodeAddress& text : location.addresses) {
    const auto address = transport::parse_address(text.view());
    if (!address) return tl::unexpected(address.error());
    addresses.push_back(*address);
  }
  if (addresses.empty()) {
    return fail(StatusCode::unavailable, node + " hasn't said where it listens; is it running?");
  }
  return client::AdminClient::create(admin_config(options, node, std::move(addresses)));
}

std::vector<const Command*> all_commands() {
  std::vector<const Command*> commands;
  for (const auto group :
       {status_commands(), volume_commands(), transfer_commands(), node_commands(), session_commands(),
        path_commands(), bench_commands(), config_commands(), doctor_commands()}) {
    for (const Command& command : group)
      commands.push_back(&command);
  }
  return commands;
}

Result<protocol::VolumeName> volume_name(const Arguments& arguments, const std::string& text) {
  const auto name = protocol::VolumeName::from(text);
  if (!name || name->empty()) {
    return arguments.wrong("\"" + text +
                           "\" is no volume name: expected 1 to 63 printable ASCII characters "
                           "without spaces");
  }
  return *name;
}

Status require_yes(const Arguments& arguments, const std::string& what) {
  if (arguments.has("yes")) return {};
  return fail(StatusCode::invalid_argument, "this " + what + "; add --yes if that is what you want");
}

}  // namespace sluice::cli
