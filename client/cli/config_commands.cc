#include <iostream>

#include "client/cli/command.h"
#include "runtime/option_page.h"

namespace sluice::cli {
namespace {

Status show(Context& context, const Arguments& /*arguments*/) {
  if (!context.output.is_json()) {
    std::cout << show_values(context.table);
    return {};
  }
  Record record;
  for (const runtime::Option& option : context.table.options()) {
    const std::vector<std::string> values = option.values();
    if (option.is_list()) {
      record.add(option.key(), Json(values), {});
    } else {
      record.add(option.key(), values.empty() ? std::string() : values[0]);
    }
  }
  context.output.show(record);
  return {};
}

/// Every command has read and checked the configuration by the time it runs.
Status check(Context& context, const Arguments& /*arguments*/) {
  Record record;
  record.add("good", true);
  context.output.done("the configuration is good", record);
  return {};
}

Status describe(Context& context, const Arguments& /*arguments*/) {
  std::cout << describe_options(context.table);
  return {};
}

}  // namespace

std::span<const Command> config_commands() {
  static const std::vector<Command> commands{
      {{"config show", "Shows each option's value, as a configuration file", {}, {}}, show},
      {{"config check", "Says whether the configuration is good", {}, {}}, check},
      {{"config help", "Explains each option", {}, {}}, describe}};
  return commands;
}

}  // namespace sluice::cli
