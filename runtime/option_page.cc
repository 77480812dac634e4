#include "runtime/option_page.h"

#include <algorithm>
#include <sstream>
#include <string_view>
#include <vector>

#include <yaml-cpp/yaml.h>

namespace sluice::runtime {
namespace {

/// Words in lines of at most `width` characters, each after `indent` spaces.
std::string wrap(const std::string& text, std::size_t indent, std::size_t width) {
  std::istringstream words(text);
  std::string word;
  std::string lines;
  std::string line(indent, ' ');
  bool is_empty = true;
  while (words >> word) {
    if (!is_empty && line.size() + 1 + word.size() > width) {
      lines += line + "\n";
      line.assign(indent, ' ');
      is_empty = true;
    }
    line += (is_empty ? "" : " ") + word;
    is_empty = false;
  }
  return lines + line + "\n";
}

std::string help_sentence(const Option& option) {
  std::string text = option.help() + ".";
  if (option.is_required()) return text + " Required.";
  return option.default_text().empty() ? text : text + " Default: " + option.default_text() + ".";
}

std::string escape_cell(const std::string& text) {
  std::string escaped;
  for (const char c : text)
    escaped += c == '|' ? std::string("\\|") : std::string(1, c);
  return escaped;
}

std::vector<std::string> split(const std::string& key) {
  std::vector<std::string> parts;
  std::istringstream stream(key);
  std::string part;
  while (std::getline(stream, part, '.'))
    parts.push_back(part);
  return parts;
}

/// Sets `root`'s entry for a dotted key, making the groups on the way.
void put(const YAML::Node& root, const std::string& key, const YAML::Node& value) {
  const std::vector<std::string> parts = split(key);
  std::vector<YAML::Node> groups{root};
  for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
    YAML::Node inner = groups.back()[parts[i]];
    groups.push_back(inner);
  }
  groups.back()[parts.back()] = value;
}

}  // namespace

std::string describe_options(const OptionTable& table) {
  constexpr std::size_t kWidth = 100;
  constexpr std::size_t kIndent = 6;
  std::string text;
  std::string group;
  for (const Option& option : table.options()) {
    if (option.group() != group) text += "\n" + option.group() + ":\n";
    group = option.group();
    text += "  --" + option.key() + "=" +
            (option.is_list() ? option.type() + ", with commas" : option.type()) + "\n" +
            wrap(help_sentence(option), kIndent, kWidth);
  }
  return text;
}

std::string reference_section(const OptionTable& table) {
  const OptionTable::Program& program = table.program();
  std::string text =
      "## " + program.name + "\n\n" + program.summary + " Its file: `" + program.default_file + "`";
  if (!program.file_variable.empty()) text += ", or what `$" + program.file_variable + "` names";
  text += ".\n";
  std::string group;
  for (const Option& option : table.options()) {
    if (option.group() != group) {
      text += "\n### " + option.group() + "\n\n| Key | Value | Default | Meaning |\n|---|---|---|---|\n";
    }
    group = option.group();
    const std::string fallback = option.is_required()            ? "*required*"
                                 : option.default_text().empty() ? ""
                                                                 : "`" + option.default_text() + "`";
    text += "| `" + option.key() + "` | " + escape_cell(option.type()) + " | " + fallback + " | " +
            escape_cell(option.help()) + ". |\n";
  }
  return text;
}

std::string show_values(const OptionTable& table) {
  YAML::Node root(YAML::NodeType::Map);
  for (const Option& option : table.options()) {
    const std::vector<std::string> values = option.values();
    if (option.is_list()) {
      YAML::Node list(YAML::NodeType::Sequence);
      list.SetStyle(YAML::EmitterStyle::Flow);
      for (const std::string& value : values)
        list.push_back(value);
      put(root, option.key(), list);
    } else {
      put(root, option.key(), YAML::Node(values.empty() ? std::string() : values[0]));
    }
  }
  YAML::Emitter emitter;
  emitter << root;
  return std::string(emitter.c_str()) + "\n";
}

}  // namespace sluice::runtime
