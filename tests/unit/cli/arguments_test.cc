#include "client/cli/arguments.h"

#include <catch2/catch.hpp>

#include "client/cli/command.h"

using sluice::Result;
using sluice::cli::CommandLine;
using sluice::cli::Syntax;

namespace {

const Syntax kCreate{
    "volume create",
    "Makes a volume",
    {{"NAME"}},
    {{"size", "SIZE", "how large"}, {"write-back", "", "answer early"}, {"count", "N", "how often"}}};
const Syntax kList{"session ls", "Lists sessions", {{"VOLUME", true}}, {}};
const Syntax kStatus{"status", "Shows the cluster", {}, {}};

struct Reading {
  sluice::cli::ClientOptions options;
  sluice::runtime::OptionTable table = client_option_table(options);

  Result<CommandLine> read(const std::vector<std::string>& words) {
    const std::vector<const Syntax*> commands{&kCreate, &kList, &kStatus};
    return read_command_line(commands, table, words);
  }
  std::string error(const std::vector<std::string>& words) {
    const auto line = read(words);
    return line ? "" : line.error().message;
  }
};

}  // namespace

TEST_CASE("operands, flags and general options are told apart, in any order") {
  Reading reading;
  const auto line = reading.read(
      {"-o", "json", "volume", "create", "--write-back", "vm1", "--size=10G", "--transport.provider", "ofi"});
  REQUIRE(line.has_value());
  CHECK(line->command == &kCreate);
  CHECK(line->json);
  CHECK(line->arguments->operand(0) == "vm1");
  CHECK(line->arguments->has("write-back"));
  CHECK(line->arguments->size("size", {}) == sluice::ByteCount(std::uint64_t{10} << 30U));
  CHECK(line->overrides == std::vector<std::pair<std::string, std::string>>{{"transport.provider", "ofi"}});
}

TEST_CASE("an optional operand may be left out, a command may have one word") {
  Reading reading;
  CHECK(reading.read({"session", "ls"})->arguments->operand(0).empty());
  CHECK(reading.read({"session", "ls", "v"})->arguments->operand(0) == "v");
  CHECK(reading.read({"status", "--config", "x.yaml"})->config_file == "x.yaml");
  CHECK(reading.read({"--transport.provider", "ofi", "--config", "x", "status"})->command == &kStatus);
  CHECK(reading.read({"--help"})->command == nullptr);
  CHECK(reading.read({"volume", "create", "--help"})->command == &kCreate);
}

TEST_CASE("a wrong argument is answered with what was expected and the usage") {
  Reading reading;
  const std::string usage = "\nusage: sluice volume create NAME [--size SIZE] [--write-back] [--count N]";
  CHECK(reading.error({"volume", "create"}) == "NAME is missing" + usage);
  CHECK(reading.error({"volume", "create", "a", "b"}) == "\"b\" is one argument too many" + usage);
  CHECK(reading.error({"volume", "create", "a", "--size"}) == "--size wants a value" + usage);
  CHECK(reading.error({"volume", "create", "a", "--sise=1"}) ==
        "unknown option --sise; did you mean \"size\"?" + usage);
  CHECK(reading.error({"volume", "create", "a", "--transport.provder=x"}) ==
        "unknown option --transport.provder; did you mean \"transport.provider\"?" + usage);
  CHECK(reading.error({"volume", "create", "a", "--write-back=1"}) == "--write-back takes no value" + usage);
  CHECK(reading.error({"volume", "create", "a", "-x"}) == "unknown option -x" + usage);
  CHECK(reading.error({"volume", "create", "a", "-o", "xml"}) ==
        "-o: expected table or json, not \"xml\"" + usage);
}

TEST_CASE("an unknown command is answered with what comes near it") {
  Reading reading;
  CHECK(reading.error({"volume", "crate"})
            .find("unknown command \"volume crate\"; expected one of:\n"
                  "  sluice volume create NAME") == 0);
  CHECK(reading.error({"volume"}).find("\"volume\" wants one more word") == 0);
  CHECK(reading.error({"stauts"}).find("unknown command \"stauts\"; did you mean \"status\"?") == 0);
  CHECK(reading.error({}).find("no command was given") == 0);
}

TEST_CASE("a flag's value is checked, with the usage") {
  Reading reading;
  const auto line = reading.read({"volume", "create", "a", "--size=10GB", "--count=0"});
  REQUIRE(line.has_value());
  CHECK(line->arguments->size("size", {}).error().message.find("--size: \"10GB\" is no size") == 0);
  CHECK(line->arguments->number("count", {1, 9}, 5)
            .error()
            .message.find("--count: expected a number from 1 to 9, not \"0\"\nusage:") == 0);
  CHECK(reading.read({"volume", "create", "a"})->arguments->number("count", {1, 9}, 5) == 5);
}

TEST_CASE("every command has words, a summary and flags of its own name only") {
  std::vector<std::string> words;
  for (const sluice::cli::Command* const command : sluice::cli::all_commands()) {
    CHECK(std::find(words.begin(), words.end(), command->syntax.words) == words.end());
    words.push_back(command->syntax.words);
    CHECK_FALSE(command->syntax.summary.empty());
    CHECK(command->run != nullptr);
    sluice::cli::ClientOptions options;
    auto table = client_option_table(options);
    for (const sluice::cli::Flag& flag : command->syntax.flags)
      CHECK(table.find(flag.name) == nullptr);
  }
  CHECK(words.size() > 20);
}
