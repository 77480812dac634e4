#include "client/cli/completion.h"

#include <map>

namespace sluice::cli {
namespace {

void append(std::string& words, const std::string& word) {
  words += (words.empty() ? "" : " ") + word;
}

bool takes_volume(const Syntax& command) {
  for (const Operand& operand : command.operands) {
    if (operand.name == "NAME" || operand.name == "VOLUME") return command.words != "volume create";
  }
  return false;
}

}  // namespace

std::string bash_completion(std::span<const Syntax* const> commands, const runtime::OptionTable& options) {
  std::map<std::string, std::string> second_words;  // of each first word
  std::string flag_cases;
  std::string volume_commands;
  for (const Syntax* const command : commands) {
    const std::size_t space = command->words.find(' ');
    std::string& second = second_words[command->words.substr(0, space)];
    if (space != std::string::npos) append(second, command->words.substr(space + 1));
    std::string flags;
    for (const Flag& flag : command->flags)
      append(flags, "--" + flag.name);
    if (!flags.empty()) flag_cases += "    '" + command->words + "') words=\"" + flags + "\" ;;\n";
    if (takes_volume(*command)) {
      volume_commands += (volume_commands.empty() ? "'" : " | '") + command->words + "'";
    }
  }
  std::string first_words;
  std::string second_cases;
  for (const auto& [first, second] : second_words) {
    append(first_words, first);
    if (second.empty()) continue;
    second_cases.append("    ").append(first).append(") words='").append(second).append("' ;;\n");
  }
  std::string keys = "--output --config --help --version";
  for (const runtime::Option& option : options.options())
    append(keys, "--" + option.key() + "=");

  return "# Completes sluice's command line in bash. Written by the build from the table of commands.\n\n"
         "_sluice() {\n"
         "  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}\n"
         "  local first=${COMP_WORDS[1]} command words=''\n"
         "  case $previous in\n"
         "    -o | --output) mapfile -t COMPREPLY < <(compgen -W 'table json' -- \"$current\"); return ;;\n"
         "    --config) mapfile -t COMPREPLY < <(compgen -f -- \"$current\"); return ;;\n"
         "  esac\n"
         "  if ((COMP_CWORD == 1)) && [[ $current != -* ]]; then\n"
         "    mapfile -t COMPREPLY < <(compgen -W '" +
         first_words +
         "' -- \"$current\")\n"
         "    return\n"
         "  fi\n"
         "  case $first in\n" +
         second_cases +
         "  esac\n"
         "  if ((COMP_CWORD == 2)) && [[ $words && $current != -* ]]; then\n"
         "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
         "    return\n"
         "  fi\n"
         "  command=$first${words:+ ${COMP_WORDS[2]}}\n"
         "  words=''\n"
         "  if [[ $current == -* ]]; then\n"
         "    case $command in\n" +
         flag_cases +
         "    esac\n"
         "    mapfile -t COMPREPLY < <(compgen -W \"$words " +
         keys +
         "\" -- \"$current\")\n"
         "    [[ ${COMPREPLY[0]:-} == *= ]] && compopt -o nospace\n"
         "    return\n"
         "  fi\n"
         "  case $command in\n"
         "    " +
         volume_commands +
         ")\n"
         "      words=$(sluice volume ls --answer_timeout_ms=500 2>/dev/null | awk 'NR > 1 { print $1 }') "
         ";;\n"
         "  esac\n"
         "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
         "  ((${#COMPREPLY[@]})) || mapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n"
         "}\n"
         "complete -F _sluice sluice\n";
}

}  // namespace sluice::cli
