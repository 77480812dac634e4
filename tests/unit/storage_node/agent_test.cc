// A node's agent against a master that is played by the test.

#include "storage_node/agent.h"

#include <catch2/catch.hpp>

#include "protocol/node_address.h"
#include "tests/unit/storage_node/raw_client.h"
#include "transport/sim/network.h"

namespace sluice::storage_node::test {
namespace {

using protocol::ControlFrame;
using protocol::RequestId;

/// Takes connections, keeps what is said, and answers when the test wants it.
class FakeMaster final : private runtime::ListenHandler, private runtime::ControlHandler {
 public:
  FakeMaster(transport::sim::Network& network, const std::string& host, const std::string& address) {
    rail_ = *reactor_.add_rail(std::move(*network.open_provider(host, {})), 4096);
    runtime::ListenHandler& handler = *this;
    listener_ = std::move(*reactor_.listen(rail_, {address, 7470}, handler));
  }
  void turn() {
    reactor_.poll();
    reactor_.flush();
  }
  template <typename Message>
  void say(RequestId id, const Message& message) {
    REQUIRE(link_->send({id, message}));
  }
  template <typename Message>
  [[nodiscard]] std::vector<Message> heard() const {
    std::vector<Message> found;
    for (const ControlFrame& frame : frames) {
      if (const auto* const message = std::get_if<Message>(&frame.message)) found.push_back(*message);
    }
    return found;
  }
  void hang_up() { link_->close(); }

  std::vector<ControlFrame> frames;
  std::size_t connections = 0;

 private:
  void on_incoming(runtime::Incoming incoming) override {
    ++connections;
    runtime::ControlHandler& handler = *this;
    link_ = std::move(*runtime::ControlLink::accept(reactor_, std::move(incoming),
                                                    **reactor_.control_domain(rail_), {}, handler));
  }
  void on_control_up(runtime::ControlLink& /*link*/) override {}
  void on_control(runtime::ControlLink& /*link*/, const ControlFrame& frame) override {
    frames.push_back(frame);
  }
  void on_control_down(runtime::ControlLink& /*link*/, const Error& /*why*/) override {}
  void on_control_drained(runtime::ControlLink& /*link*/) override { link_.reset(); }

  runtime::Reactor reactor_;
  runtime::Rail rail_{};
  std::unique_ptr<transport::Listener> listener_;
  std::unique_ptr<runtime::ControlLink> link_;
};

struct AgentStage {
  AgentStage() : network(3) {
    network.add_host("node", {"10.0.0.1"});
    network.add_host("m1", {"10.0.0.5"});
    network.add_host("m2", {"10.0.0.6"});
    first = std::make_unique<FakeMaster>(network, "m1", "10.0.0.5");
    second = std::make_unique<FakeMaster>(network, "m2", "10.0.0.6");
    AgentConfig config;
    config.masters.addresses = {{"10.0.0.5", 7470}, {"10.0.0.6", 7470}};
    config.addresses.push_back(*protocol::NodeAddress::from("10.0.0.1:7471"));
    agent = std::move(*Agent::create(config, {protocol::NodeId(5), protocol::BootId(6)},
                                     std::move(*network.open_provider("node", {})), mailbox,
                                     {&reactors[0], &reactors[1]}, network.clock(), nullptr));
  }

