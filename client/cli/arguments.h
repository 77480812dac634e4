#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/base/status.h"
#include "protocol/base/units.h"
#include "runtime/options.h"

namespace sluice::cli {

/// A flag of a command: "--size SIZE", or "--yes" if `value` is empty.
struct Flag {
  std::string name;   ///< without the dashes
  std::string value;  ///< what its value is called
  std::string help;
};

/// A word of a command that has no dashes.
struct Operand {
  std::string name;
  bool is_optional = false;
};

/// How a command is written: "volume create NAME --size SIZE".
struct Syntax {
  std::string words;  ///< "volume create"
  std::string summary;
  std::vector<Operand> operands;
  std::vector<Flag> flags;

  /// "sluice volume create NAME [--size SIZE] ..."
  [[nodiscard]] std::string usage() const;
  /// Usage, summary and flags.
  [[nodiscard]] std::string help() const;
};

/// What a user wrote after a command's words.
class Arguments {
 public:
  explicit Arguments(const Syntax& syntax) : syntax_(&syntax) {}

  [[nodiscard]] bool has(std::string_view flag) const { return flags_.contains(std::string(flag)); }
  /// The operand at this index; empty if it is optional and wasn't given.
  [[nodiscard]] std::string operand(std::size_t index) const {
    return index < operands_.size() ? operands_[index] : std::string();
  }
  [[nodiscard]] std::optional<std::string> text(std::string_view flag) const;
  // Errors: invalid_argument, saying what was expected, with the usage.
  [[nodiscard]] Result<std::uint64_t> number(std::string_view flag, runtime::Range range,
                                             std::uint64_t fallback) const;
  [[nodiscard]] Result<ByteCount> size(std::string_view flag, ByteCount fallback) const;
  /// An argument that is wrong: `why`, and the usage.
  [[nodiscard]] tl::unexpected<Error> wrong(const std::string& why) const;

 private:
  friend struct CommandLineReader;
  const Syntax* syntax_;
  std::vector<std::string> operands_;
  std::map<std::string, std::string> flags_;
};

/// A whole command line, taken apart.
struct CommandLine {
  const Syntax* command = nullptr;  ///< nullptr: only asked for help or version
  std::optional<Arguments> arguments;
  bool help = false;
  bool version = false;
  bool json = false;
  std::string config_file;
  std::vector<std::pair<std::string, std::string>> overrides;  ///< of configuration keys
};

/// Finds the command and reads what follows: its operands and flags, and anywhere the general ones: -o
/// FORMAT,
/// --config FILE, --KEY=VALUE for a key of the configuration, --help, --version. Errors: invalid_argument,
/// with what was expected and the usage.
Result<CommandLine> read_command_line(std::span<const Syntax* const> commands, runtime::OptionTable& options,
                                      std::span<const std::string> words);

}  // namespace sluice::cli
