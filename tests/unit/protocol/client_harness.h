#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>

#include "protocol/client_session.h"
#include "tests/unit/protocol/harness.h"

namespace sluice::protocol::test {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// A client session with its hands in the test's: events go in, and what the session asks for is kept in
/// `actions`, of the last event alone.
class ClientHarness : public LastActions<std::vector<ClientAction>> {
 public:
  static constexpr std::uint32_t kBlock = 4096;
  static constexpr std::uint64_t kBlocks = 1024;
  static constexpr VolumeId kVolume{11};
  static constexpr Nonce kNonce{77};

  static ClientConfig default_config() {
    ClientConfig config;
    config.client = *ClientId::from("client-a");
    config.volume = *VolumeName::from("db");
    config.max_outstanding = 32;
    config.max_window = 16;
    config.max_data_length = 64 * 1024;
    return config;
  }

  ClientHarness() : ClientHarness(default_config()) {}
  explicit ClientHarness(const ClientConfig& configuration) : config(configuration), session(configuration) {}

  // --- what came out ---

  void collect() {
    actions.assign(session.actions().begin(), session.actions().end());
    session.clear_actions();
  }
  [[nodiscard]] std::vector<std::uint64_t> completed() const {
    std::vector<std::uint64_t> tags;
    for (const CompleteIo& done : all<CompleteIo>())
      tags.push_back(done.tag);
    return tags;
  }
  [[nodiscard]] SessionPhase phase() const { return session.phase(); }

  // --- what goes in ---

  void open() {
    session.open(kNonce, now);
    collect();
  }
  void close() {
    session.close(now);
    collect();
  }
  void tick(Duration later) {
    now = now + later;
    session.on_tick(now);
    collect();
  }
  /// The master's answer to the last question.
  [[nodiscard]] OpenAnswer granted(Gvn gvn, OpenKind kind = OpenKind::open) const {
    OpenAnswer answer;
    answer.kind = kind;
    answer.mode = config.mode;
    answer.policy = policy;
    answer.volume = kVolume;
    answer.gvn = gvn;
    answer.size = ByteCount(kBlocks * kBlock);
    answer.block_size = kBlock;
    answer.manager_version = manager_version(gvn);
    answer.node = NodeId(5);
    answer.boot = BootId(6);
    answer.node_up = true;
    for (std::size_t i = 0; i < addresses; ++i)
      answer.addresses.push_back(*NodeAddress::from("node:1"));
    return answer;
  }
  void answer_open(RequestId id, const OpenAnswer& answer) {
    session.on_open_answer(id, answer, now);
    collect();
  }
  void refuse_open(RequestId id, StatusCode status, OpenKind kind = OpenKind::open) {
    OpenAnswer answer;
    answer.kind = kind;
    answer.mode = config.mode;
    answer.status = status;
    answer_open(id, answer);
  }
  [[nodiscard]] SessionAnswer acknowledged(Gvn gvn) const {
    SessionAnswer answer;
    answer.volume = kVolume;
    answer.gvn = gvn;
    answer.fence = gvn;
    answer.node = NodeId(5);
    answer.boot = boot;
    answer.cookie = Cookie(1000 + gvn.value());
    answer.window = window;
    answer.max_paths = 4;
    return answer;
  }
  void answer_session(RequestId id, const SessionAnswer& answer) {
    session.on_session_answer(id, answer, now);
    collect();
  }
  void refuse_session(RequestId id, Gvn gvn, StatusCode status) {
    SessionAnswer answer;
    answer.volume = kVolume;
    answer.gvn = gvn;
    answer.status = status;
    answer_session(id, answer);
  }
  void answer_close(RequestId id, Gvn gvn, StatusCode status = StatusCode::ok) {
    session.on_close_answer(id, {status, kVolume, gvn}, now);
    collect();
  }
  [[nodiscard]] PathAccept grant(const PathAttach& attach) const {
    PathAccept accept;
    accept.path = attach.path;
    accept.depth = depth;
    accept.epoch = attach.epoch;
    accept.gvn = attach.gvn;
    accept.in_capsule_limit = 4096;
    accept.region_key = 1;
    accept.slots.push_back({slot_size, slots});
    return accept;
  }
  void accept(const PathAttach& attach) {
    session.on_path_accepted(grant(attach), now);
    collect();
  }
  /// Accepts every connection that is under way; returns what was sent then.
  std::vector<PostIo> accept_connecting() {
    std::vector<PostIo> posts;
    for (std::uint8_t i = 0; i < session.paths().count(); ++i) {
      if (session.paths().state(PathId(i)) != PathState::connecting) continue;
      PathAttach attach;
      attach.path = PathId(i);
      attach.epoch = session.paths().epoch(PathId(i));
      attach.gvn = session.gvn();
      accept(attach);
      for (const PostIo& sent : all<PostIo>())
        posts.push_back(sent);
    }
    return posts;
  }
  void refuse_path(const PathAttach& attach, StatusCode status) {
    session.on_path_refused(attach.path, attach.epoch, status, now);
    collect();
  }
  void fail_path(std::uint8_t path) {
    session.on_path_failed(PathId(path), session.paths().epoch(PathId(path)), now);
    collect();
  }
  void destroy_path(std::uint8_t path) {
    session.on_path_destroyed(PathId(path), session.paths().epoch(PathId(path)), now);
    collect();
  }
  void respond(const PostIo& post, StatusCode status = StatusCode::ok, std::uint32_t data_crc = 0) {
    session.on_response(post.path, post.epoch,
                        {post.request.op, false, status, post.request.gvn, post.request.seq, data_crc}, now);
    collect();
  }