  template <typename Done>
  bool until(Done done, Duration patience = std::chrono::seconds(10)) {
    const Instant deadline = network.now() + patience;
    while (!done()) {
      if (network.now() > deadline) return false;
      agent->turn();
      first->turn();
      second->turn();
      for (std::uint16_t i = 0; i < 2; ++i)
        take(i);
      network.run_for(std::chrono::milliseconds(1));
    }
    return true;
  }
  /// The reactors' part: they are always ready for a hello, unless the test wants them not to be.
  void take(std::uint16_t reactor) {
    for (const ReactorLetter& letter : reactors[reactor].take()) {
      letters[reactor].push_back(letter);
      const auto* const prepare = std::get_if<PrepareHelloLetter>(&letter);
      if (prepare != nullptr && is_ready) mailbox.post(HelloReadyLetter{reactor, prepare->round});
    }
  }
  void report(std::uint16_t reactor, ManagerVersion seen = ManagerVersion(1)) {
    mailbox.post(ReportLetter{reactor, seen, 3, {ByteCount(100), ByteCount(40)}});
  }
  void be_taken(FakeMaster& master, std::uint32_t version = 1) {
    REQUIRE(until([&] { return !master.heard<protocol::Hello>().empty(); }));
    master.say(RequestId(1), protocol::HelloAnswer{StatusCode::ok, ManagerVersion(version)});
    REQUIRE(until([&] { return agent->is_accepted(); }));
  }
  template <typename Letter>
  [[nodiscard]] std::size_t count(std::size_t reactor) const {
    return static_cast<std::size_t>(std::ranges::count_if(
        letters[reactor], [](const auto& letter) { return std::holds_alternative<Letter>(letter); }));
  }

