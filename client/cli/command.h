#pragma once

#include <memory>
#include <span>
#include <string>

#include "client/admin_client.h"
#include "client/cli/arguments.h"
#include "client/cli/options.h"
#include "client/cli/records.h"

namespace sluice::cli {

/// What a command works with.
class Context {
 public:
  Context(ClientOptions& client_options, runtime::OptionTable& client_table, Output& result_output)
      : options(client_options), table(client_table), output(result_output) {}

  /// The connection to the masters, made when first asked for.
  Result<client::AdminClient*> master();
  /// The volume of this name, as the master knows it. Errors: not_found, naming it.
  Result<protocol::VolumeEntry> find_volume(const std::string& name);
  /// The node that a user names by its id or by one of its addresses. Errors: not_found, invalid_argument if
  /// several have that address.
  Result<protocol::NodeId> find_node(const Arguments& arguments, const std::string& text);
  /// Where the volume is served. Errors: not_found.
  Result<protocol::OpenAnswer> locate(const std::string& name);
  /// A connection to the node that serves the located volume.
  Result<std::unique_ptr<client::AdminClient>> node_of(const protocol::OpenAnswer& location);

  ClientOptions& options;
  runtime::OptionTable& table;
  Output& output;

 private:
  std::unique_ptr<client::AdminClient> master_;
};

struct Command {
  Syntax syntax;
  Status (*run)(Context& context, const Arguments& arguments);
};

// One file each.
std::span<const Command> status_commands();
std::span<const Command> volume_commands();
std::span<const Command> transfer_commands();
std::span<const Command> node_commands();
std::span<const Command> session_commands();
std::span<const Command> path_commands();
std::span<const Command> bench_commands();
std::span<const Command> config_commands();
std::span<const Command> doctor_commands();

/// All of them.
std::vector<const Command*> all_commands();

/// A volume's name from the command line. Errors: invalid_argument, with the usage.
Result<protocol::VolumeName> volume_name(const Arguments& arguments, const std::string& text);
/// Errors: invalid_argument, unless --yes was given. `what` happens otherwise: "destroys volume x".
Status require_yes(const Arguments& arguments, const std::string& what);
inline Flag yes_flag() {
  return {"yes", "", "do it, though it can't be undone"};
}

}  // namespace sluice::cli
