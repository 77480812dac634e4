#include <catch2/catch.hpp>

#include "tests/unit/protocol/server_harness.h"

// The attacks on the node's side that need no wiring, each by its number. Those on the window alone are in
// sequence_window_test.cc, those on bytes alone in io_frame_test.cc.
namespace sluice::protocol {
namespace {

using test::gvn_of;
using test::kBlocks;
using test::kVolume;
using test::ServerHarness;

IoRequest write_request(const PathKey& path, std::uint64_t seq, std::uint64_t low,
                        std::uint32_t payload = 0) {
  return ServerHarness::request(path, IoOp::write, seq, low, 0, payload);
}

/// Takes the volume from whoever has it: all that the old session has must end first.
void steal(ServerHarness& node, Gvn gvn, const std::vector<PathKey>& old_paths) {
  node.session_open(gvn, 2, 2);
  node.verify(node.one<AskMaster>().id, node.good_answer(gvn));
  for (const PathKey& path : old_paths)
    node.queue_pair_destroyed(path);
  REQUIRE(node.one<PersistFence>().fence == gvn);
  node.durable(gvn);
  REQUIRE(node.one<AnswerSession>().answer.status == StatusCode::ok);
}

TEST_CASE("attack 1: write delayed on path 1, retried on path 2, overwritten, then the copy arrives",
          "[attack]") {
  ServerHarness node;
  node.establish(gvn_of(1));
  const PathKey first = node.attached(gvn_of(1), 0);
  const PathKey second = node.attached(gvn_of(1), 1);
  CHECK(node.perform(second, write_request(second, 7, 7, 234)).status == StatusCode::ok);
  CHECK(node.perform(second, write_request(second, 9, 8, 567)).status == StatusCode::ok);
  node.give(first, write_request(first, 7, 7, 234));
  CHECK(node.none<Execute>());
  CHECK(node.one<Respond>().response.status == StatusCode::expired);
}

TEST_CASE("attack 3: a copy of the old session reaches the new session's node", "[attack]") {
  ServerHarness node;
  node.establish(gvn_of(1));
  const PathKey old_path = node.attached(gvn_of(1), 0);
  steal(node, gvn_of(2), {old_path});
  const PathKey new_path = node.attached(gvn_of(2), 0);
  // On the destroyed queue pair: nobody is there. Even on a queue pair of the new session: stale.
  node.give(old_path, write_request(old_path, 1, 1));
  CHECK(node.actions.empty());
  node.give(new_path, write_request(old_path, 1, 1));
  CHECK(node.none<Execute>());
  CHECK(node.one<Respond>().response.status == StatusCode::stale_version);
}

TEST_CASE("attack 9: a restarted node forgets the window, and its old sessions with it", "[attack]") {
  ServerHarness::Options restarted;
  restarted.found.fence = gvn_of(1);
  ServerHarness node(restarted);
  // The session of before the restart has no connection here, and gets none.
  node.attach(gvn_of(1), 0, 9);
  CHECK(node.one<RejectPath>().reject.status == StatusCode::no_session);
  node.establish(gvn_of(2));
  const PathKey path = node.attached(gvn_of(2), 0);
  IoRequest old = write_request(path, 7, 7);
  old.gvn = gvn_of(1);
  CHECK(node.perform(path, old).status == StatusCode::stale_version);
}

TEST_CASE("attack 11: a restarted node gets a delayed session open", "[attack]") {
  ServerHarness::Options restarted;
  restarted.found.fence = gvn_of(4);
  ServerHarness node(restarted);
  node.session_open(gvn_of(4));  // this very session, but its window is gone
  CHECK(node.one<AnswerSession>().answer.status == StatusCode::stale_version);
  CHECK(node.none<AskMaster>());
}

TEST_CASE("attack 12: a restarted node gets a delayed path attach", "[attack]") {
  ServerHarness node;
  node.establish(gvn_of(2));
  node.attach(gvn_of(2), 0, 3, 90, Cookie(0xdead));  // the cookie of an earlier boot
  CHECK(node.one<RejectPath>().reject.status == StatusCode::no_session);
  node.attach(gvn_of(1), 0, 3);
  CHECK(node.one<RejectPath>().reject.status == StatusCode::stale_version);
  CHECK(node.one<RejectPath>().reject.fence == gvn_of(2));
}

TEST_CASE("attack 13: the killed process's IO lives on: no session before the lock (F2)", "[attack]") {
  ServerHarness::Options options;
  options.locked = false;
  ServerHarness node(options);
  node.session_open(gvn_of(1));
  CHECK(node.one<AnswerSession>().answer.status == StatusCode::unavailable);
}

TEST_CASE("attack 14: an old write submitted before the fence completes before it, or it isn't there",
          "[attack]") {
  ServerHarness node;
  node.establish(gvn_of(1));
  const PathKey path = node.attached(gvn_of(1), 0);
  node.give(path, write_request(path, 1, 1));
  const AttemptId attempt = node.submitted();
  node.session_open(gvn_of(2), 2, 2);
  node.verify(node.one<AskMaster>().id, node.good_answer(gvn_of(2)));
  node.queue_pair_destroyed(path);
  node.tick(std::chrono::hours(1));
  CHECK(node.none<PersistFence>());  // F1: however long it takes
  CHECK(node.volume.fence() == gvn_of(1));
  node.done(gvn_of(1), attempt);
  CHECK(node.one<PersistFence>().fence == gvn_of(2));
}

TEST_CASE("attack 15: admission passes its check as the fence starts", "[attack]") {
  ServerHarness node;
  node.establish(gvn_of(1));
  const PathKey path = node.attached(gvn_of(1), 0);
  node.session_open(gvn_of(2), 2, 2);
  const RequestId id = node.one<AskMaster>().id;
  node.give(path, write_request(path, 1, 1));
  const auto execute = node.one<Execute>();  // admitted, and on its way to the backend
  node.verify(id, node.good_answer(gvn_of(2)));
  node.queue_pair_destroyed(path);
  CHECK(node.none<PersistFence>());  // the fence sees it as in flight
  node.actions.clear();
  CHECK(!node.volume.may_submit(gvn_of(1), execute.attempt, node.actions));
  CHECK(node.one<PersistFence>().fence == gvn_of(2));
}

TEST_CASE("attack 16: a one-sided WRITE into a slot granted again finds no queue pair", "[attack]") {
  ServerHarness node;
  node.establish(gvn_of(1));
  const PathKey path = node.attached(gvn_of(1), 0);
  node.attach(gvn_of(1), 0, 2, 91);
  CHECK(node.none<ReleasePath>());
  CHECK(node.none<AcceptPath>());  // R4: not while the old queue pair lives
  node.queue_pair_destroyed(path);
  REQUIRE(node.actions.size() == 2);
  CHECK(std::holds_alternative<ReleasePath>(node.actions[0]));
  CHECK(std::holds_alternative<AcceptPath>(node.actions[1]));
}

TEST_CASE("attack 17: a slot that the backend reads isn't granted to a retry", "[attack]") {
  ServerHarness node;
  node.establish(gvn_of(1));
  const PathKey first = node.attached(gvn_of(1), 0);
  const PathKey second = node.attached(gvn_of(1), 1);
  node.give(first, write_request(first, 1, 1));
  const AttemptId attempt = node.submitted();
  // The retry has a slot of its own path, and waits; the first path comes back only after the write (R3).
  node.give(second, write_request(second, 1, 1));
  CHECK(node.actions.empty());
  node.attach(gvn_of(1), 0, 2);
  node.queue_pair_destroyed(first);
  CHECK(node.none<AcceptPath>());
  node.done(gvn_of(1), attempt);
  CHECK(node.one<Respond>().path == second);
  CHECK(node.one<AcceptPath>().path.epoch == PathEpoch(2));
}

TEST_CASE("attack 18: late read data goes to no memory but that of its own attempt", "[attack]") {
  ServerHarness node;
  node.establish(gvn_of(1));
  const PathKey first = node.attached(gvn_of(1), 0);
  const PathKey second = node.attached(gvn_of(1), 1);
  node.give(first, ServerHarness::request(first, IoOp::read, 1, 1));
  const AttemptId attempt = node.submitted();
  node.path_lost(first);
  node.give(second, ServerHarness::request(second, IoOp::read, 1, 1));
  node.done(gvn_of(1), attempt, StatusCode::ok, 1);
  CHECK(node.none<Respond>());  // the first attempt's data: to nobody (R2)
  CHECK(node.one<Execute>().path == second);
}

TEST_CASE("attack 20: a frame that comes by a queue pair number used again kills the path", "[attack]") {
  ServerHarness node;
  node.establish(gvn_of(1));
  const PathKey first = node.attached(gvn_of(1), 0);
  node.path_lost(first);
  node.queue_pair_destroyed(first);
  const PathKey again = node.attached(gvn_of(1), 0, 2);
  node.give(again, write_request(first, 1, 1));  // sent to the connection before it
  CHECK(node.none<Execute>());
  CHECK(node.one<DestroyQueuePair>().path == again);
  // And what the old connection's completions still bring is told by its epoch.
  node.give(first, write_request(first, 1, 1));
  CHECK(node.actions.empty());
}

TEST_CASE("attack 23: A stopped mid-write, B steals and writes, A continues", "[attack]") {
  ServerHarness node;
  node.establish(gvn_of(1));
  const PathKey a = node.attached(gvn_of(1), 0);
  node.give(a, write_request(a, 1, 1));
  node.done(gvn_of(1), node.submitted());
  steal(node, gvn_of(2), {a});
  const PathKey b = node.attached(gvn_of(2), 0);
  CHECK(node.perform(b, write_request(b, 1, 1, 2)).status == StatusCode::ok);
  // At once or an hour later: its writes, its attach, its session open, its close.
  node.tick(std::chrono::hours(1));
  node.give(a, write_request(a, 2, 1));
  CHECK(node.actions.empty());
  node.attach(gvn_of(1), 0, 2);
  CHECK(node.one<RejectPath>().reject.status == StatusCode::stale_version);
  node.session_open(gvn_of(1));
  CHECK(node.one<AnswerSession>().answer.status == StatusCode::stale_version);
  node.close(gvn_of(1));
  CHECK(node.one<AnswerClose>().answer.status == StatusCode::ok);
  CHECK(node.volume.session(gvn_of(2))->is_active());
}

TEST_CASE("attack 24: a discard delayed past a newer write", "[attack]") {
  ServerHarness node;
  node.establish(gvn_of(1));
  const PathKey first = node.attached(gvn_of(1), 0);
  const PathKey second = node.attached(gvn_of(1), 1);
  const IoRequest discard = ServerHarness::request(first, IoOp::discard, 1, 1);
  CHECK(node.perform(second, ServerHarness::request(second, IoOp::discard, 1, 1)).status == StatusCode::ok);
  CHECK(node.perform(second, write_request(second, 2, 2)).status == StatusCode::ok);
  node.give(first, discard);
  CHECK(node.none<Execute>());
}

TEST_CASE("attack 25: the deposed master verifies", "[attack]") {
  ServerHarness node;
  node.establish(gvn_of(1, 2));
  node.session_open(gvn_of(9, 2), 2, 2);
  const RequestId id = node.one<AskMaster>().id;
  VerifyAnswer answer = node.good_answer(gvn_of(9, 2));
  answer.manager_version = ManagerVersion(1);
  node.verify(id, answer);
  CHECK(node.actions.empty());
  CHECK(node.volume.session(gvn_of(1, 2))->is_active());
}

TEST_CASE("attack 26: of two masters at once the node follows the newer alone", "[attack]") {
  ServerHarness node;
  node.session_open(gvn_of(5, 1), 1, 1);
  const RequestId old_master = node.one<AskMaster>().id;
  node.session_open(gvn_of(5, 2), 2, 2);
  const RequestId new_master = node.one<AskMaster>().id;
  node.verify(new_master, node.good_answer(gvn_of(5, 2)));
  node.verify(old_master, node.good_answer(gvn_of(5, 1)));
  CHECK(node.actions.empty());
  node.durable(gvn_of(5, 2));
  const auto answers = node.all<AnswerSession>();
  REQUIRE(answers.size() == 2);
  CHECK(answers[0].answer.status == StatusCode::ok);
  CHECK(answers[1].answer.status == StatusCode::stale_version);
}

TEST_CASE("attack 29: a lost acknowledgement is asked for again", "[attack]") {
  ServerHarness node;
  const SessionAnswer first = node.establish(gvn_of(1));
  node.session_open(gvn_of(1), 8, 1);
  CHECK(node.actions.size() == 1);
  CHECK(node.one<AnswerSession>().token == Token(8));
  CHECK(node.one<AnswerSession>().answer == first);
}

TEST_CASE("attack 30: one client id started twice: the other opening isn't this session", "[attack]") {
  ServerHarness node;
  node.establish(gvn_of(1), AccessMode::read_write, Gvn(0), 1);
  node.session_open(gvn_of(1), 8, 2);
  CHECK(node.one<AnswerSession>().answer.status == StatusCode::stale_version);
  node.close(gvn_of(1), 9, 2);
  CHECK(node.one<AnswerClose>().answer.status == StatusCode::no_session);
  CHECK(node.volume.session(gvn_of(1))->is_active());
}

TEST_CASE("attack 32: a volatile acknowledgement is lost in a crash, then flush", "[attack]") {
  ServerHarness::Options restarted;
  restarted.policy = WritePolicy::write_back;
  restarted.found.fence = gvn_of(1);
  restarted.found.writes_may_be_lost = true;
  ServerHarness node(restarted);
  node.establish(gvn_of(2));
  const PathKey path = node.attached(gvn_of(2), 0);
  CHECK(node.perform(path, ServerHarness::request(path, IoOp::flush, 1, 1)).status == StatusCode::io_error);
  CHECK(node.perform(path, ServerHarness::request(path, IoOp::flush, 2, 2)).status == StatusCode::ok);
}

TEST_CASE("attack 33: the fence can't be made durable", "[attack]") {
  for (const StatusCode why : {StatusCode::no_space, StatusCode::io_error}) {
    ServerHarness node;
    node.establish(gvn_of(1));
    node.session_open(gvn_of(5), 2, 2);
    const RequestId fifth = node.one<AskMaster>().id;
    node.session_open(gvn_of(4), 3, 3);
    const RequestId fourth = node.one<AskMaster>().id;
    node.verify(fifth, node.good_answer(gvn_of(5)));
    node.verify(fourth, node.good_answer(gvn_of(4)));
    node.durable(gvn_of(5), why);
    const auto answers = node.all<AnswerSession>();
    REQUIRE(answers.size() == 2);
    CHECK(answers[0].answer.status == why);
    // The disk may hold 5: what lies below it must not be written over it.
    CHECK(answers[1].answer.status == StatusCode::stale_version);
    CHECK(node.none<PersistFence>());
    CHECK(node.volume.session(gvn_of(1)) == nullptr);
    CHECK(node.volume.fence() == gvn_of(1));
    node.session_open(gvn_of(3), 4, 4);
    CHECK(node.one<AnswerSession>().answer.status == StatusCode::stale_version);
    node.establish(gvn_of(5));
  }
}

TEST_CASE("attack 34: numbers at the edges, and a frame of another volume", "[attack]") {
  ServerHarness node;
  node.establish(gvn_of(1));
  PathKey path = node.attached(gvn_of(1), 0);
  CHECK(node.perform(path, write_request(path, 16, 1)).status == StatusCode::ok);  // base + W - 1
  node.give(path, write_request(path, 17, 1));                                     // base + W
  CHECK(node.one<DestroyQueuePair>().path == path);
  path = node.attached(gvn_of(1), 1);
  CHECK(node.perform(path, write_request(path, UINT64_MAX, UINT64_MAX)).status == StatusCode::ok);
  IoRequest last = ServerHarness::request(path, IoOp::read, UINT64_MAX - 1, UINT64_MAX - 1, kBlocks);
  CHECK(node.perform(path, last).status == StatusCode::invalid_request);

  // The same version, number and CRC, but of another volume.
  IoRequest foreign = write_request(path, UINT64_MAX, UINT64_MAX);
  foreign.path_tag = make_path_tag(VolumeId(kVolume.value() + 1), path.gvn, Cookie(1000 + path.gvn.value()),
                                   path.path, path.epoch);
  node.give(path, foreign);
  CHECK(node.one<DestroyQueuePair>().path == path);
  CHECK(node.volume.refusals().of(Refusal::wrong_path) == 1);
}

TEST_CASE("attack 34: GVN 0 is no version and the maximum is the last", "[attack]") {
  ServerHarness node;
  const Gvn last(UINT64_MAX);
  node.session_open(Gvn(0));
  CHECK(node.one<AnswerSession>().answer.status == StatusCode::stale_version);
  node.establish(last);
  node.session_open(last, 3, 9);
  CHECK(node.one<AnswerSession>().answer.status == StatusCode::stale_version);
}

}  // namespace
}  // namespace sluice::protocol