  transport::sim::Network network;
  std::unique_ptr<FakeMaster> first;
  std::unique_ptr<FakeMaster> second;
  AgentMailbox mailbox;
  std::array<ReactorMailbox, 2> reactors;
  std::array<std::vector<ReactorLetter>, 2> letters;
  bool is_ready = true;
  std::unique_ptr<Agent> agent;
};

VerifyLetter verify_of(VolumeId volume) {
  return {RequestId(77),
          {volume, gvn_of(4), *protocol::ClientId::from("vm1"), protocol::Nonce(1), protocol::NodeId(5),
           protocol::BootId(6)}};
}

}  // namespace

TEST_CASE("hello waits until every reactor has told its fences, and has them all, in parts", "[agent]") {
  AgentStage stage;
  stage.report(0);
  CHECK_FALSE(stage.until([&] { return stage.first->connections > 0; }, std::chrono::seconds(1)));
  for (std::uint64_t volume = 1; volume <= 300; ++volume)
    stage.mailbox.post(FenceLetter{VolumeId(volume), gvn_of(static_cast<std::uint32_t>(volume), 2)});
  stage.mailbox.post(FenceLetter{VolumeId(7), gvn_of(1)});  // late: a fence never falls
  stage.report(1, ManagerVersion(2));
  REQUIRE(stage.until([&] { return stage.first->heard<protocol::Hello>().size() == 3; }));
  const auto parts = stage.first->heard<protocol::Hello>();
  std::size_t fences = 0;
  for (std::uint32_t i = 0; i < 3; ++i) {
    CHECK(parts[i].part == i);
    CHECK(parts[i].last_part == (i == 2));
    CHECK(parts[i].reactors == 2);
    CHECK(parts[i].manager_version == ManagerVersion(2));
    fences += parts[i].fences.size();
  }
  CHECK(fences == 300);
  CHECK(parts[0].fences[6].fence == gvn_of(7, 2));
}

TEST_CASE("P1: no hello before the reactors have given up what was under way", "[agent][P1]") {
  AgentStage stage;
  stage.is_ready = false;
  stage.report(0);
  stage.report(1);
  CHECK_FALSE(
      stage.until([&] { return !stage.first->heard<protocol::Hello>().empty(); }, std::chrono::seconds(1)));
  CHECK(stage.count<PrepareHelloLetter>(0) >= 1);
  stage.is_ready = true;
  stage.be_taken(*stage.first);
}

TEST_CASE("a verification goes to the master and its answer to the volume's reactor", "[agent]") {
  AgentStage stage;
  stage.report(0);
  stage.report(1);
  stage.be_taken(*stage.first);
  stage.mailbox.post(verify_of(VolumeId(13)));
  REQUIRE(stage.until([&] { return !stage.first->heard<protocol::VerifyRequest>().empty(); }));
  protocol::VerifyAnswer answer;
  answer.status = StatusCode::stale_version;
  answer.volume = VolumeId(13);
  answer.gvn = gvn_of(4);
  answer.manager_version = ManagerVersion(1);
  stage.first->say(stage.first->frames.back().request_id, answer);
  REQUIRE(stage.until([&] { return stage.count<VerifyAnswerLetter>(1) == 1; }));
  CHECK(stage.count<VerifyAnswerLetter>(0) == 0);
  for (const ReactorLetter& letter : stage.letters[1]) {
    if (const auto* const told = std::get_if<VerifyAnswerLetter>(&letter)) CHECK(told->id == RequestId(77));
  }
}

TEST_CASE("P1: a deposed master's verification isn't passed on; the next master is asked", "[agent][P1]") {
  AgentStage stage;
  stage.report(0);
  stage.report(1);
  stage.be_taken(*stage.first);
  stage.mailbox.post(verify_of(VolumeId(12)));
  REQUIRE(stage.until([&] { return !stage.first->heard<protocol::VerifyRequest>().empty(); }));
  protocol::VerifyAnswer answer;
  answer.status = StatusCode::not_master;
  answer.volume = VolumeId(12);
  answer.gvn = gvn_of(4);
  answer.manager_version = ManagerVersion(1);
  stage.first->say(stage.first->frames.back().request_id, answer);
  stage.be_taken(*stage.second, 2);
  CHECK(stage.count<VerifyAnswerLetter>(0) == 0);
  CHECK(stage.count<ManagerVersionLetter>(0) >= 1);
  // The old one's word is void from now on: it is left at once.
  stage.second->hang_up();
  stage.first->frames.clear();
  REQUIRE(stage.until([&] { return !stage.first->heard<protocol::Hello>().empty(); }));
  stage.first->say(RequestId(9), protocol::HelloAnswer{StatusCode::ok, ManagerVersion(1)});
  stage.second->frames.clear();
  REQUIRE(stage.until([&] { return !stage.second->heard<protocol::Hello>().empty(); }));
  CHECK_FALSE(stage.agent->is_accepted());
}

TEST_CASE("orders go to the volume's reactor, their answers to the master; beats tell space and sessions",
          "[agent]") {
  AgentStage stage;
  stage.report(0);
  stage.report(1);
  stage.be_taken(*stage.first);
  protocol::VolumeOrder order;
  order.verb = protocol::OrderVerb::create;
  order.volume = VolumeId(8);
  order.size = ByteCount(kBlock);
  order.block_size = kBlock;
  order.manager_version = ManagerVersion(1);
  stage.first->say(RequestId(41), order);
  stage.first->say(RequestId(42), protocol::QuiesceRequest{VolumeId(9), gvn_of(1), ManagerVersion(1)});
  REQUIRE(stage.until([&] { return stage.count<OrderLetter>(0) == 1 && stage.count<OrderLetter>(1) == 1; }));
  protocol::VolumeOrderAnswer done;
  done.volume = VolumeId(8);
  stage.mailbox.post(AnswerLetter{RequestId(41), done});
  REQUIRE(stage.until([&] { return !stage.first->heard<protocol::VolumeOrderAnswer>().empty(); }));
  REQUIRE(stage.until([&] { return stage.first->heard<protocol::Heartbeat>().size() >= 3; }));
  const protocol::Heartbeat beat = stage.first->heard<protocol::Heartbeat>().back();
  CHECK(beat.sessions == 6);
  CHECK(beat.free == ByteCount(40));
  // A master that doesn't know the node any more hears its hello again.
  stage.first->frames.clear();
  stage.first->say(RequestId(1), protocol::HeartbeatAnswer{StatusCode::not_found, ManagerVersion(1)});
  REQUIRE(stage.until([&] { return !stage.first->heard<protocol::Hello>().empty(); }));
}

}  // namespace sluice::storage_node::test
