#include "client/cli/arguments.h"

#include <algorithm>
#include <charconv>

#include "runtime/sizes.h"

namespace sluice::cli {
namespace {

std::string flag_text(const Flag& flag) {
  return "--" + flag.name + (flag.value.empty() ? "" : " " + flag.value);
}

std::vector<std::string> split_words(const std::string& text) {
  std::vector<std::string> words;
  for (std::size_t start = 0; start <= text.size();) {
    const std::size_t end = std::min(text.find(' ', start), text.size());
    words.push_back(text.substr(start, end - start));
    start = end + 1;
  }
  return words;
}

tl::unexpected<Error> wrong_argument(std::string message) {
  return fail(StatusCode::invalid_argument, std::move(message));
}

std::string meant(std::string_view word, std::span<const std::string> candidates) {
  const std::string_view near = runtime::nearest_word(word, candidates);
  return near.empty() ? "" : "; did you mean \"" + std::string(near) + "\"?";
}

}  // namespace

std::string Syntax::usage() const {
  std::string text = "sluice " + words;
  for (const Operand& operand : operands)
    text += operand.is_optional ? " [" + operand.name + "]" : " " + operand.name;
  for (const Flag& flag : flags)
    text += " [" + flag_text(flag) + "]";
  return text;
}

std::string Syntax::help() const {
  std::string text = "usage: " + usage() + "\n\n" + summary + ".\n";
  if (!flags.empty()) text += "\n";
  std::size_t width = 0;
  for (const Flag& flag : flags)
    width = std::max(width, flag_text(flag).size());
  for (const Flag& flag : flags) {
    std::string name = flag_text(flag);
    name.resize(width, ' ');
    text += "  " + name + "  " + flag.help + "\n";
  }
  return text;
}

std::optional<std::string> Arguments::text(std::string_view flag) const {
  const auto found = flags_.find(std::string(flag));
  if (found == flags_.end()) return std::nullopt;
  return found->second;
}

Result<std::uint64_t> Arguments::number(std::string_view flag, runtime::Range range,
                                        std::uint64_t fallback) const {
  const std::optional<std::string> given = text(flag);
  if (!given) return fallback;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(given->data(), given->data() + given->size(), value);
  if (error != std::errc{} || end != given->data() + given->size() || value < range.least ||
      value > range.greatest) {
    return wrong("--" + std::string(flag) + ": expected a number from " + std::to_string(range.least) +
                 " to " + std::to_string(range.greatest) + ", not \"" + *given + "\"");
  }
  return value;
}

Result<ByteCount> Arguments::size(std::string_view flag, ByteCount fallback) const {
  const std::optional<std::string> given = text(flag);
  if (!given) return fallback;
  auto size = runtime::parse_size(*given);
  if (!size) return wrong("--" + std::string(flag) + ": " + size.error().message);
  return size;
}

tl::unexpected<Error> Arguments::wrong(const std::string& why) const {
  return wrong_argument(why + "\nusage: " + syntax_->usage());
}

/// Goes through the words once.
struct CommandLineReader {
  std::span<const Syntax* const> commands;
  runtime::OptionTable& options;
  std::vector<std::string> words;
  std::size_t next = 0;
  CommandLine line;
  std::vector<std::string> bare;  ///< words without dashes: the command's, then its operands

  Result<CommandLine> read() {
    // What a flag is depends on the command, so the command is looked for first.
    find_command();
    while (next < words.size()) {
      if (Status taken = take_word(); !taken) return tl::unexpected(taken.error());
    }
    if (line.help || line.version) return std::move(line);
    if (line.command == nullptr) return unknown_command();
    if (Status operands = take_operands(); !operands) return tl::unexpected(operands.error());
    return std::move(line);
  }

  /// The command's words are the first ones without dashes that aren't the value of a general option.
  void find_command() {
    for (std::size_t i = 0; i < words.size(); ++i) {
      if (words[i].starts_with('-')) {
        if (takes_next_word(words[i])) ++i;
        continue;
      }
      const std::string two = i + 1 < words.size() ? words[i] + " " + words[i + 1] : words[i];
      for (const Syntax* const command : commands) {
        if (command->words != two && command->words != words[i]) continue;
        line.command = command;
        line.arguments = Arguments(*command);
      }
      return;
    }
  }

  [[nodiscard]] bool takes_next_word(const std::string& word) const {
    if (word == "-o" || word == "--output" || word == "--config") return true;
    const runtime::Option* const option = options.find(word.substr(std::min<std::size_t>(2, word.size())));
    return option != nullptr && !option->is_switch();
  }

