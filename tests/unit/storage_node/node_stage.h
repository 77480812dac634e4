#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <catch2/catch.hpp>

#include "storage_node/node_reactor.h"
#include "tests/unit/storage_node/fake_backend.h"
#include "tests/unit/storage_node/raw_client.h"
#include "transport/sim/network.h"

namespace sluice::storage_node::test {

class CountingRandom final : public runtime::RandomSource {
 public:
  std::uint64_t next() override { return ++last_; }

 private:
  std::uint64_t last_ = 1000;
};

inline constexpr std::uint64_t kVolumeBlocks = 1024;

/// One reactor of a node on a simulated network, its agent's part played by the test.
struct NodeStage {
  explicit NodeStage(NodeReactorConfig with = {}, std::shared_ptr<FakeDisk> on = nullptr)
      : disk(on ? std::move(on) : make_disk()), network(1), config(std::move(with)) {
    network.add_host("node", {"10.0.0.1", "10.0.1.1"});
    network.add_host("client", {"10.0.0.2", "10.0.1.2"});
    config.listen = {{"10.0.0.1", 7471}, {"10.0.1.1", 7471}};
    if (config.memory.limit == ByteCount(0)) config.memory.limit = ByteCount(64UL * 1024 * 1024);
    config.memory.huge_pages = false;
    if (config.session.path.slots.empty()) {
      config.session.path.slots.push_back({64 * 1024, 8});
      config.session.path.slots.push_back({1024 * 1024, 1});
    }
    start();
  }

  static std::shared_ptr<FakeDisk> make_disk() {
    auto made = std::make_shared<FakeDisk>();
    VolumeState state;
    state.volume = kVolume;
    state.size = ByteCount(kVolumeBlocks * kBlock);
    state.block_size = kBlock;
    made->volumes[kVolume] = {state, std::vector<std::byte>(state.size.value())};
    return made;
  }

  void start() {
    auto made = std::make_unique<FakeBackend>(disk);
    backend = made.get();
    NodeReactorParts parts{{}, std::move(made), network.clock(), random, nullptr, agent};
    parts.log = [this](transport::LogLevel, std::string_view line) { lines.emplace_back(line); };
    for (const transport::Address& address : config.listen) {
      transport::TransportConfig transport;
      transport.local_host = address.host;
      parts.providers.push_back(std::move(*network.open_provider("node", transport)));
    }
    auto created = NodeReactor::create(config, identity, std::move(parts));
    REQUIRE(created);
    node = std::move(*created);
  }

  template <typename Done>
  bool until(Done done, Duration patience = std::chrono::seconds(5)) {
    const Instant deadline = network.now() + patience;
    for (;;) {
      node->turn();
      for (RawClient* const client : clients)
        client->turn();
      take_mail();
      if (done()) return true;
      if (network.now() > deadline) return false;
      network.run_for(std::chrono::microseconds(20));
    }
  }
  void run_for(Duration span) {
    const Instant end = network.now() + span;
    static_cast<void>(until([&] { return network.now() >= end; }, span * 2));
  }

  void take_mail() {
    for (const AgentLetter& letter : agent.take()) {
      if (const auto* const verify = std::get_if<VerifyLetter>(&letter)) verifies.push_back(*verify);
      if (const auto* const fence = std::get_if<FenceLetter>(&letter)) fences.push_back(*fence);
      if (const auto* const report = std::get_if<ReportLetter>(&letter)) reports.push_back(*report);
      if (const auto* const answer = std::get_if<AnswerLetter>(&letter)) answers.push_back(*answer);
    }
    if (!answers_verifies) return;
    for (const VerifyLetter& verify : verifies)
      node->mailbox().post(
          VerifyAnswerLetter{verify.id, good_answer(verify.request.gvn, verify.request.volume)});
    verifies.clear();
  }
  [[nodiscard]] protocol::VerifyAnswer good_answer(Gvn gvn, VolumeId volume = kVolume) const {
    protocol::VerifyAnswer answer;
    answer.volume = volume;
    answer.gvn = gvn;
    answer.manager_version = manager_version(gvn);
    answer.policy = policy;
    answer.era = gvn;
    answer.current_gvn = gvn;
    answer.size = ByteCount(kVolumeBlocks * kBlock);
    answer.block_size = kBlock;
    return answer;
  }

  RawClient& add_client(std::uint16_t receive_credits = 300) {
    owned.push_back(
        std::make_unique<RawClient>(std::move(*network.open_provider("client", {})), receive_credits));
    clients.push_back(owned.back().get());
    owned.back()->connect_control(address());
    REQUIRE(until([&] { return owned.back()->control_up; }));
    return *owned.back();
  }
  protocol::SessionAnswer open(RawClient& client, Gvn gvn, std::uint64_t nonce = 1) {
    const std::uint64_t id = ++last_id;
    client.open(id, gvn, nonce);
    REQUIRE(until([&] { return client.answer<protocol::SessionAnswer>(id) != nullptr; }));
    return *client.answer<protocol::SessionAnswer>(id);
  }
  RawClient::RawPath& attach(RawClient& client, const protocol::SessionAnswer& session, std::uint8_t path = 0,
                             std::uint32_t epoch = 1, std::size_t rail = 0) {
    auto& made = client.attach(config.listen[rail], session, path, epoch);
    REQUIRE(until([&] { return made.accept || made.is_down; }));
    return made;
  }
  [[nodiscard]] transport::Address address() const { return config.listen[0]; }

  [[nodiscard]] std::span<const std::byte> block(std::uint64_t number) const {
    return std::span(disk->volumes.at(kVolume).data).subspan(number * kBlock, kBlock);
  }
  [[nodiscard]] bool has_fill(std::uint64_t number, std::uint8_t fill) const {
    return std::ranges::all_of(block(number),
                               [&](std::byte byte) { return byte == static_cast<std::byte>(fill); });
  }
  [[nodiscard]] bool logged(std::string_view words) const {
    return std::ranges::any_of(lines, [&](const std::string& line) { return line.find(words) != line.npos; });
  }
  [[nodiscard]] bool is_memory_back() const {
    return node->memory().buffers_on_loan() == 0 && node->memory().staging_on_loan() == ByteCount(0);
  }
  bool shut_down() {
    node->mailbox().post(ShutdownLetter{});
    return until([&] { return node->is_shut_down(); }, std::chrono::seconds(20));
  }
  void restart() {
    node.reset();
    start();
  }

  std::shared_ptr<FakeDisk> disk;
  transport::sim::Network network;
  NodeReactorConfig config;
  NodeIdentity identity{protocol::NodeId(5), protocol::BootId(6)};
  CountingRandom random;
  AgentMailbox agent;
  FakeBackend* backend = nullptr;
  std::vector<std::string> lines;
  std::unique_ptr<NodeReactor> node;

  bool answers_verifies = true;
  protocol::WritePolicy policy = protocol::WritePolicy::write_through;
  std::vector<VerifyLetter> verifies;
  std::vector<FenceLetter> fences;
  std::vector<ReportLetter> reports;
  std::vector<AnswerLetter> answers;
  std::uint64_t last_id = 0;
  std::vector<std::unique_ptr<RawClient>> owned;
  std::vector<RawClient*> clients;
};

}  // namespace sluice::storage_node::test
