#include "storage_node/options.h"

#include <catch2/catch.hpp>

#include "runtime/config_file.h"

namespace sluice::storage_node::test {
namespace {

const std::string kRequired = "masters: [127.0.0.1:7470]\ndata_directory: /tmp\n";

Status read(NodeOptions& options, const std::string& text) {
  auto table = make_option_table(options);
  if (const Status set = runtime::read_config(table, kRequired + text, "node.yaml"); !set) return set;
  return table.verify();
}

std::string mistake(const std::string& text) {
  NodeOptions options;
  const Status status = read(options, text);
  REQUIRE_FALSE(status);
  return status.error().message;
}

}  // namespace

TEST_CASE("a node that is told nothing but masters and a directory has the documented defaults") {
  NodeOptions options;
  REQUIRE(read(options, ""));
  const NodeReactorConfig& reactor = options.core.reactor;
  CHECK(options.core.listen == std::vector<transport::Address>{{"127.0.0.1", 7471}});
  CHECK(slot_bytes(reactor.session.path) == ByteCount(6UL * 1024 * 1024));
  CHECK(reactor.session.path.slots[0] == protocol::SlotClass{64 * 1024, 32});
  CHECK(reactor.session.path.slots[1] == protocol::SlotClass{1024 * 1024, 4});
  CHECK(reactor.session.path_depth == 256);
}

TEST_CASE("what can't work together is refused in words") {
  CHECK(mistake("session: {window: 1000}").find("a power of two") != std::string::npos);
  CHECK(mistake("reactors: 4\nmemory_limit: 32M").find("at least 16M a reactor") != std::string::npos);
  CHECK(mistake("reactors: 2\nlisten: [127.0.0.1:0]").find("port 0") != std::string::npos);
  CHECK(mistake("listen: [127.0.0.1:65535]\nreactors: 2").find("there aren't 2") != std::string::npos);
  CHECK(mistake("advertise: [a:1, b:2]").find("one address for each") != std::string::npos);
  CHECK(mistake("cpus: ['1', '2']").find("one for each reactor") != std::string::npos);
  CHECK(mistake("session: {slots: ['64K']}").find("32x64K") != std::string::npos);
  CHECK(mistake("session: {slots: ['1x2M']}").find("up to 1M") != std::string::npos);
  CHECK(mistake("session: {slots: ['5000x4K']}").find("4096 slots") != std::string::npos);
}

TEST_CASE("the sample file is right, and says the defaults") {
  NodeOptions sample;
  auto table = make_option_table(sample);
  REQUIRE(runtime::read_config_file(table, SLUICE_SAMPLE_CONFIG));
  REQUIRE(table.verify());
  NodeOptions plain;
  auto defaults = make_option_table(plain);
  for (const runtime::Option& option : table.options()) {
    INFO(option.key());
    if (option.is_required()) continue;
    CHECK(option.values() == defaults.find(option.key())->values());
  }
}

}  // namespace sluice::storage_node::test