  Status take_word() {
    const std::string word = words[next++];
    if (word == "-h" || word == "--help") {
      line.help = true;
    } else if (word == "--version") {
      line.version = true;
    } else if (word == "-o") {
      return take_format(std::nullopt);
    } else if (word.starts_with("--")) {
      return take_dashed(word.substr(2));
    } else if (word.size() > 1 && word.starts_with('-')) {
      return wrong("unknown option " + word);
    } else {
      bare.push_back(word);
    }
    return {};
  }

  Status take_dashed(const std::string& text) {
    const std::size_t equals = text.find('=');
    const std::string name = text.substr(0, equals);
    std::optional<std::string> value;
    if (equals != std::string::npos) value = text.substr(equals + 1);

    if (name == "output") return take_format(value);
    if (name == "config") return take_value("--config", value, line.config_file);
    if (const Flag* const flag = find_flag(name)) return take_flag(*flag, value);
    if (const runtime::Option* const option = options.find(name)) {
      std::string setting = "true";
      if (!option->is_switch() || value) {
        if (Status taken = take_value("--" + name, value, setting); !taken) return taken;
      }
      line.overrides.emplace_back(name, setting);
      return {};
    }
    std::vector<std::string> known;
    if (line.command != nullptr) {
      for (const Flag& flag : line.command->flags)
        known.push_back(flag.name);
    }
    const std::string suggestion = meant(name, known);
    return wrong("unknown option --" + name +
                 (suggestion.empty() ? options.suggestion_for(name) : suggestion));
  }

  Status take_flag(const Flag& flag, const std::optional<std::string>& value) {
    std::string& kept = line.arguments->flags_[flag.name];
    if (!flag.value.empty()) return take_value("--" + flag.name, value, kept);
    return value ? wrong("--" + flag.name + " takes no value") : Status{};
  }

  Status take_format(const std::optional<std::string>& value) {
    std::string format;
    if (Status taken = take_value("-o", value, format); !taken) return taken;
    if (format != "table" && format != "json") {
      return wrong("-o: expected table or json, not \"" + format + "\"");
    }
    line.json = format == "json";
    return {};
  }

  Status take_value(const std::string& name, const std::optional<std::string>& adjacent, std::string& value) {
    if (adjacent) {
      value = *adjacent;
    } else if (next < words.size()) {
      value = words[next++];
    } else {
      return wrong(name + " wants a value");
    }
    return {};
  }

  Status take_operands() {
    const auto own = static_cast<std::ptrdiff_t>(split_words(line.command->words).size());
    auto& operands = line.arguments->operands_;
    operands.assign(bare.begin() + std::min(own, std::ssize(bare)), bare.end());
    const auto& wanted = line.command->operands;
    if (operands.size() > wanted.size()) {
      return wrong("\"" + operands[wanted.size()] + "\" is one argument too many");
    }
    if (operands.size() < wanted.size() && !wanted[operands.size()].is_optional) {
      return wrong(wanted[operands.size()].name + " is missing");
    }
    return {};
  }

  [[nodiscard]] const Flag* find_flag(const std::string& name) const {
    if (line.command == nullptr) return nullptr;
    const auto& flags = line.command->flags;
    const auto found =
        std::find_if(flags.begin(), flags.end(), [&](const Flag& f) { return f.name == name; });
    return found == flags.end() ? nullptr : &*found;
  }

  [[nodiscard]] tl::unexpected<Error> wrong(const std::string& why) const {
    if (line.arguments) return line.arguments->wrong(why);
    return wrong_argument(why + "\nusage: sluice COMMAND [ARGUMENT ...]; sluice --help lists the commands");
  }

  [[nodiscard]] tl::unexpected<Error> unknown_command() const {
    if (bare.empty()) return wrong("no command was given");
    std::vector<std::string> candidates;
    std::string group;
    for (const Syntax* const command : commands) {
      candidates.push_back(command->words);
      if (command->words.starts_with(bare[0] + " ")) group += "\n  " + command->usage();
    }
    if (!group.empty()) {
      const std::string what = bare.size() > 1 ? "unknown command \"" + bare[0] + " " + bare[1] + "\""
                                               : "\"" + bare[0] + "\" wants one more word";
      return wrong_argument(what + "; expected one of:" + group);
    }
    const std::string typed = bare.size() > 1 ? bare[0] + " " + bare[1] : bare[0];
    return wrong("unknown command \"" + typed + "\"" + meant(typed, candidates));
  }
};

Result<CommandLine> read_command_line(std::span<const Syntax* const> commands, runtime::OptionTable& options,
                                      std::span<const std::string> words) {
  CommandLineReader reader{.commands = commands,
                           .options = options,
                           .words = {words.begin(), words.end()},
                           .next = 0,
                           .line = {},
                           .bare = {}};
  return reader.read();
}

}  // namespace sluice::cli
