#include "protocol/volume_sessions.h"

#include <catch2/catch.hpp>

#include "tests/unit/protocol/server_harness.h"

// A volume on its node: session opens, the fence between sessions, close, quiesce, readers.
namespace sluice::protocol {
namespace {

using test::gvn_of;
using test::kVolume;
using test::ServerHarness;

/// A writer with two paths and a write at the backend.
struct BusyWriter : ServerHarness {
  BusyWriter() {
    establish(gvn);
    p0 = attached(gvn, 0);
    p1 = attached(gvn, 1);
    write(p0, 1, 1);
    attempt = submitted();
  }
  Gvn gvn = gvn_of(1);
  PathKey p0;
  PathKey p1;
  AttemptId attempt;
};

TEST_CASE("a session open is verified, made durable, and only then acknowledged", "[volume]") {
  ServerHarness node;
  node.session_open(gvn_of(1));
  CHECK(node.actions.size() == 1);
  const auto ask = node.one<AskMaster>();
  CHECK(ask.request ==
        VerifyRequest{kVolume, gvn_of(1), *ClientId::from("client-a"), Nonce(1), NodeId(5), BootId(6)});
  node.verify(ask.id, node.good_answer(gvn_of(1)));
  CHECK(node.actions.size() == 1);
  CHECK(node.one<PersistFence>().fence == gvn_of(1));
  CHECK(node.volume.fence() == Gvn(0));
  node.durable(gvn_of(1));
  const SessionAnswer answer = node.one<AnswerSession>().answer;
  CHECK(answer.status == StatusCode::ok);
  CHECK(answer.fence == gvn_of(1));
  CHECK(answer.cookie == Cookie(1000 + gvn_of(1).value()));
  CHECK(answer.window == 16);
  CHECK(answer.max_paths == 4);
  CHECK(answer.boot == BootId(6));
  CHECK(answer.is_consistent());
}

TEST_CASE("P3: stop admitting, destroy queue pairs, drain, make durable, acknowledge: in this order",
          "[volume]") {
  BusyWriter node;
  node.session_open(gvn_of(2), 2, 2);
  const RequestId id = node.one<AskMaster>().id;
  // The old session works until the new one is verified.
  CHECK(node.perform(node.p1, ServerHarness::request(node.p1, IoOp::write, 2, 1, 5)).status ==
        StatusCode::ok);
  node.verify(id, node.good_answer(gvn_of(2)));
  CHECK(node.all<DestroyQueuePair>().size() == 2);
  CHECK(node.actions.size() == 2);
  node.write(node.p1, 3, 1);
  CHECK(node.none<Execute>());
  node.queue_pair_destroyed(node.p0);
  CHECK(node.actions.empty());
  node.queue_pair_destroyed(node.p1);
  CHECK(node.none<PersistFence>());
  // F1: the last one out.
  node.done(node.gvn, node.attempt);
  CHECK(node.none<Respond>());
  CHECK(node.one<PersistFence>().fence == gvn_of(2));
  CHECK(node.none<AnswerSession>());
  CHECK(node.volume.fence() == gvn_of(1));
  node.durable(gvn_of(2));
  CHECK(node.one<AnswerSession>().answer.status == StatusCode::ok);
  CHECK(node.volume.fence() == gvn_of(2));
}

TEST_CASE("P3: queue pairs that aren't destroyed hold the fence back like IO in flight does", "[volume]") {
  BusyWriter node;
  node.session_open(gvn_of(2), 2, 2);
  node.verify(node.one<AskMaster>().id, node.good_answer(gvn_of(2)));
  node.done(node.gvn, node.attempt);
  node.queue_pair_destroyed(node.p0);
  CHECK(node.none<PersistFence>());
  node.queue_pair_destroyed(node.p1);
  CHECK(node.one<PersistFence>().fence == gvn_of(2));
}

TEST_CASE("P3: an open that hangs fails by its deadline, never early, and fencing goes on", "[volume]") {
  BusyWriter node;
  node.session_open(gvn_of(2), 2, 2);
  node.verify(node.one<AskMaster>().id, node.good_answer(gvn_of(2)));
  node.queue_pair_destroyed(node.p0);
  node.queue_pair_destroyed(node.p1);
  node.tick(std::chrono::seconds(10) - std::chrono::nanoseconds(1));
  CHECK(node.actions.empty());
  node.tick(std::chrono::nanoseconds(1));
  CHECK(node.one<AnswerSession>().answer.status == StatusCode::timed_out);
  node.tick(std::chrono::hours(1));
  CHECK(node.actions.empty());
  SECTION("the client asks again, and is answered when it is done") {
    node.session_open(gvn_of(2), 3, 2);
    CHECK(node.actions.empty());
    node.done(node.gvn, node.attempt);
    node.durable(gvn_of(2));
    CHECK(node.one<AnswerSession>().token == Token(3));
    CHECK(node.one<AnswerSession>().answer.status == StatusCode::ok);
  }
  SECTION("nobody asks: nobody is answered") {
    node.done(node.gvn, node.attempt);
    node.durable(gvn_of(2));
    CHECK(node.none<AnswerSession>());
    CHECK(node.volume.fence() == gvn_of(2));
  }
}

TEST_CASE("P1: an answer of a lower manager version than the highest seen is ignored", "[volume]") {
  ServerHarness node;
  node.session_open(gvn_of(1));
  const RequestId id = node.one<AskMaster>().id;
  node.volume.on_manager_version(ManagerVersion(2));
  node.verify(id, node.good_answer(gvn_of(1)));
  CHECK(node.actions.empty());
  CHECK(node.volume.ignored_answers() == 1);
  // The master of that version says no, which counts.
  VerifyAnswer answer = node.good_answer(gvn_of(1));
  answer.manager_version = ManagerVersion(2);
  answer.status = StatusCode::stale_version;
  node.verify(id, answer);
  CHECK(node.one<AnswerSession>().answer.status == StatusCode::stale_version);
  CHECK(node.one<AnswerSession>().answer.manager_version == ManagerVersion(2));
}

TEST_CASE("P1: only the volume's current version under the master's own passes verification", "[volume]") {
  ServerHarness node;
  node.session_open(gvn_of(4));
  const RequestId id = node.one<AskMaster>().id;
  VerifyAnswer answer = node.good_answer(gvn_of(4));
  SECTION("another volume") {
    answer.volume = VolumeId(99);
  }
  SECTION("another version") {
    answer.gvn = gvn_of(3);
  }
  SECTION("not the current one") {
    answer.current_gvn = gvn_of(5);
  }
  node.verify(id, answer);
  CHECK(node.one<AnswerSession>().answer.status == StatusCode::stale_version);
  CHECK(node.none<PersistFence>());
  // And an answer that nobody waits for does nothing.
  node.verify(id, node.good_answer(gvn_of(4)));
  CHECK(node.actions.empty());
  CHECK(node.volume.ignored_answers() == 1);
}

TEST_CASE("P1: a version of a manager above the master's own isn't one that it gave", "[volume]") {
  ServerHarness node;
  node.session_open(gvn_of(1, 7));
  VerifyAnswer answer = node.good_answer(gvn_of(1, 7));
  answer.manager_version = ManagerVersion(6);
  node.verify(node.one<AskMaster>().id, answer);
  CHECK(node.one<AnswerSession>().answer.status == StatusCode::stale_version);
}

TEST_CASE("P2: what isn't newer than the fence is stale, and told the fence", "[volume]") {
  ServerHarness::Options options;
  options.found.fence = gvn_of(5);
  ServerHarness node(options);
  for (const std::uint32_t open : {1U, 4U, 5U}) {
    node.session_open(gvn_of(open));
    CHECK(node.one<AnswerSession>().answer.status == StatusCode::stale_version);
    CHECK(node.one<AnswerSession>().answer.fence == gvn_of(5));
    CHECK(node.none<AskMaster>());
  }
}

TEST_CASE("F2: no session before the backing file is locked", "[volume]") {
  ServerHarness::Options options;
  options.locked = false;
  ServerHarness node(options);
  node.session_open(gvn_of(1));
  CHECK(node.one<AnswerSession>().answer.status == StatusCode::unavailable);
  node.quiesce(gvn_of(1));
  CHECK(node.one<AnswerQuiesce>().answer.status == StatusCode::unavailable);
  node.volume.on_backend_locked();
  node.establish(gvn_of(1));
}

TEST_CASE("F2, C2: no close is confirmed before the lock: the dead process's IO may still land", "[volume]") {
  ServerHarness::Options options;
  options.found.fence = gvn_of(1);
  options.locked = false;
  ServerHarness node(options);
  node.close(gvn_of(1));
  CHECK(node.one<AnswerClose>().answer.status == StatusCode::unavailable);
  node.volume.on_backend_locked();
  node.close(gvn_of(1));
  CHECK(node.one<AnswerClose>().answer.status == StatusCode::ok);
}

TEST_CASE("P3: a session open asked again before it is verified asks the master again", "[volume]") {
  ServerHarness node;
  node.session_open(gvn_of(1), 1);
  const AskMaster first = node.one<AskMaster>();
  // The question or its answer is lost, as with a master that is replaced.
  node.session_open(gvn_of(1), 2);
  const AskMaster second = node.one<AskMaster>();
  CHECK(second.id == first.id);
  CHECK(second.request == first.request);
  node.verify(second.id, node.good_answer(gvn_of(1)));
  CHECK(node.one<PersistFence>().fence == gvn_of(1));
  node.session_open(gvn_of(1), 3);
  CHECK(node.none<AskMaster>());  // verified: there is nothing to ask any more
  node.verify(first.id, node.good_answer(gvn_of(1)));
  CHECK(node.actions.empty());
  node.durable(gvn_of(1));
  CHECK(node.one<AnswerSession>().token == Token(3));
}

TEST_CASE("P1, attack 27: no earlier master's word is acted on once the node has said hello", "[volume]") {
  BusyWriter node;
  const auto prepare = [&] {
    node.actions.clear();
    return node.volume.prepare_hello(node.actions);
  };
  node.session_open(gvn_of(2), 2, 2);
  const RequestId id = node.one<AskMaster>().id;
  SECTION("not verified yet: the old master's answer finds nobody") {
    CHECK(prepare() == gvn_of(1));
    CHECK(node.one<AnswerSession>().answer.status == StatusCode::unavailable);
    node.verify(id, node.good_answer(gvn_of(2)));
    CHECK(node.actions.empty());
    CHECK(node.volume.session(node.gvn)->is_active());
  }
  SECTION("verified, and draining: given up, and asked of the new master") {
    node.verify(id, node.good_answer(gvn_of(2)));
    node.quiesce(gvn_of(1), ManagerVersion(1), 71);
    CHECK(prepare() == gvn_of(1));
    CHECK(node.one<AnswerSession>().answer.status == StatusCode::unavailable);
    CHECK(node.one<AnswerQuiesce>().answer.status == StatusCode::unavailable);
    node.queue_pair_destroyed(node.p0);
    node.queue_pair_destroyed(node.p1);
    node.done(node.gvn, node.attempt);
    CHECK(node.none<PersistFence>());
    node.establish(gvn_of(2), AccessMode::read_write, Gvn(0), 2);
  }
  SECTION("its fence is being written: the hello waits until the fence can be reported") {
    node.verify(id, node.good_answer(gvn_of(2)));
    node.queue_pair_destroyed(node.p0);
    node.queue_pair_destroyed(node.p1);
    node.done(node.gvn, node.attempt);
    CHECK(prepare() == std::nullopt);
    CHECK(node.actions.empty());
    node.durable(gvn_of(2));
    CHECK(node.one<AnswerSession>().answer.status == StatusCode::ok);
    CHECK(prepare() == gvn_of(2));
  }
}

TEST_CASE("a session open in progress is taken over by its own repeat alone", "[volume]") {
  ServerHarness node;
  node.session_open(gvn_of(1), 1, 1);
  const RequestId id = node.one<AskMaster>().id;
  node.session_open(gvn_of(1), 2, 1);
  CHECK(node.one<AnswerSession>().token == Token(1));
  CHECK(node.one<AnswerSession>().answer.status == StatusCode::unavailable);
  // Another nonce under the same version: asked about by itself.
  node.session_open(gvn_of(1), 3, 2);
  const RequestId other = node.one<AskMaster>().id;
  VerifyAnswer no = node.good_answer(gvn_of(1));
  no.status = StatusCode::stale_version;
  node.verify(other, no);
  CHECK(node.one<AnswerSession>().token == Token(3));
  node.verify(id, node.good_answer(gvn_of(1)));
  node.durable(gvn_of(1));
  CHECK(node.one<AnswerSession>().token == Token(2));
}

TEST_CASE("opens beyond the bound are told to come back, and those that hang make room", "[volume]") {
  ServerHarness node;
  for (std::uint32_t open = 1; open <= kMaxPendingOpens; ++open)
    node.session_open(gvn_of(open), open);
  node.session_open(gvn_of(9), 9);
  CHECK(node.one<AnswerSession>().answer.status == StatusCode::unavailable);
  node.quiesce(gvn_of(9));
  CHECK(node.one<AnswerQuiesce>().answer.status == StatusCode::unavailable);
  node.tick(std::chrono::seconds(10));
  CHECK(node.all<AnswerSession>().size() == kMaxPendingOpens);
  node.establish(gvn_of(9));
}

TEST_CASE("of two opens under way the newer wins, and the older is stale", "[volume]") {
  BusyWriter node;
  node.session_open(gvn_of(2), 2, 2);
  const RequestId second = node.one<AskMaster>().id;
  node.session_open(gvn_of(3), 3, 3);
  const RequestId third = node.one<AskMaster>().id;
  node.verify(second, node.good_answer(gvn_of(2)));
  node.verify(third, node.good_answer(gvn_of(3)));
  node.queue_pair_destroyed(node.p0);
  node.queue_pair_destroyed(node.p1);
  node.done(node.gvn, node.attempt);
  CHECK(node.one<PersistFence>().fence == gvn_of(3));
  node.durable(gvn_of(3));
  const auto answers = node.all<AnswerSession>();
  REQUIRE(answers.size() == 2);
  CHECK(answers[0].token == Token(3));
  CHECK(answers[0].answer.status == StatusCode::ok);
  CHECK(answers[1].token == Token(2));
  CHECK(answers[1].answer.status == StatusCode::stale_version);
}

TEST_CASE("an open verified while an older one's fence is written follows it", "[volume]") {
  ServerHarness node;
  node.session_open(gvn_of(1), 1, 1);
  const RequestId first = node.one<AskMaster>().id;
  node.session_open(gvn_of(2), 2, 2);
  const RequestId second = node.one<AskMaster>().id;
  node.verify(first, node.good_answer(gvn_of(1)));
  CHECK(node.one<PersistFence>().fence == gvn_of(1));
  node.verify(second, node.good_answer(gvn_of(2)));
  CHECK(node.actions.empty());
  node.durable(gvn_of(1));
  CHECK(node.one<AnswerSession>().answer.gvn == gvn_of(1));
  CHECK(node.one<PersistFence>().fence == gvn_of(2));
  node.durable(gvn_of(2));
  CHECK(node.one<AnswerSession>().answer.gvn == gvn_of(2));
  CHECK(node.volume.session(gvn_of(1)) == nullptr);
}

TEST_CASE("C2: a close is confirmed when nothing of the session can have an effect any more", "[volume]") {
  BusyWriter node;
  node.close(node.gvn, 50, 9);
  CHECK(node.one<AnswerClose>().answer.status == StatusCode::no_session);  // another opening's
  node.actions.clear();
  node.volume.on_close(Token(50), {kVolume, node.gvn, *ClientId::from("client-b"), Nonce(1)}, node.now,
                       node.actions);
  CHECK(node.one<AnswerClose>().answer.status == StatusCode::no_session);  // another client's
  node.close(node.gvn, 51);
  CHECK(node.all<DestroyQueuePair>().size() == 2);
  CHECK(node.none<AnswerClose>());
  node.close(node.gvn, 52);
  CHECK(node.one<AnswerClose>().token == Token(51));
  CHECK(node.one<AnswerClose>().answer.status == StatusCode::unavailable);
  node.queue_pair_destroyed(node.p0);
  node.queue_pair_destroyed(node.p1);
  CHECK(node.none<AnswerClose>());
  SECTION("in time") {
    node.done(node.gvn, node.attempt);
    CHECK(node.one<AnswerClose>().token == Token(52));
    CHECK(node.one<AnswerClose>().answer.status == StatusCode::ok);
  }
  SECTION("too late: told so, and again when asked again") {
    node.tick(std::chrono::seconds(9));
    CHECK(node.actions.empty());
    node.tick(std::chrono::seconds(1));
    CHECK(node.one<AnswerClose>().answer.status == StatusCode::timed_out);
    node.done(node.gvn, node.attempt);
    CHECK(node.none<AnswerClose>());
    node.close(node.gvn, 53);
    CHECK(node.one<AnswerClose>().answer.status == StatusCode::ok);
  }
  // A version that was never accepted isn't closed here: it may yet come.
  node.close(gvn_of(2), 54);
  CHECK(node.one<AnswerClose>().answer.status == StatusCode::no_session);
}

TEST_CASE("P3: quiesce drains, and its tombstone is durable before it is answered", "[volume]") {
  BusyWriter node;
  SECTION("at the session's own version, which is the fence already") {
    node.quiesce(gvn_of(1));
    node.queue_pair_destroyed(node.p0);
    node.queue_pair_destroyed(node.p1);
    CHECK(node.none<AnswerQuiesce>());
    node.done(node.gvn, node.attempt);
    CHECK(node.none<PersistFence>());
  }
  SECTION("at a higher one, whose session never came here") {
    node.quiesce(gvn_of(4));
    node.queue_pair_destroyed(node.p0);
    node.queue_pair_destroyed(node.p1);
    node.done(node.gvn, node.attempt);
    CHECK(node.one<PersistFence>().fence == gvn_of(4));
    CHECK(node.none<AnswerQuiesce>());
    node.durable(gvn_of(4));
    CHECK(node.volume.fence() == gvn_of(4));
    CHECK(node.volume.session(gvn_of(4)) == nullptr);
  }
  CHECK(node.one<AnswerQuiesce>().answer.status == StatusCode::ok);
  const Gvn fence = node.volume.fence();
  node.session_open(fence);
  CHECK(node.one<AnswerSession>().answer.status == StatusCode::stale_version);
}

TEST_CASE("P1: a deposed master's quiesce, or a delayed one, ends nothing", "[volume]") {
  BusyWriter node;
  node.volume.on_manager_version(ManagerVersion(3));
  node.quiesce(gvn_of(1), ManagerVersion(2));
  CHECK(node.one<AnswerQuiesce>().answer.status == StatusCode::not_master);
  node.quiesce(gvn_of(0), ManagerVersion(3));
  CHECK(node.one<AnswerQuiesce>().answer.status == StatusCode::stale_version);
  CHECK(node.volume.session(node.gvn)->is_active());
}

TEST_CASE("a quiesce that a newer session overtakes is stale", "[volume]") {
  BusyWriter node;
  node.session_open(gvn_of(3), 3, 3);
  const RequestId id = node.one<AskMaster>().id;
  node.quiesce(gvn_of(2));
  node.verify(id, node.good_answer(gvn_of(3)));
  node.queue_pair_destroyed(node.p0);
  node.queue_pair_destroyed(node.p1);
  node.done(node.gvn, node.attempt);
  node.durable(gvn_of(3));
  CHECK(node.one<AnswerQuiesce>().answer.status == StatusCode::stale_version);
  CHECK(node.one<AnswerSession>().answer.status == StatusCode::ok);
}

TEST_CASE("readers of one era live side by side, and a writer's open fences them all", "[volume]") {
  ServerHarness node;
  node.establish(gvn_of(1), AccessMode::read_only, gvn_of(1), 1);
  node.establish(gvn_of(2), AccessMode::read_only, gvn_of(1), 2);
  const PathKey first = node.attached(gvn_of(1), 0);
  const PathKey second = node.attached(gvn_of(2), 0);
  CHECK(node.perform(first, ServerHarness::request(first, IoOp::read, 1, 1)).status == StatusCode::ok);
  CHECK(node.perform(second, ServerHarness::request(second, IoOp::read, 1, 1)).status == StatusCode::ok);

  node.session_open(gvn_of(3), 3, 3);
  node.verify(node.one<AskMaster>().id, node.good_answer(gvn_of(3)));
  CHECK(node.all<DestroyQueuePair>().size() == 2);
  node.queue_pair_destroyed(first);
  CHECK(node.none<PersistFence>());
  node.queue_pair_destroyed(second);
  node.durable(gvn_of(3));
  CHECK(node.volume.session(gvn_of(1)) == nullptr);
  CHECK(node.volume.session(gvn_of(2)) == nullptr);
  // Readers of the next era end the writer.
  node.establish(gvn_of(4), AccessMode::read_only, gvn_of(4), 4);
  CHECK(node.volume.session(gvn_of(3)) == nullptr);
}

TEST_CASE("a reader of a later era ends those of an earlier one", "[volume]") {
  ServerHarness node;
  node.establish(gvn_of(1), AccessMode::read_only, gvn_of(1));
  node.establish(gvn_of(3), AccessMode::read_only, gvn_of(3));
  CHECK(node.volume.session(gvn_of(1)) == nullptr);
}

TEST_CASE("a reader that reopens replaces its own session, not those beside it", "[volume]") {
  ServerHarness node;
  node.establish(gvn_of(1), AccessMode::read_only, gvn_of(1), 1);
  node.establish(gvn_of(2), AccessMode::read_only, gvn_of(1), 2);
  // More often than there are places for sessions.
  for (std::uint32_t open = 3; open <= 3 + kMaxVolumeSessions; ++open) {
    node.establish(gvn_of(open), AccessMode::read_only, gvn_of(1), 2);
    CHECK(node.volume.session(gvn_of(open - 1)) == nullptr);
  }
  CHECK(node.volume.session(gvn_of(1))->is_active());
}

TEST_CASE("readers beyond the bound are refused, and the next waiting open goes on", "[volume]") {
  ServerHarness node;
  for (std::uint32_t open = 1; open <= kMaxVolumeSessions; ++open)
    node.establish(gvn_of(open), AccessMode::read_only, gvn_of(1), open);
  node.session_open(gvn_of(20), 1, 20);
  node.verify(node.one<AskMaster>().id, node.good_answer(gvn_of(20), AccessMode::read_only, gvn_of(1)));
  CHECK(node.one<AnswerSession>().answer.status == StatusCode::limit_reached);
  CHECK(node.volume.fence() == gvn_of(kMaxVolumeSessions));
}

TEST_CASE("P4: any session change with unflushed writes makes the next writer's first flush fail",
          "[volume]") {
  ServerHarness::Options options;
  options.policy = WritePolicy::write_back;
  ServerHarness node(options);
  node.establish(gvn_of(1));
  PathKey path = node.attached(gvn_of(1), 0);
  node.perform(path, ServerHarness::request(path, IoOp::write, 1, 1));
  node.close(gvn_of(1));
  node.queue_pair_destroyed(path);
  CHECK(node.one<AnswerClose>().answer.status == StatusCode::ok);

  // A reader between them neither fails nor takes the news.
  node.establish(gvn_of(2), AccessMode::read_only);
  path = node.attached(gvn_of(2), 0);
  CHECK(node.perform(path, ServerHarness::request(path, IoOp::flush, 1, 1)).status == StatusCode::ok);
  node.close(gvn_of(2));
  node.queue_pair_destroyed(path);
  // Nor does a writer that never flushes.
  node.establish(gvn_of(3));
  node.close(gvn_of(3));

  node.establish(gvn_of(4));
  path = node.attached(gvn_of(4), 0);
  const IoRequest flush = ServerHarness::request(path, IoOp::flush, 1, 1);
  CHECK(node.perform(path, flush).status == StatusCode::io_error);
  CHECK(node.perform(path, flush) ==
        IoResponse{IoOp::flush, true, StatusCode::io_error, gvn_of(4), Seq(1), 0});
  CHECK(node.perform(path, ServerHarness::request(path, IoOp::flush, 2, 2)).status == StatusCode::ok);
}

TEST_CASE("P4: a loss that was told by an answer nobody got is told again", "[volume]") {
  ServerHarness::Options options;
  options.policy = WritePolicy::write_back;
  options.found.writes_may_be_lost = true;
  ServerHarness node(options);
  node.establish(gvn_of(1));
  PathKey path = node.attached(gvn_of(1), 0);
  CHECK(node.perform(path, ServerHarness::request(path, IoOp::flush, 1, 1)).status == StatusCode::io_error);
  // The answer is lost with its path, and the client replaces the session.
  node.path_lost(path);
  node.queue_pair_destroyed(path);
  node.establish(gvn_of(2));
  path = node.attached(gvn_of(2), 0);
  CHECK(node.perform(path, ServerHarness::request(path, IoOp::flush, 1, 1)).status == StatusCode::io_error);
  CHECK(node.perform(path, ServerHarness::request(path, IoOp::flush, 2, 2)).status == StatusCode::ok);
  node.path_lost(path);
  node.queue_pair_destroyed(path);
  node.establish(gvn_of(3));
  path = node.attached(gvn_of(3), 0);
  CHECK(node.perform(path, ServerHarness::request(path, IoOp::flush, 1, 1)).status == StatusCode::ok);
}

TEST_CASE("requests and losses on paths of sessions that are over do nothing", "[volume]") {
  ServerHarness node;
  const PathKey gone{gvn_of(1), PathId(0), PathEpoch(1)};
  node.write(gone, 1, 1);
  CHECK(node.actions.empty());
  node.path_lost(gone);
  CHECK(node.actions.empty());
}

TEST_CASE("an attach that waits when its session ends is rejected", "[volume]") {
  BusyWriter node;
  node.attach(node.gvn, 0, 2, 91);
  node.close(node.gvn);
  CHECK(node.one<RejectPath>().token == Token(91));
  CHECK(node.one<RejectPath>().reject.status == StatusCode::no_session);
  node.attach(node.gvn, 1, 2, 92);
  CHECK(node.one<RejectPath>().reject.status == StatusCode::no_session);
  node.queue_pair_destroyed(node.p0);
  node.queue_pair_destroyed(node.p1);
  CHECK(node.none<AcceptPath>());
}

}  // namespace
}  // namespace sluice::protocol
