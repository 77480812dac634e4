#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "client/cli/command.h"
#include "runtime/command_line.h"
#include "runtime/logging.h"
#include "runtime/version.h"

namespace {

using sluice::Error;
using sluice::Status;
using sluice::StatusCode;
namespace cli = sluice::cli;

constexpr int kUsageError = 2;

int print_error(const Error& error) {
  std::cerr << "sluice: " << (error.message.empty() ? error.describe() : error.message) << "\n";
  return error.code == StatusCode::invalid_argument ? kUsageError : EXIT_FAILURE;
}

void print_help(const std::vector<const cli::Command*>& commands) {
  std::cout << "usage: sluice COMMAND [ARGUMENT ...] [-o table|json] [--config=FILE] [--KEY=VALUE ...]\n\n";
  std::size_t width = 0;
  for (const cli::Command* const command : commands)
    width = std::max(width, command->syntax.words.size());
  for (const cli::Command* const command : commands) {
    std::string words = command->syntax.words;
    words.resize(width, ' ');
    std::cout << "  " << words << "  " << command->syntax.summary << "\n";
  }
  std::cout << "\nsluice COMMAND --help explains a command, sluice config help the configuration's keys.\n"
               "Sizes are bytes, or numbers with K, M, G, T: powers of 1024.\n"
               "Exit status: 0 done, 1 failed, 2 wrong arguments or configuration.\n";
}

int run(const cli::CommandLine& line, const cli::Command& command, cli::ClientOptions& options,
        sluice::runtime::OptionTable& table) {
  sluice::runtime::Invocation invocation;
  invocation.config_file = line.config_file;
  invocation.overrides = line.overrides;
  if (Status loaded = load_options(table, invocation); !loaded) {
    print_error(loaded.error());
    return kUsageError;
  }
  const auto logging = sluice::runtime::Logging::open(options.log, "sluice");
  if (!logging) return print_error(logging.error());
  options.transport.log = (*logging)->sink();
  cli::Output output(std::cout, line.json);
  cli::Context context(options, table, output);
  Status done = command.run(context, *line.arguments);
  std::cout.flush();
  if (!done) return print_error(done.error());
  if (!std::cout) return print_error({StatusCode::system_error, "the output can't be written"});
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) {
  cli::ClientOptions options;
  sluice::runtime::OptionTable table = cli::client_option_table(options);
  const std::vector<const cli::Command*> commands = cli::all_commands();
  std::vector<const cli::Syntax*> syntaxes;
  syntaxes.reserve(commands.size());
  for (const cli::Command* const command : commands)
    syntaxes.push_back(&command->syntax);

  const std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
  const auto line = read_command_line(syntaxes, table, words);
  if (!line) return print_error(line.error());
  if (line->version) {
    std::cout << "sluice " << sluice::runtime::version() << "\n";
    return EXIT_SUCCESS;
  }
  if (line->help && line->command != nullptr) {
    std::cout << line->command->help();
    return EXIT_SUCCESS;
  }
  if (line->help) {
    print_help(commands);
    return EXIT_SUCCESS;
  }
  for (const cli::Command* const command : commands) {
    if (&command->syntax == line->command) return run(*line, *command, options, table);
  }
  return EXIT_FAILURE;
}