  StatusCode submit(IoOp op, std::uint64_t tag, std::uint64_t block = 0, std::uint32_t blocks = 1,
                    bool fua = false) {
    IoSubmission io;
    io.tag = tag;
    io.op = op;
    io.fua = fua;
    if (op != IoOp::flush) {
      io.offset = ByteCount(block * kBlock);
      io.length = blocks * kBlock;
    }
    const StatusCode status = session.submit(io, now);
    collect();
    return status;
  }
  /// Submits an operation that goes out at once.
  PostIo post(IoOp op, std::uint64_t tag, std::uint64_t block = 0, std::uint32_t blocks = 1,
              bool fua = false) {
    REQUIRE(submit(op, tag, block, blocks, fua) == StatusCode::ok);
    return one<PostIo>();
  }

  /// From idle to active with all paths up.
  void establish(Gvn gvn) {
    open();
    answer_open(one<SendOpen>().id, granted(gvn));
    join(gvn);
  }
  /// From joining, with the question just asked, to all paths up. Returns what was sent on the way.
  std::vector<PostIo> join(Gvn gvn) {
    REQUIRE(phase() == SessionPhase::joining);
    answer_session(one<SendSessionOpen>().id, acknowledged(gvn));
    REQUIRE(phase() == SessionPhase::active);
    std::vector<PostIo> posts = all<PostIo>();
    for (const ConnectPath& connect : all<ConnectPath>()) {
      accept(connect.attach);
      for (const PostIo& sent : all<PostIo>())
        posts.push_back(sent);
    }
    return posts;
  }
  /// From reopening, with the question just asked, to a new session with all paths up.
  std::vector<PostIo> replace(Gvn gvn, std::size_t paths) {
    REQUIRE(phase() == SessionPhase::reopening);
    answer_open(one<SendOpen>().id, granted(gvn, OpenKind::reopen));
    for (std::uint8_t path = 0; path < paths && phase() == SessionPhase::replacing; ++path)
      destroy_path(path);
    return join(gvn);
  }

  /// Loses both paths, down to their queue pairs.
  void lose_paths() {
    fail_path(0);
    fail_path(1);
    destroy_path(0);
    destroy_path(1);
  }
  /// Refuses every connection that is tried until the master is asked.
  SendOpen wait_for_question() {
    for (int i = 0; i < 1000; ++i) {
      tick(milliseconds(100));
      if (!none<SendOpen>()) return one<SendOpen>();
      const std::vector<ConnectPath> connects = all<ConnectPath>();
      for (const ConnectPath& connect : connects)
        refuse_path(connect.attach, StatusCode::connection_refused);
    }
    FAIL("the master was never asked");
    return {};
  }

  ClientConfig config;
  ClientSession session;
  Instant now{1'000'000'000};

  std::size_t addresses = 2;
  WritePolicy policy = WritePolicy::write_through;
  BootId boot{6};
  std::uint32_t window = 16;
  std::uint16_t depth = 8;
  std::uint16_t slots = 4;
  std::uint32_t slot_size = 64 * 1024;
};

using Tags = std::vector<std::uint64_t>;

struct Established : ClientHarness {
  Established() : Established(default_config()) {}
  explicit Established(const ClientConfig& configuration) : ClientHarness(configuration) {
    establish(gvn_of(1));
  }
};

}  // namespace sluice::protocol::test
