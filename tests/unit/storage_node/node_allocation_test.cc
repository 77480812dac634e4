// In the steady state the node allocates nothing and takes no lock, from request to answer.

#include <catch2/catch.hpp>

#include "storage_node/node_reactor.h"
#include "tests/contract/call_counter.h"
#include "tests/unit/storage_node/fake_backend.h"
#include "tests/unit/storage_node/node_stage.h"
#include "tests/unit/storage_node/raw_client.h"
#include "transport/ofi/ofi_provider.h"

namespace sluice::storage_node::test {
namespace {

using transport::contract::CallCounter;

/// A node's reactor on real connections, and a client in the same thread.
class RealStage {
 public:
  RealStage() {
    NodeReactorConfig config;
    config.listen = {{"127.0.0.1", 0}};
    config.memory = {ByteCount(64UL * 1024 * 1024), false};
    config.session.path.slots.push_back({64 * 1024, 8});
    NodeReactorParts parts{
        {}, std::make_unique<FakeBackend>(NodeStage::make_disk()), clock_, random_, nullptr, agent_};
    parts.providers.push_back(open());
    node_ =
        std::move(*NodeReactor::create(config, {protocol::NodeId(5), protocol::BootId(6)}, std::move(parts)));
    client_ = std::make_unique<RawClient>(open(), 200);
    client_->connect_control(node_->addresses()[0]);
    turn_until([&] { return client_->control_up; });
    client_->open(1, gvn_of(1));
    turn_until([&] { return client_->answer<protocol::SessionAnswer>(1) != nullptr; });
    path_ = &client_->attach(node_->addresses()[0], *client_->answer<protocol::SessionAnswer>(1), 0, 1, 64);
    turn_until([&] { return path_->accept.has_value(); });
    path_->responses.reserve(10'000);
  }

  /// Rounds of all that the data path has, one after the other.
  void run(std::uint64_t rounds) {
    const Gvn gvn = gvn_of(1);
    for (std::uint64_t round = 0; round < rounds; ++round) {
      const std::uint64_t low = seq_ + 1;
      client_->write(*path_, gvn, low, low, round % 100, 7);
      client_->write_slot(*path_, gvn, low + 1, low, 200, 64 * 1024, 8,
                          static_cast<std::uint16_t>(round % 8));
      client_->read(*path_, gvn, low + 2, low, 300, 64 * 1024, 0);
      client_->plain(*path_, gvn, protocol::IoOp::flush, low + 3, low);
      seq_ += 4;
      const std::size_t answers = path_->responses.size() + 4;
      turn_until([&] { return path_->responses.size() == answers; });
      for (const protocol::IoResponse& response : path_->responses)
        REQUIRE(response.status == StatusCode::ok);
      path_->responses.clear();
    }
  }

  bool counts = false;
  std::map<std::string, std::uint64_t> counted;

 private:
  static std::unique_ptr<transport::Provider> open() {
    transport::TransportConfig config;
    config.local_host = "127.0.0.1";
    auto provider = transport::ofi::open_ofi_provider(config);
    REQUIRE(provider);
    return std::move(*provider);
  }

  template <typename Done>
  void turn_until(Done done) {
    const Instant deadline = clock_.now() + std::chrono::seconds(30);
    while (!done()) {
      REQUIRE(clock_.now() < deadline);
      turn_node();
      client_->turn();
      for (const AgentLetter& letter : agent_.take())
        answer(letter);
    }
  }
  void turn_node() {
    if (!counts) {
      node_->turn();
      return;
    }
    CallCounter counter;
    node_->turn();
    counter.stop();
    for (const auto& [caller, count] : counter.by_caller())
      counted[caller] += count;
  }
  void answer(const AgentLetter& letter) {
    const auto* const verify = std::get_if<VerifyLetter>(&letter);
    if (verify == nullptr) return;
    protocol::VerifyAnswer good;
    good.volume = verify->request.volume;
    good.gvn = good.era = good.current_gvn = verify->request.gvn;
    good.manager_version = ManagerVersion(1);
    good.size = ByteCount(kVolumeBlocks * kBlock);
    good.block_size = kBlock;
    node_->mailbox().post(VerifyAnswerLetter{verify->id, good});
  }

  SteadyClock clock_;
  CountingRandom random_;
  AgentMailbox agent_;
  std::unique_ptr<NodeReactor> node_;
  std::unique_ptr<RawClient> client_;
  RawClient::RawPath* path_ = nullptr;
  std::uint64_t seq_ = 0;
};

}  // namespace

TEST_CASE("two thousand requests of each kind: no allocation, no lock", "[allocation]") {
  RealStage stage;
  stage.run(200);
  stage.counts = true;
  stage.run(2000);
  // What the node does once in a tick (a report to its agent) isn't the data path: a few in all.
  constexpr std::uint64_t kTicks = 400;
  for (const auto& [caller, count] : stage.counted) {
    const bool is_ours = caller.ends_with(" from us") || caller.find("libstdc++") != std::string::npos;
    INFO(caller << ": " << count);
    CHECK((!is_ours || count < kTicks));
  }
}

}  // namespace sluice::storage_node::test
