// The data path of a client session, and its paths: receive this, expect that.

#include "protocol/client_session.h"

#include <set>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/unit/protocol/client_harness.h"

namespace sluice::protocol::test {

TEST_CASE("a request carries the session's version, its number, low, and the path's tag", "[client]") {
  Established client;
  const PostIo first = client.post(IoOp::write, 100, 0);
  CHECK(first.tag == 100);
  CHECK(first.request.gvn == gvn_of(1));
  CHECK(first.request.seq == Seq(1));
  CHECK(first.request.low == Seq(1));
  CHECK(first.request.placement == DataPlacement::in_capsule);
  CHECK(first.request.path_tag == make_path_tag(ClientHarness::kVolume, gvn_of(1),
                                                Cookie(1000 + gvn_of(1).value()), first.path, first.epoch));
  const PostIo second = client.post(IoOp::read, 101, 1);
  CHECK(second.path != first.path);  // the fewest in flight
  CHECK(second.request.placement == DataPlacement::remote);
  client.respond(first);
  CHECK(client.completed() == Tags{100});
  const PostIo third = client.post(IoOp::discard, 102, 2);
  CHECK(third.request.seq == Seq(3));
  CHECK(third.request.low == Seq(2));
  client.respond(second, StatusCode::ok, 0xabcd);
  CHECK(client.one<CompleteIo>().data_crc == 0xabcd);
  client.respond(third, StatusCode::no_space);
  CHECK(client.one<CompleteIo>().status == StatusCode::no_space);
  CHECK(client.session.outstanding().low() == Seq(4));
}

TEST_CASE("flush, discard, write zeroes and FUA travel as such", "[client]") {
  Established client;
  CHECK(client.post(IoOp::flush, 1).request.op == IoOp::flush);
  CHECK(client.post(IoOp::discard, 2, 0, 16).request.length == 16 * ClientHarness::kBlock);
  CHECK(client.post(IoOp::write_zeroes, 3, 32, 1, true).request.fua);
  const PostIo big = client.post(IoOp::write, 4, 64, 16, true);
  CHECK(big.request.placement == DataPlacement::slot);
  CHECK(big.request.slot != kNoSlot);
  CHECK(big.request.fua);
}

TEST_CASE("C1: an overlapping write waits for the write before it, in order of arrival", "[C1]") {
  Established client;
  const PostIo first = client.post(IoOp::write, 1, 4, 2);
  CHECK(client.submit(IoOp::write, 2, 5, 2) == StatusCode::ok);
  CHECK(client.none<PostIo>());
  CHECK(client.submit(IoOp::read, 3, 5) == StatusCode::ok);
  CHECK(client.none<PostIo>());
  client.respond(first);
  CHECK(client.completed() == Tags{1});
  const PostIo second = client.one<PostIo>();
  CHECK(second.tag == 2);
  client.respond(second);
  CHECK(client.one<PostIo>().tag == 3);
}

TEST_CASE("C1: reads overlap freely, a flush waits for nothing", "[C1]") {
  Established client;
  CHECK(client.post(IoOp::read, 1, 4).tag == 1);
  CHECK(client.post(IoOp::read, 2, 4).tag == 2);
  CHECK(client.submit(IoOp::write, 3, 4) == StatusCode::ok);
  CHECK(client.none<PostIo>());
  CHECK(client.post(IoOp::flush, 4).tag == 4);
}

TEST_CASE("attack 24, C1: a discard and a later write of the same blocks are never in flight together",
          "[C1][attack]") {
  Established client;
  const PostIo discard = client.post(IoOp::discard, 1, 0, 64);
  CHECK(client.submit(IoOp::write, 2, 10) == StatusCode::ok);
  CHECK(client.none<PostIo>());
  // The discard is delayed on its path; its retry holds the write back just as well.
  client.fail_path(discard.path.value());
  const PostIo retry = client.one<PostIo>();
  CHECK(retry.tag == 1);
  client.respond(retry);
  CHECK(client.none<PostIo>());  // C3: the first attempt may still be on its way
  client.destroy_path(discard.path.value());
  CHECK(client.completed() == Tags{1});
  CHECK(client.one<PostIo>().tag == 2);
}

TEST_CASE("the window is never exceeded: seq stays below low + W", "[W4]") {
  Established client;
  std::vector<PostIo> posts;
  for (std::uint64_t i = 0; i < 16; ++i)
    posts.push_back(client.post(IoOp::write, i, i));
  for (std::size_t i = 1; i < posts.size(); ++i)
    client.respond(posts[i]);
  CHECK(client.submit(IoOp::write, 99, 99) == StatusCode::ok);
  CHECK(client.none<PostIo>());  // seq 17 would be low + W
  client.respond(posts[0]);
  CHECK(client.one<PostIo>().request.seq == Seq(17));
  CHECK(client.one<PostIo>().request.low == Seq(17));
}

TEST_CASE("a node with a smaller window than the client's is obeyed", "[W4]") {
  ClientHarness client;
  client.window = 2;
  client.establish(gvn_of(1));
  CHECK(client.post(IoOp::read, 1, 0).request.seq == Seq(1));
  CHECK(client.post(IoOp::read, 2, 1).request.seq == Seq(2));
  CHECK(client.submit(IoOp::read, 3, 2) == StatusCode::ok);
  CHECK(client.none<PostIo>());
}

TEST_CASE("depth and slots of the paths are never exceeded, and small IO passes writes that want slots",
          "[R1]") {
  ClientHarness client;
  client.addresses = 1;
  client.slots = 1;
  client.depth = 3;
  client.establish(gvn_of(1));
  const PostIo big = client.post(IoOp::write, 1, 0, 16);
  CHECK(client.submit(IoOp::write, 2, 16, 16) == StatusCode::ok);
  CHECK(client.none<PostIo>());
  CHECK(client.post(IoOp::write, 3, 40).tag == 3);
  CHECK(client.post(IoOp::read, 4, 41).tag == 4);
  CHECK(client.submit(IoOp::read, 5, 42) == StatusCode::ok);
  CHECK(client.none<PostIo>());
  client.respond(big);
  CHECK(client.one<PostIo>().tag == 2);
  CHECK(client.one<PostIo>().request.slot == big.request.slot);
}

TEST_CASE("attack 1, C3: a retry keeps its number, and completes only when the first attempt is retired",
          "[C3][attack]") {
  Established client;
  const PostIo first = client.post(IoOp::write, 1, 7);
  client.fail_path(first.path.value());
  CHECK(client.one<KillPath>().epoch == first.epoch);
  const PostIo retry = client.one<PostIo>();
  CHECK(retry.path != first.path);
  CHECK(retry.request.seq == first.request.seq);
  CHECK(retry.request.offset == first.request.offset);
  client.respond(retry);
  CHECK(client.completed().empty());
  CHECK(client.session.outstanding().low() == Seq(2));  // answered, so that later requests say so
  client.respond(first);                                // from a queue pair on its way out: ignored
  CHECK(client.completed().empty());
  client.destroy_path(first.path.value());
  CHECK(client.completed() == Tags{1});
  CHECK(client.one<ConnectPath>().attach.epoch > first.epoch);
}

TEST_CASE("attack 18, C3: a read's memory is the caller's only when no queue pair can write to it",
          "[C3][attack]") {
  Established client;
  const PostIo first = client.post(IoOp::read, 1, 7);
  client.fail_path(first.path.value());
  const PostIo retry = client.one<PostIo>();
  client.fail_path(retry.path.value());
  CHECK(client.none<PostIo>());
  client.destroy_path(retry.path.value());
  CHECK(client.completed().empty());
  client.accept(client.one<ConnectPath>().attach);
  const PostIo third = client.one<PostIo>();
  CHECK(third.path == retry.path);
  client.respond(third, StatusCode::ok, 9);
  CHECK(client.completed().empty());
  client.destroy_path(first.path.value());
  CHECK(client.one<CompleteIo>().data_crc == 9);
}

TEST_CASE("attack 19, C3: a write's source stays pinned while any attempt could still be sent",
          "[C3][attack]") {
  Established client;
  const PostIo first = client.post(IoOp::write, 1, 0, 16);
  client.tick(client.config.io_timeout);  // silence kills both paths
  CHECK(client.all<KillPath>().size() == 2);
  client.destroy_path(static_cast<std::uint8_t>(1 - first.path.value()));
  client.accept(client.one<ConnectPath>().attach);
  client.respond(client.one<PostIo>());
  CHECK(client.completed().empty());
  client.destroy_path(first.path.value());
  CHECK(client.completed() == Tags{1});
}

TEST_CASE("attack 20: events of an earlier connection of a path are ignored", "[attack]") {
  Established client;
  const PostIo post = client.post(IoOp::write, 1, 0);
  client.fail_path(post.path.value());
  const PostIo retry = client.one<PostIo>();
  client.destroy_path(post.path.value());
  const PathAttach attach = client.one<ConnectPath>().attach;
  client.accept(attach);
  client.respond(post);  // of the old epoch
  CHECK(client.actions.empty());
  client.session.on_path_failed(post.path, post.epoch, client.now);
  client.session.on_path_destroyed(post.path, post.epoch, client.now);
  client.session.on_path_refused(post.path, post.epoch, StatusCode::no_session, client.now);
  client.session.on_keepalive(post.path, post.epoch, {}, client.now);
  client.session.on_path_accepted(client.grant(attach), client.now);
  client.collect();
  CHECK(client.actions.empty());
  client.respond(retry);
  CHECK(client.completed() == Tags{1});
}

TEST_CASE("attack 21, C2: a timed-out request kills its path and is sent again, and is never aborted",
          "[C2][attack]") {
  Established client;
  const PostIo post = client.post(IoOp::write, 1, 7);
  for (int i = 0; i < 4; ++i) {
    client.tick(client.config.io_timeout / 4 - milliseconds(1));
    for (std::uint8_t path = 0; path < 2; ++path)
      client.session.on_keepalive(PathId(path), PathEpoch(1), {true, 0}, client.now);
    client.collect();
  }
  CHECK(client.all<KillPath>().empty());
  client.tick(milliseconds(4));
  CHECK(client.one<KillPath>().path == post.path);
  CHECK(client.one<KillPath>().why == PathEnd::unanswered);
  CHECK(client.one<PostIo>().request.seq == post.request.seq);
  CHECK(client.submit(IoOp::write, 2, 7) == StatusCode::ok);  // the caller's rewrite waits its turn
  CHECK(client.none<PostIo>());
}

TEST_CASE("C3: an attempt that is answered twice completes once, and its path is killed", "[C3]") {
  Established client;
  const PostIo first = client.post(IoOp::write, 1, 7);
  client.fail_path(first.path.value());
  const PostIo retry = client.one<PostIo>();
  client.destroy_path(first.path.value());
  client.accept(client.one<ConnectPath>().attach);
  client.respond(retry);
  CHECK(client.completed() == Tags{1});
  client.respond(retry);  // a node never answers one attempt twice
  CHECK(client.one<KillPath>().path == retry.path);
}

TEST_CASE("answers that make no sense kill the path and nothing else", "[client]") {
  Established client;
  const PostIo post = client.post(IoOp::write, 1, 7);
  PostIo wrong = post;
  SECTION("another session's version") {
    wrong.request.gvn = gvn_of(9);
  }
  SECTION("a number never used") {
    wrong.request.seq = Seq(2);
  }
  SECTION("another operation") {
    wrong.request.op = IoOp::read;
  }
  client.respond(wrong);
  CHECK(client.one<KillPath>().path == post.path);
  CHECK(client.one<KillPath>().why == PathEnd::wrong_response);
  CHECK(client.completed().empty());
  CHECK(client.one<PostIo>().request.seq == post.request.seq);
}

TEST_CASE("an answer on a path that has no attempt of it kills that path", "[R2]") {
  Established client;
  PostIo post = client.post(IoOp::write, 1, 7);
  post.path = PathId(static_cast<std::uint8_t>(1 - post.path.value()));
  client.respond(post);
  CHECK(client.one<KillPath>().path == post.path);
  CHECK(client.none<PostIo>());
}

TEST_CASE("a status that no node gives kills the path, and the operation is sent again", "[client]") {
  Established client;
  const PostIo post = client.post(IoOp::write, 1, 7);
  client.respond(post, StatusCode::cancelled);
  CHECK(client.one<KillPath>().path == post.path);
  std::set<std::uint64_t> sent;
  for (const PostIo& again : client.all<PostIo>())
    sent.insert(again.tag);
  CHECK(sent == std::set<std::uint64_t>{1});
}

TEST_CASE("a damaged payload is sent again, three times in all", "[client]") {
  Established client;
  PostIo post = client.post(IoOp::write, 1, 7);
  for (int i = 0; i < 2; ++i) {
    client.respond(post, StatusCode::bad_checksum);
    CHECK(client.completed().empty());
    post = client.one<PostIo>();
    CHECK(post.request.seq == Seq(1));
  }
  client.respond(post, StatusCode::bad_checksum);
  CHECK(client.one<CompleteIo>().status == StatusCode::bad_checksum);
}

TEST_CASE("C2: a damaged payload is no verdict while a lost attempt may have had its effect", "[C2]") {
  Established client;
  PostIo post = client.post(IoOp::write, 1, 7);
  client.fail_path(post.path.value());
  const std::uint8_t lost = post.path.value();
  post = client.one<PostIo>();
  client.destroy_path(lost);
  for (int i = 0; i < 2; ++i) {
    client.respond(post, StatusCode::bad_checksum);
    post = client.one<PostIo>();
  }
  client.respond(post, StatusCode::bad_checksum);
  CHECK(client.completed().empty());
  CHECK(client.phase() == SessionPhase::reopening);  // only a new session settles it
  const std::vector<PostIo> again = client.replace(gvn_of(2), 2);
  REQUIRE(again.size() == 1);
  client.respond(again[0], StatusCode::bad_checksum);
  CHECK(client.one<CompleteIo>().status == StatusCode::outcome_unknown);
}

TEST_CASE("W3, W4, W5: a node that contradicts the client's numbers is left for a new session",
          "[W3][W4][W5]") {
  const StatusCode status = GENERATE(StatusCode::expired, StatusCode::out_of_window, StatusCode::seq_misuse);
  Established client;
  const PostIo post = client.post(IoOp::write, 1, 7);
  client.respond(post, status);
  CHECK(client.completed().empty());
  CHECK(client.phase() == SessionPhase::reopening);
  CHECK(client.one<SendOpen>().request.boot == BootId(0));
  const std::vector<PostIo> again = client.replace(gvn_of(2), 2);
  REQUIRE(again.size() == 1);
  CHECK(again[0].request.seq == Seq(1));
}

TEST_CASE("what can't be right is refused at once, and leaves nothing behind", "[client]") {
  ClientConfig config = ClientHarness::default_config();
  config.max_outstanding = 1;
  ClientHarness client(config);
  CHECK(client.submit(IoOp::read, 1) == StatusCode::unavailable);
  client.establish(gvn_of(1));
  CHECK(client.submit(IoOp::read, 1, ClientHarness::kBlocks) == StatusCode::invalid_request);
  CHECK(client.submit(IoOp::write, 1, 0, 17) == StatusCode::invalid_request);
  CHECK(client.submit(IoOp::read, 2, 0) == StatusCode::ok);
  CHECK(client.submit(IoOp::read, 3, 0) == StatusCode::queue_full);
}

TEST_CASE("a read-only session refuses what changes data and reads on", "[client]") {
  ClientConfig config = ClientHarness::default_config();
  config.mode = AccessMode::read_only;
  ClientHarness client(config);
  client.slots = 0;  // a reader needs none
  client.open();
  CHECK(client.one<SendOpen>().request.mode == AccessMode::read_only);
  client.answer_open(client.one<SendOpen>().id, client.granted(gvn_of(1)));
  client.join(gvn_of(1));
  for (const IoOp op : {IoOp::write, IoOp::discard, IoOp::write_zeroes})
    CHECK(client.submit(op, 1) == StatusCode::read_only);
  CHECK(client.submit(IoOp::read, 2) == StatusCode::ok);
  CHECK(client.submit(IoOp::flush, 3) == StatusCode::ok);
}

TEST_CASE("a silent path is asked for a sign of life, and killed after three intervals", "[paths]") {
  Established client;
  client.tick(seconds(1));
  REQUIRE(client.all<SendKeepalive>().size() == 2);
  const SendKeepalive asked = client.all<SendKeepalive>()[0];
  CHECK_FALSE(asked.message.reply);
  client.tick(milliseconds(500));
  CHECK(client.none<SendKeepalive>());
  client.session.on_keepalive(asked.path, asked.epoch, {true, asked.message.count}, client.now);
  client.collect();
  CHECK(client.actions.empty());
  client.session.on_keepalive(asked.path, asked.epoch, {false, 41}, client.now);
  client.collect();
  CHECK(client.one<SendKeepalive>().message == Keepalive{true, 41});
  client.tick(milliseconds(1500));
  CHECK(client.one<KillPath>().path != asked.path);
  CHECK(client.one<KillPath>().why == PathEnd::silent);
}

TEST_CASE("a grant that can't carry one block, or isn't for this session, is no path", "[R1]") {
  ClientHarness client;
  client.open();
  client.answer_open(client.one<SendOpen>().id, client.granted(gvn_of(1)));
  client.answer_session(client.one<SendSessionOpen>().id, client.acknowledged(gvn_of(1)));
  const PathAttach attach = client.all<ConnectPath>()[0].attach;
  CHECK(attach.cookie == Cookie(1000 + gvn_of(1).value()));
  PathAccept accept = client.grant(attach);
  PathEnd why = PathEnd::bad_grant;
  SECTION("too small slots") {
    accept.in_capsule_limit = 0;
    accept.slots.clear();
    accept.slots.push_back({512, 1});
    why = PathEnd::small_slots;
  }
  SECTION("another version") {
    accept.gvn = gvn_of(8);
  }
  SECTION("no depth") {
    accept.depth = 0;
  }
  SECTION("more depth than was asked for, and there are receives for") {
    accept.depth = static_cast<std::uint16_t>(client.config.path_depth + 1);
  }
  client.session.on_path_accepted(accept, client.now);
  client.collect();
  CHECK(client.one<KillPath>().path == attach.path);
  CHECK(client.one<KillPath>().why == why);
}

TEST_CASE("writes are no longer than the slots of every path that is up, reads are", "[R1]") {
  ClientHarness client;
  client.open();
  client.answer_open(client.one<SendOpen>().id, client.granted(gvn_of(1)));
  client.answer_session(client.one<SendSessionOpen>().id, client.acknowledged(gvn_of(1)));
  const std::vector<ConnectPath> connects = client.all<ConnectPath>();
  CHECK(client.session.longest_write() == client.config.max_data_length);
  client.accept(connects[0].attach);
  CHECK(client.session.longest_write() == 16 * ClientHarness::kBlock);
  client.slot_size = 4 * ClientHarness::kBlock;
  client.accept(connects[1].attach);
  CHECK(client.session.longest_write() == 4 * ClientHarness::kBlock);
  CHECK(client.submit(IoOp::write, 1, 0, 5) == StatusCode::invalid_request);
  CHECK(client.submit(IoOp::write, 2, 0, 4) == StatusCode::ok);
  CHECK(client.submit(IoOp::read, 3, 8, 16) == StatusCode::ok);
}

TEST_CASE("a path without a slot for a write that waits to be sent again is given up until there is one",
          "[R1][C5]") {
  Established client;
  const PostIo first = client.post(IoOp::write, 1, 0, 16);
  client.respond(first, StatusCode::no_session);
  client.slot_size = 8 * ClientHarness::kBlock;
  CHECK(client.replace(gvn_of(2), 2).empty());
  CHECK(client.one<KillPath>().why == PathEnd::small_slots);
  CHECK(client.session.shortest_useful_slot() == 16 * ClientHarness::kBlock);
  client.slot_size = 16 * ClientHarness::kBlock;
  client.destroy_path(0);
  client.accept(client.one<ConnectPath>().attach);
  CHECK(client.one<PostIo>().tag == 1);
}

TEST_CASE("a path that was refused is tried again, slower each time, and one that broke while connecting too",
          "[paths]") {
  ClientHarness client;
  client.addresses = 1;
  client.open();
  client.answer_open(client.one<SendOpen>().id, client.granted(gvn_of(1)));
  client.answer_session(client.one<SendSessionOpen>().id, client.acknowledged(gvn_of(1)));
  client.refuse_path(client.one<ConnectPath>().attach, StatusCode::connection_refused);
  CHECK(client.none<ConnectPath>());
  client.tick(milliseconds(1));
  client.fail_path(0);
  CHECK(client.all<KillPath>().size() == 1);
  client.destroy_path(0);
  CHECK(client.none<ConnectPath>());
  client.tick(milliseconds(99));
  CHECK(client.none<ConnectPath>());
  client.tick(milliseconds(1));
  CHECK(client.one<ConnectPath>().attach.epoch == PathEpoch(3));
}

TEST_CASE("P4, attack 32: a volatile acknowledgement lost with its session makes the next flush fail",
          "[P4][attack]") {
  ClientHarness client;
  client.policy = WritePolicy::write_back;
  client.establish(gvn_of(1));
  client.respond(client.post(IoOp::write, 1, 0));
  client.respond(client.post(IoOp::read, 2, 0), StatusCode::no_session);
  client.replace(gvn_of(2), 2);
  client.respond(client.post(IoOp::flush, 3));
  CHECK(client.one<CompleteIo>().status == StatusCode::io_error);
  client.respond(client.post(IoOp::flush, 4));
  CHECK(client.one<CompleteIo>().status == StatusCode::ok);
}

TEST_CASE("P4: a flush that is outstanding as the session changes tells of the loss", "[P4]") {
  ClientHarness client;
  client.policy = WritePolicy::write_back;
  client.establish(gvn_of(1));
  client.respond(client.post(IoOp::write, 1, 0));
  const PostIo flush = client.post(IoOp::flush, 2);
  client.respond(flush, StatusCode::no_session);
  const std::vector<PostIo> again = client.replace(gvn_of(2), 2);
  REQUIRE(again.size() == 1);
  client.respond(again[0]);
  CHECK(client.one<CompleteIo>().status == StatusCode::io_error);
  client.respond(client.post(IoOp::flush, 3));
  CHECK(client.one<CompleteIo>().status == StatusCode::ok);
}

TEST_CASE("P4: what was flushed, written through, with FUA, or failed is no loss", "[P4]") {
  ClientHarness client;
  bool fua = false;
  bool flush = false;
  StatusCode status = StatusCode::ok;
  SECTION("flushed") {
    client.policy = WritePolicy::write_back;
    flush = true;
  }
  SECTION("with FUA") {
    client.policy = WritePolicy::write_back;
    fua = true;
  }
  SECTION("failed") {
    client.policy = WritePolicy::write_back;
    status = StatusCode::io_error;
  }
  SECTION("written through") {}
  client.establish(gvn_of(1));
  client.respond(client.post(IoOp::write, 1, 0, 1, fua), status);
  if (flush) client.respond(client.post(IoOp::flush, 2));
  client.respond(client.post(IoOp::read, 3, 0), StatusCode::no_session);
  client.replace(gvn_of(2), 2);
  client.respond(client.post(IoOp::flush, 4));
  CHECK(client.one<CompleteIo>().status == StatusCode::ok);
}

}  // namespace sluice::protocol::test
