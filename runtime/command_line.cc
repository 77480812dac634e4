#include "runtime/command_line.h"

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <sstream>

#include <boost/program_options.hpp>

#include "runtime/config_file.h"
#include "runtime/option_page.h"
#include "runtime/version.h"

namespace sluice::runtime {
namespace {

namespace po = boost::program_options;

po::options_description accepted_arguments(const OptionTable& table) {
  po::options_description accepted;
  accepted.add_options()("help,h", "")("version", "")("check-config", "")("config", po::value<std::string>());
  for (const Option& option : table.options()) {
    auto* const value = po::value<std::vector<std::string>>();
    if (option.is_switch()) value->implicit_value({"true"}, "true");
    accepted.add_options()(option.key().c_str(), value);
  }
  return accepted;
}

/// A list is written with commas on the command line.
std::vector<std::string> split_list(const std::string& text) {
  std::vector<std::string> values;
  std::istringstream stream(text);
  std::string value;
  while (std::getline(stream, value, ','))
    values.push_back(value);
  return values;
}

/// Boost takes "--key=" for a mistake; here it is an empty value.
std::vector<std::string> with_empty_values(std::span<const std::string> arguments) {
  std::vector<std::string> words;
  for (const std::string& argument : arguments) {
    if (argument.starts_with("--") && argument.find('=') == argument.size() - 1) {
      words.push_back(argument.substr(0, argument.size() - 1));
      words.emplace_back();
    } else {
      words.push_back(argument);
    }
  }
  return words;
}

Status apply_overrides(OptionTable& table, const Invocation& invocation) {
  for (const auto& [key, text] : invocation.overrides) {
    Option& option = *table.find(key);
    Status set = option.set(option.is_list() ? split_list(text) : std::vector<std::string>{text});
    if (!set) return fail(StatusCode::invalid_argument, "--" + key + ": " + set.error().message);
  }
  return {};
}

std::string usage(const OptionTable& table) {
  const OptionTable::Program& program = table.program();
  return program.name + ": " + program.summary + "\n\nusage: " + program.name +
         " [--config=FILE] [--KEY=VALUE ...]\n\n"
         "  --config=FILE      read this file instead of " +
         program.default_file +
         "\n"
         "  --check-config     say whether the configuration is good, and exit\n"
         "  --help, --version\n\n"
         "Each key below can be set in the file and on the command line, which wins.\n" +
         describe_options(table);
}

void print_errors(const std::string& program, const Error& error) {
  std::istringstream lines(error.message);
  std::string line;
  while (std::getline(lines, line))
    std::cerr << program << ": " << line << "\n";
}

}  // namespace

Result<Invocation> parse_arguments(OptionTable& table, std::span<const std::string> arguments) {
  Invocation invocation;
  const std::string see_help = " (" + table.program().name + " --help lists the options)";
  try {
    const po::options_description accepted = accepted_arguments(table);
    // No guessing: an abbreviation that is unambiguous today needn't be so tomorrow.
    constexpr int kStyle = po::command_line_style::unix_style & ~po::command_line_style::allow_guessing;
    const po::parsed_options parsed = po::command_line_parser(with_empty_values(arguments))
                                          .options(accepted)
                                          .positional({})
                                          .style(kStyle)
                                          .run();
    for (const po::basic_option<char>& given : parsed.options) {
      const std::string& key = given.string_key;
      if (key == "help") invocation.help = true;
      if (key == "version") invocation.version = true;
      if (key == "check-config") invocation.check_config = true;
      if (key == "config") invocation.config_file = given.value.at(0);
      if (table.find(key) != nullptr) {
        invocation.overrides.emplace_back(key, given.value.empty() ? "true" : given.value[0]);
      }
    }
  } catch (const po::unknown_option& error) {
    const std::string token = error.get_option_name();
    const std::string key = token.substr(0, token.find('='));
    const std::string bare = key.substr(std::min(key.find_first_not_of('-'), key.size()));
    return fail(StatusCode::invalid_argument,
                "unknown option " + key + table.suggestion_for(bare) + see_help);
  } catch (const po::too_many_positional_options_error&) {
    return fail(StatusCode::invalid_argument, "expected options only, as --KEY=VALUE" + see_help);
  } catch (const po::error& error) {
    return fail(StatusCode::invalid_argument, error.what() + see_help);
  }
  return invocation;
}

Status load_options(OptionTable& table, const Invocation& invocation) {
  const OptionTable::Program& program = table.program();
  std::string file = invocation.config_file;
  if (file.empty() && !program.file_variable.empty()) {
    const char* const named = std::getenv(program.file_variable.c_str());
    if (named != nullptr) file = named;
  }
  std::error_code ignored;
  if (file.empty() && std::filesystem::exists(program.default_file, ignored)) file = program.default_file;
  if (!file.empty()) {
    if (Status read = read_config_file(table, file); !read) return read;
  }
  if (Status applied = apply_overrides(table, invocation); !applied) return applied;
  return table.verify();
}

std::optional<int> configure(OptionTable& table, int argc, char** argv, Invocation& invocation) {
  constexpr int kUsageError = 2;
  const std::string& program = table.program().name;
  Result<Invocation> parsed =
      parse_arguments(table, std::vector<std::string>(argv + std::min(argc, 1), argv + argc));
  if (!parsed) {
    print_errors(program, parsed.error());
    return kUsageError;
  }
  invocation = *std::move(parsed);
  if (invocation.help) {
    std::cout << usage(table);
    return EXIT_SUCCESS;
  }
  if (invocation.version) {
    std::cout << program << " " << version() << "\n";
    return EXIT_SUCCESS;
  }
  if (Status loaded = load_options(table, invocation); !loaded) {
    print_errors(program, loaded.error());
    return kUsageError;
  }
  if (invocation.check_config) {
    std::cout << "the configuration is good\n";
    return EXIT_SUCCESS;
  }
  return std::nullopt;
}

}  // namespace sluice::runtime
