#include "runtime/config_file.h"

#include <cerrno>
#include <fstream>
#include <map>
#include <sstream>
#include <vector>

#include <yaml-cpp/yaml.h>

namespace sluice::runtime {
namespace {

int line_of(const YAML::Node& node) {
  return node.Mark().line + 1;
}

std::string_view kind_of(const YAML::Node& node) {
  if (node.IsMap()) return "a group of keys";
  if (node.IsSequence()) return "a list";
  return node.IsNull() ? "nothing" : "a single value";
}

/// Walks through one document, and remembers every mistake.
class ConfigReader {
 public:
  ConfigReader(OptionTable& table, std::string name) : table_(table), name_(std::move(name)) {}

  void read_group(const YAML::Node& group, const std::string& prefix) {
    // An anchor inside of itself has no end.
    constexpr std::ptrdiff_t kMaxDepth = 8;
    if (std::count(prefix.begin(), prefix.end(), '.') > kMaxDepth) {
      return complain(group, prefix + ": groups are nested too deeply");
    }
    for (const auto& entry : group) {
      if (!entry.first.IsScalar()) {
        complain(entry.first, "expected a key, not " + std::string(kind_of(entry.first)));
        continue;
      }
      read_entry(prefix + entry.first.Scalar(), entry.first, entry.second);
    }
  }

  void complain(const YAML::Node& where, const std::string& what) { complain(line_of(where), what); }
  void complain(int line, const std::string& what) {
    mistakes_ += (mistakes_.empty() ? "" : "\n") + name_ + ":" + std::to_string(line) + ": " + what;
  }

  [[nodiscard]] Status outcome() const {
    if (mistakes_.empty()) return {};
    return fail(StatusCode::invalid_argument, mistakes_);
  }

 private:
  void read_entry(const std::string& key, const YAML::Node& where, const YAML::Node& value) {
    if (Option* const option = table_.find(key)) return read_option(*option, where, value);
    if (!is_group(key)) {
      return complain(where, "unknown key \"" + key + "\"" + table_.suggestion_for(key));
    }
    if (value.IsMap()) return read_group(value, key + ".");
    if (!value.IsNull()) {
      complain(where, key + ": expected a group of keys, not " + std::string(kind_of(value)));
    }
  }

  void read_option(Option& option, const YAML::Node& where, const YAML::Node& value) {
    const auto [first, is_new] = lines_.emplace(option.key(), line_of(where));
    if (!is_new) {
      return complain(where, option.key() + ": set twice, first in line " + std::to_string(first->second));
    }
    std::vector<std::string> values;
    if (option.is_list() ? !value.IsSequence() : !value.IsScalar()) {
      const std::string hint = option.is_list() && value.IsScalar() ? ": write [" + value.Scalar() + "]" : "";
      return complain(where, option.key() + ": expected " + option.type() + ", not " +
                                 std::string(kind_of(value)) + hint);
    }
    if (value.IsScalar()) values.push_back(value.Scalar());
    for (const auto& entry : value) {
      if (!entry.IsScalar()) {
        return complain(entry, option.key() + ": expected " + option.type() + ", not " +
                                   std::string(kind_of(entry)) + " in it");
      }
      values.push_back(entry.Scalar());
    }
    if (const Status set = option.set(values); !set)
      complain(where, option.key() + ": " + set.error().message);
  }

  [[nodiscard]] bool is_group(const std::string& key) const {
    const auto& options = table_.options();
    return std::any_of(options.begin(), options.end(),
                       [&key](const Option& option) { return option.key().starts_with(key + "."); });
  }

  OptionTable& table_;
  std::string name_;
  std::string mistakes_;
  std::map<std::string, int> lines_;
};

}  // namespace

Status read_config(OptionTable& table, std::string_view text, const std::string& name) {
  ConfigReader reader(table, name);
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(std::string(text));
    if (documents.size() > 1) {
      reader.complain(documents[1], "expected one document, not several (\"---\")");
    } else if (documents.empty() || documents[0].IsNull()) {
      return {};
    } else if (!documents[0].IsMap()) {
      reader.complain(documents[0], "expected keys and values, not " + std::string(kind_of(documents[0])));
    } else {
      reader.read_group(documents[0], "");
    }
  } catch (const YAML::Exception& error) {
    reader.complain(error.mark.line + 1, "this is no YAML: " + error.msg);
  }
  return reader.outcome();
}

Status read_config_file(OptionTable& table, const std::string& path) {
  errno = 0;
  std::ifstream file(path);
  std::ostringstream text;
  // The stream's own end is no error; a directory opens well and can't be read.
  if (!file || (file.peek() != std::ifstream::traits_type::eof() && !(text << file.rdbuf())) || file.bad()) {
    return fail_errno(errno == 0 ? EIO : errno, "read configuration file " + path);
  }
  return read_config(table, text.str(), path);
}

}  // namespace sluice::runtime
