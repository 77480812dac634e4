// The life of an opening: opening, losing, reopening, replacing, giving up, closing.

#include <set>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/unit/protocol/client_harness.h"

namespace sluice::protocol::test {
namespace {

ClientConfig failing_config() {
  ClientConfig config = ClientHarness::default_config();
  config.on_loss = OnLoss::fail;
  config.loss_deadline = seconds(5);
  return config;
}

}  // namespace

TEST_CASE("every phase has a name of its own", "[client]") {
  std::set<std::string_view> names;
  for (int i = 0; i <= static_cast<int>(SessionPhase::ended); ++i)
    names.insert(to_string(static_cast<SessionPhase>(i)));
  CHECK(names.size() == 8);
  CHECK(to_string(static_cast<SessionPhase>(99)) == "unknown_session_phase");
}

TEST_CASE("an open asks the master by name, with its nonce, then the node, then connects every path",
          "[client]") {
  ClientConfig config = ClientHarness::default_config();
  config.steal = true;
  ClientHarness client(config);
  client.open();
  const SendOpen asked = client.one<SendOpen>();
  CHECK(asked.request.kind == OpenKind::open);
  CHECK(asked.request.steal);
  CHECK(asked.request.name.view() == "db");
  CHECK(asked.request.nonce == ClientHarness::kNonce);
  CHECK(asked.request.is_consistent());
  client.answer_open(asked.id, client.granted(gvn_of(3)));
  const SendSessionOpen joining = client.one<SendSessionOpen>();
  CHECK(joining.request.gvn == gvn_of(3));
  CHECK(joining.node == NodeId(5));
  CHECK(joining.request.is_consistent());
  client.answer_session(joining.id, client.acknowledged(gvn_of(3)));
  CHECK(client.all<ConnectPath>().size() == 2);
  CHECK(client.phase() == SessionPhase::active);
  CHECK(client.session.gvn() == gvn_of(3));
  CHECK(client.session.volume() == ClientHarness::kVolume);
  CHECK(client.session.size() == ByteCount(ClientHarness::kBlocks * ClientHarness::kBlock));
  CHECK(client.session.block_size() == ClientHarness::kBlock);
}

TEST_CASE("an open that can't succeed ends with the reason", "[client]") {
  const StatusCode status = GENERATE(StatusCode::busy, StatusCode::not_found, StatusCode::exhausted);
  ClientHarness client;
  client.open();
  client.refuse_open(client.one<SendOpen>().id, status);
  CHECK(client.phase() == SessionPhase::ended);
  CHECK(client.one<ReportPhase>().reason == status);
  CHECK(client.submit(IoOp::read, 1) == status);
  client.close();
  CHECK(client.actions.empty());
}

TEST_CASE("an open that can't succeed yet is asked again, later each time, until its deadline", "[client]") {
  ClientHarness client;
  client.open();
  client.refuse_open(client.one<SendOpen>().id, StatusCode::moving);
  CHECK(client.none<SendOpen>());
  client.tick(milliseconds(50));
  client.refuse_open(client.one<SendOpen>().id, StatusCode::moving);
  client.tick(milliseconds(50));
  CHECK(client.none<SendOpen>());
  client.tick(milliseconds(50));
  OpenAnswer nowhere = client.granted(gvn_of(1));
  nowhere.addresses.clear();
  client.answer_open(client.one<SendOpen>().id, nowhere);
  CHECK(client.phase() == SessionPhase::opening);
  client.tick(client.config.open_timeout);
  CHECK(client.phase() == SessionPhase::ended);
  CHECK(client.session.end_reason() == StatusCode::unavailable);
}

TEST_CASE("attack 29: a lost answer is asked for again, and any repetition's answer will do", "[attack]") {
  ClientHarness client;
  client.open();
  const SendOpen first = client.one<SendOpen>();
  client.tick(client.config.control_timeout);
  const SendOpen second = client.one<SendOpen>();
  CHECK(second.id != first.id);
  CHECK(second.request == first.request);
  client.answer_open(first.id, client.granted(gvn_of(1)));
  const SendSessionOpen join = client.one<SendSessionOpen>();
  client.answer_open(second.id, client.granted(gvn_of(1)));  // too late for its phase
  CHECK(client.actions.empty());
  client.tick(client.config.control_timeout);
  const SendSessionOpen again = client.one<SendSessionOpen>();
  CHECK(again.request == join.request);
  client.answer_session(join.id, client.acknowledged(gvn_of(1)));
  CHECK(client.phase() == SessionPhase::active);
  client.answer_session(again.id, client.acknowledged(gvn_of(1)));
  CHECK(client.actions.empty());
}

TEST_CASE("answers of the wrong kind, session or shape are ignored", "[client]") {
  ClientHarness client;
  client.open();
  const SendOpen asked = client.one<SendOpen>();
  client.answer_open(asked.id, client.granted(gvn_of(1), OpenKind::reopen));
  CHECK(client.actions.empty());
  client.answer_open(RequestId(99), client.granted(gvn_of(1)));
  CHECK(client.actions.empty());
  OpenAnswer broken = client.granted(gvn_of(1));
  broken.block_size = 3;
  client.answer_open(asked.id, broken);
  CHECK(client.actions.empty());
  OpenAnswer other_mode = client.granted(gvn_of(1));
  other_mode.mode = AccessMode::read_only;
  client.answer_open(asked.id, other_mode);
  CHECK(client.phase() == SessionPhase::opening);
  client.answer_open(asked.id, client.granted(gvn_of(1)));
  const SendSessionOpen joining = client.one<SendSessionOpen>();
  client.answer_session(joining.id, client.acknowledged(gvn_of(2)));
  CHECK(client.actions.empty());
  client.answer_close(joining.id, gvn_of(1));
  CHECK(client.actions.empty());
}

TEST_CASE("a client that lost its paths tries them again, then asks the master, and goes on in its session",
          "[C4]") {
  Established client;
  const PostIo post = client.post(IoOp::write, 1, 7);
  client.lose_paths();
  CHECK(client.submit(IoOp::write, 2, 8) == StatusCode::ok);
  const SendOpen asked = client.wait_for_question();
  CHECK(asked.request.kind == OpenKind::reopen);
  CHECK_FALSE(asked.request.steal);
  CHECK(asked.request.previous_gvn == gvn_of(1));
  CHECK(asked.request.node == NodeId(5));
  CHECK(asked.request.boot == BootId(6));
  CHECK(asked.request.is_consistent());
  client.answer_open(asked.id, client.granted(gvn_of(1), OpenKind::reopen));
  CHECK(client.phase() == SessionPhase::active);
  client.tick(seconds(5));
  const std::vector<PostIo> again = client.accept_connecting();
  REQUIRE(again.size() == 2);
  CHECK(again[0].request.seq == post.request.seq);
  CHECK(again[0].request.gvn == gvn_of(1));
}

TEST_CASE("attack 9, C4, C5: after a node's restart everything unanswered goes out in a newer session",
          "[C4][C5][attack]") {
  Established client;
  const PostIo write = client.post(IoOp::write, 1, 7);
  const PostIo answered = client.post(IoOp::write, 2, 8);
  CHECK(client.submit(IoOp::write, 3, 7) == StatusCode::ok);  // C1: waits for the first
  client.respond(answered);
  client.lose_paths();
  const SendOpen asked = client.wait_for_question();
  client.answer_open(asked.id, client.granted(gvn_of(2), OpenKind::reopen));
  // A connection attempt of the old session may still be under way: it dies first.
  for (const KillPath& kill : client.all<KillPath>())
    client.destroy_path(kill.path.value());
  CHECK(client.none<PostIo>());
  const SendSessionOpen joining = client.one<SendSessionOpen>();
  CHECK(joining.request.gvn == gvn_of(2));
  client.answer_session(joining.id, client.acknowledged(gvn_of(2)));
  CHECK(client.none<PostIo>());
  client.accept(client.all<ConnectPath>()[0].attach);
  const PostIo again = client.one<PostIo>();
  CHECK(again.tag == 1);
  CHECK(again.request.gvn == gvn_of(2));
  CHECK(again.request.seq == Seq(1));
  CHECK(again.request.low == Seq(1));
  CHECK(again.request.path_tag != write.request.path_tag);
  client.respond(again);
  CHECK(client.completed() == Tags{1});
  CHECK(client.one<PostIo>().tag == 3);
}

TEST_CASE("attack 10, C1, C5: no read sees a write whose effect a node's restart could undo and redo",
          "[C1][C5][attack]") {
  Established client;
  const PostIo write = client.post(IoOp::write, 1, 7);
  // The write may have landed; a read that could see it isn't sent before the write is answered.
  CHECK(client.submit(IoOp::read, 2, 7) == StatusCode::ok);
  CHECK(client.none<PostIo>());
  client.lose_paths();
  const SendOpen asked = client.wait_for_question();
  client.answer_open(asked.id, client.granted(gvn_of(2), OpenKind::reopen));
  client.destroy_path(0);
  client.destroy_path(1);
  const std::vector<PostIo> sent = client.join(gvn_of(2));
  REQUIRE(sent.size() == 1);
  CHECK(sent[0].tag == write.tag);
  client.respond(sent[0]);
  CHECK(client.completed() == Tags{1});
  CHECK(client.one<PostIo>().tag == 2);
}

TEST_CASE("C5: what a session in between had no path to send goes out in the one after it", "[C5]") {
  Established client;
  client.respond(client.post(IoOp::write, 1, 7), StatusCode::no_session);
  client.answer_open(client.one<SendOpen>().id, client.granted(gvn_of(2), OpenKind::reopen));
  client.destroy_path(0);
  client.destroy_path(1);
  client.answer_session(client.one<SendSessionOpen>().id, client.acknowledged(gvn_of(2)));
  client.refuse_path(client.all<ConnectPath>()[0].attach, StatusCode::no_session);
  const RequestId asked = client.one<SendOpen>().id;
  client.destroy_path(1);
  client.answer_open(asked, client.granted(gvn_of(3), OpenKind::reopen));
  const std::vector<PostIo> again = client.join(gvn_of(3));
  REQUIRE(again.size() == 1);
  CHECK(again[0].tag == 1);
}

TEST_CASE("C3, C5: a newer session isn't even asked for before every old queue pair is destroyed",
          "[C3][C5]") {
  Established client;
  const PostIo post = client.post(IoOp::read, 1, 7);
  client.respond(post, StatusCode::stale_version);
  CHECK(client.all<KillPath>().size() == 2);
  client.answer_open(client.one<SendOpen>().id, client.granted(gvn_of(2), OpenKind::reopen));
  CHECK(client.phase() == SessionPhase::replacing);
  client.destroy_path(0);
  CHECK(client.none<SendSessionOpen>());
  client.tick(seconds(60));
  CHECK(client.none<SendSessionOpen>());
  client.destroy_path(1);
  CHECK(client.one<SendSessionOpen>().request.gvn == gvn_of(2));
}

TEST_CASE("C4: a path attach that finds no session makes the client ask the master for a newer version",
          "[C4]") {
  Established client;
  client.lose_paths();
  const ConnectPath connect = [&] {
    client.tick(seconds(1));
    return client.all<ConnectPath>().empty() ? ConnectPath{} : client.all<ConnectPath>()[0];
  }();
  const PathId path = connect.attach.path;
  const StatusCode status = GENERATE(StatusCode::no_session, StatusCode::stale_version, StatusCode::moving);
  client.session.on_path_refused(path, client.session.paths().epoch(path), status, client.now);
  client.collect();
  CHECK(client.phase() == SessionPhase::reopening);
  CHECK(client.one<SendOpen>().request.node == NodeId(0));
  CHECK(client.one<SendOpen>().request.boot == BootId(0));
}

TEST_CASE("attack 31, C4: a fenced client asks once more, is told, and never again", "[C4][attack]") {
  const StatusCode verdict = GENERATE(StatusCode::stale_version, StatusCode::busy, StatusCode::not_found);
  Established client;
  const PostIo sent = client.post(IoOp::write, 1, 7);
  const PostIo on_other_path = client.post(IoOp::read, 2, 8);
  CHECK(client.submit(IoOp::write, 3, 7) == StatusCode::ok);
  client.respond(sent, StatusCode::stale_version);
  const SendOpen asked = client.one<SendOpen>();
  CHECK_FALSE(asked.request.steal);
  client.refuse_open(asked.id, verdict, OpenKind::reopen);
  CHECK(client.phase() == SessionPhase::ended);
  CHECK(client.session.end_reason() == verdict);
  // C2: never sent is failed; its one attempt was answered, but the answer didn't say what became of it.
  REQUIRE(client.all<CompleteIo>().size() == 2);
  CHECK(client.all<CompleteIo>()[0].tag == 1);
  CHECK(client.all<CompleteIo>()[0].status == StatusCode::outcome_unknown);
  CHECK(client.all<CompleteIo>()[1].tag == 3);
  CHECK(client.all<CompleteIo>()[1].status == verdict);
  client.destroy_path(on_other_path.path.value());  // C3
  CHECK(client.completed() == Tags{2});
  CHECK(client.one<CompleteIo>().status == StatusCode::outcome_unknown);
  client.destroy_path(sent.path.value());
  for (int i = 0; i < 100; ++i) {
    client.tick(seconds(10));
    CHECK(client.actions.empty());
  }
  CHECK(client.submit(IoOp::read, 4) == verdict);
}

TEST_CASE("C4: while the master can't say, a client that lost its session goes on asking, ever less often",
          "[C4]") {
  Established client;
  client.respond(client.post(IoOp::write, 1, 7), StatusCode::no_session);
  RequestId asked = client.one<SendOpen>().id;
  for (const StatusCode status :
       {StatusCode::unavailable, StatusCode::not_master, StatusCode::moving, StatusCode::rolled_back}) {
    client.refuse_open(asked, status, OpenKind::reopen);
    CHECK(client.actions.empty());
    client.tick(seconds(2));
    asked = client.one<SendOpen>().id;
  }
  // The same version again is no answer to a client that knows that its session is gone.
  client.answer_open(asked, client.granted(gvn_of(1), OpenKind::reopen));
  CHECK(client.phase() == SessionPhase::reopening);
  CHECK(client.completed().empty());
}

TEST_CASE("a node that doesn't take the session is asked again, and after a while the master is", "[C4]") {
  ClientHarness client;
  client.open();
  client.answer_open(client.one<SendOpen>().id, client.granted(gvn_of(1)));
  client.refuse_session(client.one<SendSessionOpen>().id, gvn_of(1), StatusCode::unavailable);
  CHECK(client.phase() == SessionPhase::joining);
  client.tick(milliseconds(50));
  CHECK(client.all<SendSessionOpen>().size() == 1);
  client.tick(seconds(3));
  CHECK(client.phase() == SessionPhase::reopening);
  client.answer_open(client.one<SendOpen>().id, client.granted(gvn_of(2), OpenKind::reopen));
  client.refuse_session(client.one<SendSessionOpen>().id, gvn_of(2), StatusCode::stale_version);
  CHECK(client.one<SendOpen>().request.previous_gvn == gvn_of(2));
}

TEST_CASE("attack 21, C2: OnLoss::fail tells unknown from failed, and takes nothing until a newer session",
          "[C2][attack]") {
  Established client(failing_config());
  const PostIo sent = client.post(IoOp::write, 1, 7);
  CHECK(client.submit(IoOp::write, 2, 7) == StatusCode::ok);
  client.fail_path(0);
  client.fail_path(1);
  client.destroy_path(static_cast<std::uint8_t>(1 - sent.path.value()));
  client.tick(milliseconds(4900));
  CHECK(client.completed().empty());
  client.tick(milliseconds(100));
  CHECK(client.completed() == Tags{2});
  CHECK(client.one<CompleteIo>().status == StatusCode::unavailable);
  CHECK(client.one<SendOpen>().request.boot == BootId(0));  // only a newer version will do
  client.destroy_path(sent.path.value());
  CHECK(client.one<CompleteIo>().status == StatusCode::outcome_unknown);
  CHECK(client.submit(IoOp::read, 3) == StatusCode::unavailable);
}

TEST_CASE("C2: after OnLoss::fail a newer session takes IO again, and gets the whole deadline", "[C2]") {
  Established client(failing_config());
  const PostIo sent = client.post(IoOp::write, 1, 7);
  client.fail_path(0);
  client.fail_path(1);
  client.tick(seconds(5));
  CHECK(client.completed().empty());  // C3: its queue pair isn't destroyed yet
  const SendOpen asked = client.one<SendOpen>();
  client.destroy_path(sent.path.value());
  CHECK(client.completed().empty());  // it was sent again on the other path
  client.answer_open(asked.id, client.granted(gvn_of(2), OpenKind::reopen));
  client.destroy_path(static_cast<std::uint8_t>(1 - sent.path.value()));
  CHECK(client.completed() == Tags{1});
  CHECK(client.one<CompleteIo>().status == StatusCode::outcome_unknown);
  client.answer_session(client.one<SendSessionOpen>().id, client.acknowledged(gvn_of(2)));
  CHECK(client.phase() == SessionPhase::active);
  CHECK(client.submit(IoOp::write, 2, 7) == StatusCode::ok);
  const std::vector<PostIo> posts = client.accept_connecting();
  REQUIRE(posts.size() == 1);
  CHECK(posts[0].request.seq == Seq(1));
}

TEST_CASE("OnLoss::queue waits for as long as it takes", "[C2]") {
  Established client;
  CHECK(client.post(IoOp::write, 1, 7).request.seq == Seq(1));
  client.lose_paths();
  for (int i = 0; i < 100; ++i) {
    client.tick(seconds(60));
    const std::vector<ConnectPath> connects = client.all<ConnectPath>();
    for (const ConnectPath& connect : connects)
      client.refuse_path(connect.attach, StatusCode::timed_out);
  }
  CHECK(client.session.outstanding().size() == 1);
}

TEST_CASE("C2: close completes what is outstanding, ends the session at the node, then tells the master",
          "[C2]") {
  Established client;
  const PostIo post = client.post(IoOp::write, 1, 7);
  client.close();
  CHECK(client.actions.empty());
  CHECK(client.submit(IoOp::read, 2) == StatusCode::shutting_down);
  client.close();
  client.respond(post);
  CHECK(client.completed() == Tags{1});
  const SendClose to_node = client.one<SendClose>();
  CHECK(to_node.node == NodeId(5));
  CHECK(to_node.request.gvn == gvn_of(1));
  client.answer_close(to_node.id, gvn_of(1), StatusCode::unavailable);
  CHECK(client.none<SendClose>());
  client.tick(milliseconds(50));
  client.answer_close(client.one<SendClose>().id, gvn_of(1));
  const SendClose to_master = client.one<SendClose>();
  CHECK(to_master.node == NodeId(0));
  client.answer_close(to_master.id, gvn_of(1));
  CHECK(client.phase() == SessionPhase::ended);
  CHECK(client.session.end_reason() == StatusCode::ok);
  CHECK(client.submit(IoOp::read, 3) == StatusCode::cancelled);
}

TEST_CASE("C2: a close that is never confirmed ends in bounded time and says so", "[C2]") {
  Established client;
  CHECK(client.post(IoOp::write, 1, 7).tag == 1);
  CHECK(client.submit(IoOp::write, 2, 7) == StatusCode::ok);
  client.fail_path(0);
  client.fail_path(1);
  client.close();
  client.tick(client.config.close_timeout);
  CHECK(client.phase() == SessionPhase::closing);
  CHECK(client.completed().empty());
  client.tick(client.config.close_timeout);
  CHECK(client.all<SendClose>().back().node == NodeId(0));
  client.tick(client.config.close_timeout);
  CHECK(client.phase() == SessionPhase::ended);
  CHECK(client.session.end_reason() == StatusCode::timed_out);
  CHECK(client.completed() == Tags{2});
  CHECK(client.one<CompleteIo>().status == StatusCode::timed_out);
  client.destroy_path(0);
  client.destroy_path(1);
  CHECK(client.phase() == SessionPhase::ended);
}

TEST_CASE("C2: a close that the master knows of and the node never confirmed isn't called confirmed",
          "[C2]") {
  Established client;
  client.close();
  client.tick(client.config.close_timeout);  // the node doesn't answer
  const SendClose to_master = client.all<SendClose>().back();
  CHECK(to_master.node == NodeId(0));
  client.answer_close(to_master.id, gvn_of(1));
  CHECK(client.phase() == SessionPhase::ended);
  CHECK(client.session.end_reason() == StatusCode::timed_out);
}

TEST_CASE("closing before the node ever took the session tells the master alone", "[C2]") {
  ClientHarness client;
  SECTION("before anything was asked") {
    client.close();
    CHECK(client.phase() == SessionPhase::ended);
  }
  SECTION("while the master is asked") {
    client.open();
    const SendOpen asked = client.one<SendOpen>();
    client.close();
    CHECK(client.phase() == SessionPhase::opening);
    client.answer_open(asked.id, client.granted(gvn_of(1)));
    CHECK(client.one<SendClose>().node == NodeId(0));
    client.answer_close(client.one<SendClose>().id, gvn_of(1), StatusCode::not_found);
    CHECK(client.phase() == SessionPhase::ended);
  }
}

}  // namespace sluice::protocol::test
