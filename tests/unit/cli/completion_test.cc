#include "client/cli/completion.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include <catch2/catch.hpp>

#include "client/cli/command.h"

// To write the script anew after a change of the commands:
// SLUICE_WRITE_PAGE=1 cli_test "the bash completion is what the table of commands says"
TEST_CASE("the bash completion is what the table of commands says") {
  sluice::cli::ClientOptions options;
  const auto table = client_option_table(options);
  std::vector<const sluice::cli::Syntax*> syntaxes;
  for (const sluice::cli::Command* const command : sluice::cli::all_commands())
    syntaxes.push_back(&command->syntax);
  const std::string expected = bash_completion(syntaxes, table);
  if (std::getenv("SLUICE_WRITE_PAGE") != nullptr) std::ofstream(SLUICE_COMPLETION_FILE) << expected;
  std::ifstream file(SLUICE_COMPLETION_FILE);
  std::ostringstream text;
  text << file.rdbuf();
  CHECK(text.str() == expected);
}

TEST_CASE("bash takes the completion, and it completes words, flags and formats") {
  const auto completions = [](const std::string& words) {
    std::string script = "source ";
    script.append(SLUICE_COMPLETION_FILE);
    script.append("; COMP_WORDS=(").append(words).append("); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); ");
    script.append(R"(compopt() { :; }; _sluice; printf "%s " "${COMPREPLY[@]}")");
    FILE* const pipe = popen(std::string("bash -uc '").append(script).append("' 2>&1").c_str(), "r");
    REQUIRE(pipe != nullptr);
    std::string output;
    std::array<char, 4096> buffer{};
    while (const std::size_t got = fread(buffer.data(), 1, buffer.size(), pipe))
      output.append(buffer.data(), got);
    CHECK(pclose(pipe) == 0);
    return output;
  };
  CHECK(completions("sluice vol") == "volume ");
  CHECK(completions("sluice volume re") == "resize rename ");
  CHECK(completions("sluice volume resize --all") == "--allow-shrink ");
  CHECK(completions("sluice status -o j") == "json ");
  CHECK(completions("sluice bench --transport.prov") == "--transport.provider= ");
}
