#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <catch2/catch.hpp>

#include "protocol/base/crc32c.h"
#include "protocol/volume_sessions.h"
#include "tests/unit/protocol/harness.h"

namespace sluice::protocol::test {

inline constexpr std::uint32_t kBlock = 4096;
inline constexpr std::uint64_t kBlocks = 1024;
inline constexpr VolumeId kVolume{11};

/// A storage node around one volume, with its hands in the test's: events go in, and what the volume asks
/// for is kept in `actions` (of the last event) and in the lists below it.
class ServerHarness : public LastActions<ServerActions> {
 public:
  struct Options {
    VolumeRecovery found;
    WritePolicy policy = WritePolicy::write_through;
    std::uint32_t window_size = 16;
    std::uint16_t path_depth = 8;
    bool locked = true;
  };

  ServerHarness() : ServerHarness(Options{}) {}
  explicit ServerHarness(const Options& options)
      : policy(options.policy),
        volume({kVolume, NodeId(5), BootId(6), options.window_size, 4, options.path_depth,
                std::chrono::seconds(10)},
               options.found) {
    if (options.locked) volume.on_backend_locked();
  }

  // --- control events, each with the actions of this event alone ---

  static SessionOpen open_message(Gvn gvn, std::uint64_t nonce = 1) {
    return {kVolume, gvn, *ClientId::from("client-a"), Nonce(nonce)};
  }
  void session_open(Gvn gvn, std::uint64_t token = 1, std::uint64_t nonce = 1) {
    actions.clear();
    volume.on_session_open(Token(token), open_message(gvn, nonce), Cookie(1000 + gvn.value()), now, actions);
  }
  [[nodiscard]] VerifyAnswer good_answer(Gvn gvn, AccessMode mode = AccessMode::read_write,
                                         Gvn era = Gvn(0)) const {
    VerifyAnswer answer;
    answer.volume = kVolume;
    answer.gvn = gvn;
    answer.manager_version = manager_version(gvn);
    answer.mode = mode;
    answer.policy = policy;
    answer.era = era == Gvn(0) ? gvn : era;
    answer.current_gvn = gvn;
    answer.size = ByteCount(kBlocks * kBlock);
    answer.block_size = kBlock;
    return answer;
  }
  void verify(RequestId id, const VerifyAnswer& answer) {
    actions.clear();
    volume.on_verify_answer(id, answer, actions);
  }
  void durable(Gvn gvn, StatusCode status = StatusCode::ok) {
    actions.clear();
    volume.on_fence_durable(gvn, status, actions);
  }
  void close(Gvn gvn, std::uint64_t token = 50, std::uint64_t nonce = 1) {
    actions.clear();
    volume.on_close(Token(token), {kVolume, gvn, *ClientId::from("client-a"), Nonce(nonce)}, now, actions);
  }
  void quiesce(Gvn gvn, ManagerVersion manager = ManagerVersion(1), std::uint64_t token = 70) {
    actions.clear();
    volume.on_quiesce(Token(token), {kVolume, gvn, manager}, now, actions);
  }
  void tick(Duration later) {
    now = now + later;
    actions.clear();
    volume.on_tick(now, actions);
  }

  /// A session open all the way, when nothing older has to end. Returns its acknowledgement.
  SessionAnswer establish(Gvn gvn, AccessMode mode = AccessMode::read_write, Gvn era = Gvn(0),
                          std::uint64_t nonce = 1) {
    session_open(gvn, 1, nonce);
    verify(one<AskMaster>().id, good_answer(gvn, mode, era));
    REQUIRE(one<PersistFence>().fence == gvn);
    durable(gvn);
    const SessionAnswer answer = one<AnswerSession>().answer;
    REQUIRE(answer.status == StatusCode::ok);
    return answer;
  }

  void attach(Gvn gvn, std::uint8_t path, std::uint32_t epoch, std::uint64_t token = 90,
              std::optional<Cookie> cookie = std::nullopt) {
    actions.clear();
    volume.on_path_attach(
        Token(token),
        {PathId(path), 64, PathEpoch(epoch), gvn, kVolume, cookie ? *cookie : Cookie(1000 + gvn.value())},
        actions);
  }
  PathKey attached(Gvn gvn, std::uint8_t path, std::uint32_t epoch = 1) {
    attach(gvn, path, epoch);
    return one<AcceptPath>().path;
  }
  void queue_pair_destroyed(const PathKey& path) {
    actions.clear();
    volume.on_queue_pair_destroyed(path, actions);
  }
  void path_lost(const PathKey& path) {
    actions.clear();
    volume.on_path_lost(path, actions);
  }

  // --- the data path ---

  static IoRequest request(const PathKey& path, IoOp op, std::uint64_t seq, std::uint64_t low,
                           std::uint64_t block = 0, std::uint32_t payload = 0) {
    IoRequest request;
    request.op = op;
    request.gvn = path.gvn;
    request.seq = Seq(seq);
    request.low = Seq(low);
    if (op != IoOp::flush) {
      request.offset = ByteCount(block * kBlock);
      request.length = kBlock;
    }
    if (op == IoOp::write) {
      request.placement = DataPlacement::slot;
      request.slot = SlotIndex(static_cast<std::uint16_t>(seq % 8));
      request.data_crc = payload;
    }
    if (op == IoOp::read) {
      request.placement = DataPlacement::remote;
      request.target = {0x1234, 0x1000 * seq};
    }
    request.path_tag =
        make_path_tag(kVolume, path.gvn, Cookie(1000 + path.gvn.value()), path.path, path.epoch);
    return request;
  }
  void give(const PathKey& path, const IoRequest& request) {
    std::array<std::byte, kIoRequestSize> frame{};
    encode(request, frame);
    give_bytes(path, frame);
  }
  void give_bytes(const PathKey& path, std::span<const std::byte> frame) {
    actions.clear();
    volume.on_request(path, frame, actions);
  }
  void write(const PathKey& path, std::uint64_t seq, std::uint64_t low, std::uint64_t block = 0,
             std::uint32_t payload = 0) {
    give(path, request(path, IoOp::write, seq, low, block, payload));
  }
  /// To be called after a request that is executed; returns its attempt, submitted.
  AttemptId submitted() {
    const auto execute = one<Execute>();
    actions.clear();
    REQUIRE(volume.may_submit(execute.path.gvn, execute.attempt, actions));
    return execute.attempt;
  }
  void done(Gvn gvn, AttemptId attempt, StatusCode status = StatusCode::ok, std::uint32_t data_crc = 0) {
    actions.clear();
    volume.on_io_done(gvn, attempt, {status, data_crc}, actions);
  }
  /// One request from beginning to end; returns its answer.
  IoResponse perform(const PathKey& path, const IoRequest& request, StatusCode status = StatusCode::ok) {
    give(path, request);
    if (!none<Execute>()) done(path.gvn, submitted(), status);
    return one<Respond>().response;
  }

  WritePolicy policy;
  VolumeSessions volume;
  Instant now{};
};

}  // namespace sluice::protocol::test
