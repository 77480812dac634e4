// A volume that moves: from one node's reactor to another's.

#include <catch2/catch.hpp>

#include "tests/unit/storage_node/node_stage.h"

namespace sluice::storage_node::test {
namespace {

/// One more node on a stage's network.
struct Target {
  explicit Target(NodeStage& with) : stage(with), disk(std::make_shared<FakeDisk>()) {
    stage.network.add_host("target", {"10.0.0.9"});
    auto made = std::make_unique<FakeBackend>(disk);
    backend = made.get();
    NodeReactorConfig config = stage.config;
    config.listen = {{"10.0.0.9", 7471}};
    NodeReactorParts parts{{}, std::move(made), stage.network.clock(), stage.random, nullptr, agent};
    parts.providers.push_back(std::move(*stage.network.open_provider("target", {})));
    auto created = NodeReactor::create(config, {protocol::NodeId(6), protocol::BootId(7)}, std::move(parts));
    REQUIRE(created);
    node = std::move(*created);
  }

  void order(Gvn gvn) {
    protocol::VolumeOrder order;
    order.verb = protocol::OrderVerb::copy;
    order.volume = kVolume;
    order.size = ByteCount(kVolumeBlocks * kBlock);
    order.block_size = kBlock;
    order.gvn = gvn;
    order.manager_version = ManagerVersion(1);
    order.source.push_back(*protocol::NodeAddress::from("10.0.0.1:7471"));
    node->mailbox().post(OrderLetter{protocol::RequestId(++request), order});
  }
  void turn() {
    node->turn();
    for (const AgentLetter& letter : agent.take()) {
      const auto* const told = std::get_if<AnswerLetter>(&letter);
      if (told != nullptr) answers.push_back(std::get<protocol::VolumeOrderAnswer>(told->answer));
    }
  }
  template <typename Done>
  bool until(Done done, Duration patience = std::chrono::seconds(20)) {
    return stage.until(
        [&] {
          turn();
          return done();
        },
        patience);
  }
  [[nodiscard]] bool has_answer(StatusCode status) const {
    return std::ranges::any_of(answers, [&](const auto& answer) { return answer.status == status; });
  }
  [[nodiscard]] bool has_all() const {
    const auto found = disk->volumes.find(kVolume);
    return found != disk->volumes.end() && found->second.data == stage.disk->volumes.at(kVolume).data;
  }

  NodeStage& stage;
  std::shared_ptr<FakeDisk> disk;
  FakeBackend* backend = nullptr;
  AgentMailbox agent;
  std::unique_ptr<NodeReactor> node;
  std::vector<protocol::VolumeOrderAnswer> answers;
  std::uint64_t request = 0;
};

void fill(NodeStage& stage) {
  auto& data = stage.disk->volumes.at(kVolume).data;
  for (std::size_t i = 0; i < data.size(); i += 64)
    if (i / (1024 * 1024) != 1) data[i] = static_cast<std::byte>(i / 64 % 251);  // the second MiB stays zero
}

void quiesce(NodeStage& stage, Gvn gvn) {
  stage.answers.clear();
  stage.node->mailbox().post(
      OrderLetter{protocol::RequestId(1), protocol::QuiesceRequest{kVolume, gvn, ManagerVersion(1)}});
  REQUIRE(stage.until([&] { return !stage.answers.empty(); }));
  REQUIRE(std::get<protocol::QuiesceAnswer>(stage.answers[0].answer).status == StatusCode::ok);
}

}  // namespace

TEST_CASE("a copy waits for the tombstone, takes everything, and ends with the fence", "[copy]") {
  NodeStage stage;
  fill(stage);
  stage.run_for(std::chrono::milliseconds(300));
  Target target(stage);
  target.order(gvn_of(3));
  REQUIRE(target.until([&] { return target.has_answer(StatusCode::moving); }));
  CHECK_FALSE(target.until([&] { return target.has_all(); }, std::chrono::seconds(2)));
  CHECK(target.disk->volumes.at(kVolume).state.incomplete);
  quiesce(stage, gvn_of(3));
  REQUIRE(target.until([&] { return target.has_answer(StatusCode::ok); }));
  CHECK(target.has_all());
  const VolumeState& state = target.disk->volumes.at(kVolume).state;
  CHECK_FALSE(state.incomplete);
  CHECK(state.fence == gvn_of(3));
  CHECK(target.answers.back().moved == ByteCount(kVolumeBlocks * kBlock));
  // Asked again it is done again.
  target.answers.clear();
  target.order(gvn_of(3));
  REQUIRE(target.until([&] { return !target.answers.empty(); }));
  CHECK(target.answers[0].status == StatusCode::ok);
  CHECK(target.until([&] { return stage.is_memory_back(); }));
  CHECK(target.node->memory().staging_on_loan() == ByteCount(0));
}

TEST_CASE("a copy survives a broken network and failing writes; nothing half copied is served", "[copy]") {
  NodeStage stage;
  fill(stage);
  stage.run_for(std::chrono::milliseconds(300));
  quiesce(stage, gvn_of(1));
  Target target(stage);
  target.backend->next_io = StatusCode::io_error;
  stage.backend->hold_io = true;
  target.order(gvn_of(1));
  REQUIRE(target.until([&] { return stage.backend->held() >= 2; }));
  stage.network.partition("node", "target");
  stage.backend->hold_io = false;
  CHECK_FALSE(target.until([&] { return target.has_answer(StatusCode::ok); }, std::chrono::seconds(3)));

  RawClient client(std::move(*stage.network.open_provider("client", {})));
  stage.clients.push_back(&client);
  client.connect_control({"10.0.0.9", 7471});
  REQUIRE(target.until([&] { return client.control_up; }));
  client.open(1, gvn_of(2));
  REQUIRE(target.until([&] { return !client.frames.empty(); }));
  CHECK(client.answer<protocol::SessionAnswer>(1)->status == StatusCode::unavailable);

  stage.network.heal_all();
  REQUIRE(target.until([&] { return target.has_answer(StatusCode::ok); }, std::chrono::seconds(60)));
  CHECK(target.has_all());
  CHECK(target.until([&] { return stage.is_memory_back(); }, std::chrono::seconds(30)));
  stage.clients.clear();
}

TEST_CASE("a copy that is no longer wanted is ended by a remove order", "[copy]") {
  NodeStage stage;
  stage.run_for(std::chrono::milliseconds(300));
  Target target(stage);
  target.order(gvn_of(1));
  REQUIRE(target.until([&] { return target.has_answer(StatusCode::moving); }));
  protocol::VolumeOrder order;
  order.verb = protocol::OrderVerb::remove;
  order.volume = kVolume;
  order.manager_version = ManagerVersion(1);
  REQUIRE(target.until([&] {
    target.node->mailbox().post(OrderLetter{protocol::RequestId(99), order});
    return target.has_answer(StatusCode::ok);
  }));
  CHECK(target.disk->volumes.at(kVolume).state.removed);
  CHECK(target.node->memory().staging_on_loan() == ByteCount(0));
}

}  // namespace sluice::storage_node::test
