// One reactor of a node through real channels: sessions, paths, IO, and their ends.

#include <catch2/catch.hpp>

#include "tests/unit/storage_node/node_stage.h"

namespace sluice::storage_node::test {
namespace {

using protocol::IoOp;
using protocol::SessionAnswer;
using RawPath = RawClient::RawPath;

constexpr std::uint32_t kMiB = 1024 * 1024;

/// The read target's bytes.
bool has_read(const RawClient& client, std::size_t at, std::uint32_t length, std::uint8_t fill) {
  return std::ranges::all_of(std::span(client.memory).subspan(at, length),
                             [&](std::byte byte) { return byte == static_cast<std::byte>(fill); });
}

}  // namespace

TEST_CASE("P3: verify, then the fence on the disk, then the acknowledgement", "[P3]") {
  NodeStage stage;
  stage.answers_verifies = false;
  stage.backend->hold_state = true;
  RawClient& client = stage.add_client();
  client.open(1, gvn_of(1));
  REQUIRE(stage.until([&] { return stage.verifies.size() == 1; }));
  CHECK(stage.verifies[0].request.gvn == gvn_of(1));
  CHECK(stage.verifies[0].request.node == stage.identity.node);

  stage.run_for(std::chrono::milliseconds(300));
  CHECK(stage.backend->held() == 0);  // nothing is made durable before the master has said so
  stage.node->mailbox().post(VerifyAnswerLetter{stage.verifies[0].id, stage.good_answer(gvn_of(1))});
  REQUIRE(stage.until([&] { return stage.backend->held() == 1; }));
  CHECK(client.answer<SessionAnswer>(1) == nullptr);  // nor acknowledged before it is durable

  stage.backend->hold_state = false;
  REQUIRE(stage.until([&] { return client.answer<SessionAnswer>(1) != nullptr; }));
  CHECK(client.answer<SessionAnswer>(1)->status == StatusCode::ok);
  CHECK(stage.disk->volumes.at(kVolume).state.fence == gvn_of(1));
  CHECK(stage.fences.back().fence == gvn_of(1));  // as the next hello will report it
}

TEST_CASE("an open that the master doesn't confirm is refused, and nothing is written", "[P1][P3]") {
  NodeStage stage;
  stage.answers_verifies = false;
  RawClient& client = stage.add_client();
  client.open(1, gvn_of(1));
  REQUIRE(stage.until([&] { return !stage.verifies.empty(); }));
  protocol::VerifyAnswer answer;
  answer.status = StatusCode::stale_version;
  answer.volume = kVolume;
  answer.gvn = gvn_of(1);
  answer.manager_version = ManagerVersion(1);
  stage.node->mailbox().post(VerifyAnswerLetter{stage.verifies[0].id, answer});
  REQUIRE(stage.until([&] { return client.answer<SessionAnswer>(1) != nullptr; }));
  CHECK(client.answer<SessionAnswer>(1)->status == StatusCode::stale_version);
  CHECK(stage.disk->volumes.at(kVolume).state.fence == Gvn(0));
  CHECK(stage.logged("volume=12 gvn=1.1: session refused: stale_version"));
}

TEST_CASE("a fence that can't be made durable refuses the session (attack 33)", "[P3]") {
  NodeStage stage;
  RawClient& client = stage.add_client();
  stage.run_for(std::chrono::milliseconds(300));
  stage.backend->next_store = StatusCode::no_space;
  CHECK(stage.open(client, gvn_of(1)).status == StatusCode::no_space);
  CHECK(stage.open(client, gvn_of(1)).status == StatusCode::ok);
}

TEST_CASE("writes in the capsule and through slots, reads, flush, discard and zeroes", "[io]") {
  NodeStage stage;
  RawClient& client = stage.add_client();
  const SessionAnswer session = stage.open(client, gvn_of(1));
  RawPath& path = stage.attach(client, session);
  REQUIRE(path.accept);
  CHECK(path.accept->in_capsule_limit == 4096);

  client.write(path, session.gvn, 1, 1, 3, 0x11);
  client.write_slot(path, session.gvn, 2, 1, 16, 64 * 1024, 0x22, 0);
  client.write_slot(path, session.gvn, 3, 1, 256, kMiB, 0x33, 8);
  REQUIRE(stage.until([&] { return path.has(3); }));
  for (const protocol::IoResponse& response : path.responses)
    CHECK(response.status == StatusCode::ok);
  CHECK(stage.has_fill(3, 0x11));
  CHECK(stage.has_fill(31, 0x22));
  CHECK(stage.has_fill(511, 0x33));

  client.read(path, session.gvn, 4, 4, 3, kBlock, 0);
  client.read(path, session.gvn, 5, 4, 256, kMiB, kMiB);
  REQUIRE(stage.until([&] { return path.has(5); }));
  CHECK(has_read(client, 0, kBlock, 0x11));
  CHECK(has_read(client, kMiB, kMiB, 0x33));
  CHECK(path.responses[4].data_crc == crc32c(std::span(client.memory).subspan(kMiB, kMiB)));

  client.plain(path, session.gvn, IoOp::flush, 6, 6);
  client.plain(path, session.gvn, IoOp::discard, 7, 6, 3);
  client.plain(path, session.gvn, IoOp::write_zeroes, 8, 6, 16, 64 * 1024);
  REQUIRE(stage.until([&] { return path.has(8); }));
  CHECK(stage.has_fill(3, 0));
  CHECK(stage.has_fill(31, 0));
  REQUIRE(stage.shut_down());
  CHECK(stage.is_memory_back());
}

TEST_CASE("P4: a write-through write is durable at the backend; a write-back one only with FUA", "[P4]") {
  for (const auto policy : {protocol::WritePolicy::write_through, protocol::WritePolicy::write_back}) {
    NodeStage stage;
    stage.policy = policy;
    RawClient& client = stage.add_client();
    const SessionAnswer session = stage.open(client, gvn_of(1));
    RawPath& path = stage.attach(client, session);
    stage.backend->remember = true;
    client.write(path, session.gvn, 1, 1, 0, 1);
    auto fua = RawClient::request(path, session.gvn, IoOp::write_zeroes, 2, 1, 5);
    fua.fua = true;
    client.send(path, fua);
    REQUIRE(stage.until([&] { return path.has(2); }));
    const bool is_write_back = policy == protocol::WritePolicy::write_back;
    CHECK(stage.backend->seen[0].durable == !is_write_back);
    CHECK(stage.backend->seen[1].durable);
    CHECK(stage.disk->volumes.at(kVolume).state.write_back_open == is_write_back);
  }
}

TEST_CASE("a payload with a bad CRC never reaches the backend, and its number is free again", "[io]") {
  NodeStage stage;
  RawClient& client = stage.add_client();
  const SessionAnswer session = stage.open(client, gvn_of(1));
  RawPath& path = stage.attach(client, session);
  client.write(path, session.gvn, 1, 1, 0, 0x44, 1);
  REQUIRE(stage.until([&] { return path.has(1); }));
  CHECK(path.responses[0].status == StatusCode::bad_checksum);
  CHECK(stage.backend->io_count == 0);
  client.write(path, session.gvn, 1, 1, 0, 0x44);
  REQUIRE(stage.until([&] { return path.has(2); }));
  CHECK(path.responses[1].status == StatusCode::ok);
  CHECK(stage.has_fill(0, 0x44));
}

TEST_CASE("a write in a slot that the path doesn't have is refused", "[io]") {
  NodeStage stage;
  RawClient& client = stage.add_client();
  const SessionAnswer session = stage.open(client, gvn_of(1));
  RawPath& path = stage.attach(client, session);
  client.write_slot(path, session.gvn, 1, 1, 0, kBlock, 1, 4000);
  client.write_slot(path, session.gvn, 2, 1, 0, 128 * 1024, 1, 0);  // longer than the slot
  REQUIRE(stage.until([&] { return path.has(1); }));
  CHECK(path.responses[0].status == StatusCode::io_error);
  // The WRITE of the second went beyond the slot, but stayed in the path's own region.
  REQUIRE(stage.until([&] { return path.has(2); }));
  CHECK(path.responses[1].status == StatusCode::io_error);
  CHECK(stage.backend->io_count == 0);
}

TEST_CASE("R2: a repeated read is answered, with its data, on each attempt's own path", "[R2][W6]") {
  NodeStage stage;
  RawClient& client = stage.add_client();
  const SessionAnswer session = stage.open(client, gvn_of(1));
  RawPath& first = stage.attach(client, session, 0);
  RawPath& second = stage.attach(client, session, 1, 1, 1);
  client.write(first, session.gvn, 1, 1, 0, 0x55);
  REQUIRE(stage.until([&] { return first.has(1); }));

  stage.backend->hold_io = true;
  client.read(first, session.gvn, 2, 2, 0, kBlock, 0);
  REQUIRE(stage.until([&] { return stage.backend->held() == 1; }));
  client.read(second, session.gvn, 2, 2, 0, kBlock, kMiB);
  stage.run_for(std::chrono::milliseconds(5));
  CHECK(stage.backend->held() == 1);  // the second one waits for the first
  stage.backend->hold_io = false;
  REQUIRE(stage.until([&] { return first.has(2) && second.has(1); }));
  CHECK(has_read(client, 0, kBlock, 0x55));
  CHECK(has_read(client, kMiB, kBlock, 0x55));
}

TEST_CASE("W6: a write that waits for its number keeps its payload, and executes if the first was damaged",
          "[W6]") {
  // A limit of memory keeps the first attempt from being checked until the second one waits.
  NodeStage stage;
  RawClient& client = stage.add_client();
  const SessionAnswer session = stage.open(client, gvn_of(1));
  RawPath& first = stage.attach(client, session, 0);
  RawPath& second = stage.attach(client, session, 1, 1, 1);
  std::vector<IoBuffer> taken;
  auto& memory = const_cast<IoMemory&>(stage.node->memory());
  while (memory.has(kBlock))
    taken.push_back(memory.take(kBlock));

  client.write(first, session.gvn, 1, 1, 7, 0x66, 1);
  stage.run_for(std::chrono::milliseconds(2));
  // The same request under W5, though its data arrived damaged: CRC as announced, other bytes.
  const std::vector<std::byte> good(kBlock, std::byte{0x66});
  auto again = RawClient::request(second, session.gvn, IoOp::write, 1, 1, 7);
  again.placement = protocol::DataPlacement::in_capsule;
  again.data_crc = crc32c(good) ^ 1U;
  client.send(second, again, good);
  stage.run_for(std::chrono::milliseconds(2));
  CHECK(first.responses.empty());
  CHECK(second.responses.empty());
  taken.clear();
  REQUIRE(stage.until([&] { return first.has(1) && second.has(1); }));
  CHECK(first.responses[0].status == StatusCode::bad_checksum);
  CHECK(second.responses[0].status == StatusCode::bad_checksum);  // it was looked at, with its own payload
  CHECK(stage.node->memory().buffers_on_loan() == 0);
}

TEST_CASE("requests wait for memory, and go on in their order when there is some", "[memory]") {
  NodeStage stage;
  RawClient& client = stage.add_client();
  const SessionAnswer session = stage.open(client, gvn_of(1));
  RawPath& path = stage.attach(client, session);
  std::vector<IoBuffer> taken;
  auto& memory = const_cast<IoMemory&>(stage.node->memory());
  while (memory.has(kBlock))
    taken.push_back(memory.take(kBlock));
  for (std::uint64_t seq = 1; seq <= 8; ++seq)
    client.write(path, session.gvn, seq, 1, seq, static_cast<std::uint8_t>(seq));
  client.read(path, session.gvn, 9, 1, 100, kBlock, 0);
  stage.run_for(std::chrono::milliseconds(5));
  CHECK(stage.backend->io_count == 0);
  taken.clear();
  REQUIRE(stage.until([&] { return path.has(9); }));
  for (std::uint64_t seq = 1; seq <= 8; ++seq)
    CHECK(stage.has_fill(seq, static_cast<std::uint8_t>(seq)));
}

TEST_CASE("R3, R4: slots stay while a request of a path that is gone is at the backend", "[R3][R4]") {
  NodeStage stage;
  RawClient& client = stage.add_client();
  const SessionAnswer session = stage.open(client, gvn_of(1));
  RawPath& path = stage.attach(client, session);
  stage.backend->hold_io = true;
  client.write_slot(path, session.gvn, 1, 1, 0, 64 * 1024, 0x77, 0);
  REQUIRE(stage.until([&] { return stage.backend->held() == 1; }));
  path.link->close();
  REQUIRE(stage.until([&] { return path.is_drained && stage.logged("lost"); }));
  stage.run_for(std::chrono::milliseconds(50));
  CHECK(stage.node->memory().staging_on_loan() > ByteCount(0));

  // The path connects again: it gets slots of its own, but only once the old ones are released.
  RawPath& again = client.attach(stage.address(), session, 0, 2);
  stage.run_for(std::chrono::milliseconds(50));
  CHECK_FALSE(again.accept);
  stage.backend->hold_io = false;
  REQUIRE(stage.until([&] { return again.accept.has_value(); }));
  CHECK(stage.has_fill(15, 0x77));
  // The number's status is kept for whoever asks again (W6).
  client.write_slot(again, session.gvn, 1, 1, 0, 64 * 1024, 0x77, 0);
  REQUIRE(stage.until([&] { return again.has(1); }));
  CHECK(again.responses[0].repeated);
  CHECK(stage.backend->io_count == 1);
}

TEST_CASE("F1: a newer session waits for what is at the backend, and the old one is cut off at once",
          "[F1][P3]") {
  NodeStage stage;
  RawClient& old = stage.add_client();
  const SessionAnswer session = stage.open(old, gvn_of(1));
  RawPath& path = stage.attach(old, session);
  stage.backend->hold_io = true;
  old.write(path, session.gvn, 1, 1, 0, 0x0a);
  REQUIRE(stage.until([&] { return stage.backend->held() == 1; }));

  RawClient& thief = stage.add_client();
  thief.open(7, gvn_of(2), 2);
  REQUIRE(stage.until([&] { return path.is_down; }));
  stage.run_for(std::chrono::milliseconds(300));
  CHECK(thief.answer<SessionAnswer>(7) == nullptr);
  stage.backend->hold_io = false;
  REQUIRE(stage.until([&] { return thief.answer<SessionAnswer>(7) != nullptr; }));
  CHECK(thief.answer<SessionAnswer>(7)->status == StatusCode::ok);
  CHECK(stage.has_fill(0, 0x0a));
  CHECK(stage.node->memory().staging_on_loan() == ByteCount(0));
  // The old one is told so, wherever it tries.
  RawPath& late = old.attach(stage.address(), session, 0, 2);
  REQUIRE(stage.until([&] { return late.is_down; }));
  REQUIRE(late.reject);
  CHECK(late.reject->status == StatusCode::stale_version);
  CHECK(stage.open(old, gvn_of(1)).status == StatusCode::stale_version);
}

TEST_CASE("R1: a session's WRITE into another one's slots fails, and harms only itself", "[R1]") {
  auto disk = NodeStage::make_disk();
  disk->volumes[VolumeId(13)] = disk->volumes.at(kVolume);
  disk->volumes[VolumeId(13)].state.volume = VolumeId(13);
  NodeStage stage({}, disk);
  RawClient& good = stage.add_client();
  RawClient& bad = stage.add_client();
  const SessionAnswer session = stage.open(good, gvn_of(1));
  RawPath& path = stage.attach(good, session);
  bad.open(50, gvn_of(1), 9, VolumeId(13));
  REQUIRE(stage.until([&] { return bad.answer<SessionAnswer>(50) != nullptr; }));
  RawPath& forger = stage.attach(bad, *bad.answer<SessionAnswer>(50));
  forger.accept->region_key = path.accept->region_key;
  forger.accept->region_base = path.accept->region_base;
  bad.write_slot(forger, gvn_of(1), 1, 1, 0, kBlock, 0xff, 0);
  REQUIRE(stage.until([&] { return forger.is_down; }));
  good.write(path, session.gvn, 1, 1, 0, 0x21);
  REQUIRE(stage.until([&] { return path.has(1); }));
  CHECK(path.responses[0].status == StatusCode::ok);
}

TEST_CASE("garbage, replays and other paths' frames kill their path alone, counted by reason (attack 34)",
          "[W1]") {
  NodeStage stage;
  RawClient& client = stage.add_client();
  const SessionAnswer session = stage.open(client, gvn_of(1));
  RawPath& honest = stage.attach(client, session, 1, 1, 1);
  std::uint32_t epoch = 0;
  const auto expect_death = [&](auto misbehave) {
    RawPath& path = stage.attach(client, session, 0, ++epoch);
    REQUIRE(path.accept);
    misbehave(path);
    REQUIRE(stage.until([&] { return path.is_down; }));
  };
  const std::vector<std::byte> noise(100, std::byte{0x5a});
  expect_death([&](RawPath& path) { path.send_bytes(noise); });
  expect_death([&](RawPath& path) {
    std::array<std::byte, protocol::kIoRequestSize> frame;
    protocol::encode(RawClient::request(path, session.gvn, IoOp::flush, 1, 1), frame);
    path.send_bytes(std::span(frame).first(63));
  });
  expect_death([&](RawPath& path) {  // a frame of the other path
    client.send(path, RawClient::request(honest, session.gvn, IoOp::flush, 1, 1));
  });
  expect_death([&](RawPath& path) {  // a control message that belongs elsewhere
    std::array<std::byte, protocol::kMaxControlSize> bytes;
    const std::size_t length =
        protocol::encode({protocol::RequestId(1), protocol::VolumeStatusRequest{kVolume}}, bytes);
    path.send_bytes(std::span(bytes).first(length));
  });
  client.write(honest, session.gvn, 1, 1, 0, 0x31);
  REQUIRE(stage.until([&] { return honest.has(1); }));
  CHECK(honest.responses[0].status == StatusCode::ok);

  client.ask(900, protocol::VolumeStatusRequest{kVolume});
  REQUIRE(stage.until([&] { return client.answer<protocol::VolumeStatus>(900) != nullptr; }));
  const auto& status = *client.answer<protocol::VolumeStatus>(900);
  CHECK(status.refusals[static_cast<std::size_t>(protocol::Refusal::malformed)].count == 3);
  CHECK(status.refusals[static_cast<std::size_t>(protocol::Refusal::wrong_path)].count == 1);
  REQUIRE(status.sessions.size() == 1);
  CHECK(status.sessions[0].paths == 1);
  CHECK(status.locked);
  stage.run_for(std::chrono::seconds(2));
  CHECK(stage.logged("volume=12 gvn=1.1 client=vm1: requests refused: malformed=3 wrong_path=1"));
}

TEST_CASE("control messages that no node answers, and silence, end a connection", "[control]") {
  NodeStage stage;
  RawClient& client = stage.add_client();
  client.ask(1, protocol::ListNodes{});
  REQUIRE(stage.until([&] { return client.control_down; }));
  RawClient& idle = stage.add_client();
  CHECK(stage.until([&] { return idle.control_down; }, std::chrono::seconds(15)));
  CHECK(stage.logged("asks for nothing"));
}

TEST_CASE("a client that doesn't take its answers loses its path, not the node its memory", "[limits]") {
  NodeStage stage;
  RawClient& client = stage.add_client(4);
  const SessionAnswer session = stage.open(client, gvn_of(1));
  RawPath& path = stage.attach(client, session);
  client.holds_answers = true;
  for (std::uint64_t seq = 1; seq <= 40; ++seq)
    client.read(path, session.gvn, seq, 1, 0, 64 * 1024, 0);
  REQUIRE(stage.until([&] { return path.is_down; }, std::chrono::seconds(20)));
  CHECK(stage.logged("doesn't take its answers"));
  REQUIRE(stage.until([&] { return stage.is_memory_back(); }));
}

TEST_CASE("F2: a volume whose lock another process has is served once it is had", "[F2]") {
  auto disk = NodeStage::make_disk();
  disk->locked_elsewhere.insert(kVolume);
  NodeStage stage({}, disk);
  RawClient& client = stage.add_client();
  CHECK(stage.open(client, gvn_of(7)).status == StatusCode::unavailable);
  // The other process went on fencing until its end.
  disk->volumes.at(kVolume).state.fence = gvn_of(5);
  disk->locked_elsewhere.clear();
  REQUIRE(stage.until([&] { return stage.logged("locked, fence=1.5"); }));
  CHECK(stage.open(client, gvn_of(5)).status == StatusCode::stale_version);
  CHECK(stage.open(client, gvn_of(7)).status == StatusCode::ok);
}

TEST_CASE("P4: a process that ends without a flush leaves word of it; one that ends in order doesn't",
          "[P4]") {
  const bool in_order = GENERATE(true, false);
  NodeStage stage;
  stage.policy = protocol::WritePolicy::write_back;
  RawClient& client = stage.add_client();
  SessionAnswer session = stage.open(client, gvn_of(1));
  RawPath* path = &stage.attach(client, session);
  client.write(*path, session.gvn, 1, 1, 0, 0x41);
  REQUIRE(stage.until([&] { return path->has(1); }));
  if (in_order) REQUIRE(stage.shut_down());
  stage.disk->locked.clear();
  CHECK(stage.disk->volumes.at(kVolume).state.write_back_open == !in_order);

  stage.clients.clear();
  stage.owned.clear();
  stage.restart();
  RawClient& next = stage.add_client();
  session = stage.open(next, gvn_of(2));
  path = &stage.attach(next, session);
  next.plain(*path, session.gvn, IoOp::flush, 1, 1);
  REQUIRE(stage.until([&] { return path->has(1); }));
  CHECK(path->responses[0].status == (in_order ? StatusCode::ok : StatusCode::io_error));
}

TEST_CASE("a full disk fails the one write and harms nothing else", "[io]") {
  NodeStage stage;
  RawClient& client = stage.add_client();
  const SessionAnswer session = stage.open(client, gvn_of(1));
  RawPath& path = stage.attach(client, session);
  stage.backend->next_io = StatusCode::no_space;
  client.write(path, session.gvn, 1, 1, 0, 0x51);
  client.write(path, session.gvn, 2, 1, 1, 0x52);
  REQUIRE(stage.until([&] { return path.has(2); }));
  CHECK(path.responses[0].status == StatusCode::no_space);
  CHECK(path.responses[1].status == StatusCode::ok);
}

TEST_CASE("limits: sessions, paths and memory are refused with a reason, and given again", "[limits]") {
  NodeReactorConfig config;
  config.limits.paths = 2;
  config.limits.sessions = 1;
  auto disk = NodeStage::make_disk();
  disk->volumes[VolumeId(13)] = disk->volumes.at(kVolume);
  disk->volumes[VolumeId(13)].state.volume = VolumeId(13);

  SECTION("sessions and paths") {
    NodeStage stage(config, disk);
    RawClient& client = stage.add_client();
    const SessionAnswer session = stage.open(client, gvn_of(1));
    client.open(77, gvn_of(1), 3, VolumeId(13));
    REQUIRE(stage.until([&] { return client.answer<SessionAnswer>(77) != nullptr; }));
    CHECK(client.answer<SessionAnswer>(77)->status == StatusCode::limit_reached);
    static_cast<void>(stage.attach(client, session, 0));
    static_cast<void>(stage.attach(client, session, 1));
    const RawPath& third = stage.attach(client, session, 2);
    REQUIRE(third.reject);
    CHECK(third.reject->status == StatusCode::limit_reached);
  }
  SECTION("memory") {
    config.limits.paths = 100;
    config.memory.limit = kMinIoMemory;
    NodeStage stage(config, disk);
    RawClient& client = stage.add_client();
    const SessionAnswer session = stage.open(client, gvn_of(1));
    std::uint8_t granted = 0;
    while (granted < 8 && stage.attach(client, session, granted).accept)
      ++granted;
    CHECK(granted == 8);  // 12 MiB, 1.5 MiB each
    stage.run_for(std::chrono::milliseconds(1));
    client.paths[0]->link->close();
    REQUIRE(stage.until([&] { return client.paths[0]->is_drained; }));
    CHECK(stage.attach(client, session, 0, 2).accept);
  }
}

TEST_CASE("orders: create, resize, remove, each again without harm; a removed volume's fence stays",
          "[orders]") {
  NodeStage stage;
  const VolumeId made{44};
  std::uint64_t id = 500;
  const auto order = [&](protocol::OrderVerb verb, std::uint64_t size, VolumeId volume) {
    protocol::VolumeOrder sent;
    sent.verb = verb;
    sent.volume = volume;
    sent.size = ByteCount(size);
    sent.block_size = size > 0 ? kBlock : 0;
    sent.manager_version = ManagerVersion(1);
    stage.answers.clear();
    stage.node->mailbox().post(OrderLetter{protocol::RequestId(++id), sent});
    REQUIRE(stage.until([&] { return !stage.answers.empty(); }));
    CHECK(stage.answers[0].request_id == protocol::RequestId(id));
    return std::get<protocol::VolumeOrderAnswer>(stage.answers[0].answer).status;
  };
  using enum protocol::OrderVerb;
  CHECK(order(create, kMiB, made) == StatusCode::ok);
  CHECK(order(create, kMiB, made) == StatusCode::ok);
  CHECK(order(create, 2 * kMiB, made) == StatusCode::already_exists);
  CHECK(order(resize, 2 * kMiB, made) == StatusCode::ok);
  CHECK(order(resize, 2 * kMiB, made) == StatusCode::ok);
  CHECK(order(resize, kMiB, VolumeId(45)) == StatusCode::not_found);

  RawClient& client = stage.add_client();
  client.open(1, gvn_of(3), 1, made);
  REQUIRE(stage.until([&] { return client.answer<SessionAnswer>(1) != nullptr; }));
  CHECK(client.answer<SessionAnswer>(1)->status == StatusCode::ok);
  CHECK(order(remove, 0, made) == StatusCode::busy);
  CHECK(order(resize, kMiB, made) == StatusCode::busy);
  client.ask(2,
             protocol::CloseRequest{made, gvn_of(3), *protocol::ClientId::from("vm1"), protocol::Nonce(1)});
  REQUIRE(stage.until([&] { return client.answer<protocol::CloseAnswer>(2) != nullptr; }));
  CHECK(order(remove, 0, made) == StatusCode::ok);
  CHECK(order(remove, 0, made) == StatusCode::ok);
  CHECK(stage.disk->volumes.at(made).state.fence == gvn_of(3));
  // The master may have lost the answers: asked again, the volume is as quiet as can be.
  stage.answers.clear();
  stage.node->mailbox().post(
      OrderLetter{protocol::RequestId(1), protocol::QuiesceRequest{made, gvn_of(3), ManagerVersion(1)}});
  REQUIRE(stage.until([&] { return !stage.answers.empty(); }));
  CHECK(std::get<protocol::QuiesceAnswer>(stage.answers[0].answer).status == StatusCode::ok);
  CHECK(std::get<protocol::QuiesceAnswer>(stage.answers[0].answer).fence == gvn_of(3));
  stage.restart();
  stage.take_mail();
  CHECK(std::ranges::any_of(stage.fences, [&](const FenceLetter& letter) {
    return letter.volume == made && letter.fence == gvn_of(3);
  }));
}

TEST_CASE("quiesce: ends the session, leaves a tombstone, and is answered to the master", "[P3]") {
  NodeStage stage;
  RawClient& client = stage.add_client();
  const SessionAnswer session = stage.open(client, gvn_of(1));
  RawPath& path = stage.attach(client, session);
  stage.node->mailbox().post(
      OrderLetter{protocol::RequestId(9), protocol::QuiesceRequest{kVolume, gvn_of(2), ManagerVersion(1)}});
  REQUIRE(stage.until([&] { return !stage.answers.empty(); }));
  const auto& answer = std::get<protocol::QuiesceAnswer>(stage.answers[0].answer);
  CHECK(answer.status == StatusCode::ok);
  CHECK(answer.fence == gvn_of(2));
  CHECK(path.is_down);
  CHECK(stage.open(client, gvn_of(2)).status == StatusCode::stale_version);
}

TEST_CASE("a keepalive on a path is answered; a silent path is given up", "[keepalive]") {
  NodeStage stage;
  RawClient& client = stage.add_client();
  const SessionAnswer session = stage.open(client, gvn_of(1));
  RawPath& path = stage.attach(client, session);
  std::array<std::byte, protocol::kMaxControlSize> bytes;
  const std::size_t length = protocol::encode({protocol::RequestId(0), protocol::Keepalive{false, 3}}, bytes);
  path.send_bytes(std::span(bytes).first(length));
  REQUIRE(stage.until([&] { return path.keepalives == 1; }));
  CHECK(stage.until([&] { return path.is_down; }, std::chrono::seconds(70)));
}

}  // namespace sluice::storage_node::test
