#include "protocol/server_session.h"

#include <array>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/unit/protocol/server_harness.h"

// One session on its node, from an attached path to the answers: what W1 to W7, R1 to R4 and P4 ask of it.
namespace sluice::protocol {
namespace {

using test::gvn_of;
using test::kBlock;
using test::kBlocks;
using test::ServerHarness;

const Gvn kGvn = gvn_of(1);

struct OneSession : ServerHarness {
  OneSession() : OneSession(Options{}) {}
  explicit OneSession(const Options& options) : ServerHarness(options) {
    answer = establish(kGvn);
    p0 = attached(kGvn, 0);
    p1 = attached(kGvn, 1);
  }
  [[nodiscard]] const ServerSession& session() const { return *volume.session(kGvn); }
  [[nodiscard]] std::uint64_t refused(Refusal reason) const { return session().refusals().of(reason); }

  SessionAnswer answer;
  PathKey p0;
  PathKey p1;
};

TEST_CASE("a write is executed once and answered on the path that it came on", "[server]") {
  OneSession node;
  node.write(node.p0, 1, 1, 3);
  const auto execute = node.one<Execute>();
  CHECK(node.session().request(execute.attempt).offset == ByteCount(3ULL * kBlock));
  CHECK(node.session().in_flight() == 1);
  const AttemptId attempt = node.submitted();
  node.done(kGvn, attempt);
  const auto respond = node.one<Respond>();
  CHECK(respond.path == node.p0);
  CHECK(respond.response == IoResponse{IoOp::write, false, StatusCode::ok, kGvn, Seq(1), 0});
  CHECK(node.session().in_flight() == 0);
}

TEST_CASE("W1: bytes that are no request kill the path, and nothing else", "[server]") {
  OneSession node;
  std::array<std::byte, kIoRequestSize> frame{};
  encode(ServerHarness::request(node.p0, IoOp::flush, 1, 1), frame);
  frame[20] ^= std::byte{1};
  node.give_bytes(node.p0, frame);
  CHECK(node.one<DestroyQueuePair>().path == node.p0);
  CHECK(node.none<Respond>());
  CHECK(node.refused(Refusal::malformed) == 1);
  CHECK(node.session().refusals(PathId(0)).of(Refusal::malformed) == 1);
  CHECK(node.session().refusals(PathId(1)).of(Refusal::malformed) == 0);
  CHECK(node.session().is_active());
  // What was still in the completion queue of that path is ignored; the other path works.
  node.write(node.p0, 1, 1);
  CHECK(node.actions.empty());
  CHECK(node.perform(node.p1, ServerHarness::request(node.p1, IoOp::write, 1, 1)).status == StatusCode::ok);
}

TEST_CASE("W1: a low that no client sends kills the path, whatever else is wrong", "[server]") {
  OneSession node;
  IoRequest request = ServerHarness::request(node.p0, IoOp::write, 17, 1);  // a window of 16
  SECTION("nothing else") {}
  SECTION("another version") {
    request.gvn = gvn_of(2);
  }
  SECTION("a range outside the volume") {
    request.offset = ByteCount(kBlocks * kBlock);
  }
  node.give(node.p0, request);
  CHECK(node.none<Respond>());
  CHECK(node.one<DestroyQueuePair>().path == node.p0);
  CHECK(node.refused(Refusal::bad_low) == 1);
  CHECK(node.session().in_flight() == 0);
}

TEST_CASE("W1: another version is stale below the fence, and otherwise no session", "[server]") {
  ServerHarness node;
  node.establish(gvn_of(3));
  const PathKey path = node.attached(gvn_of(3), 0);
  IoRequest request = ServerHarness::request(path, IoOp::write, 1, 1);
  request.gvn = gvn_of(2);
  CHECK(node.perform(path, request).status == StatusCode::stale_version);
  request.gvn = gvn_of(4);
  CHECK(node.perform(path, request).status == StatusCode::no_session);
  request.gvn = Gvn(UINT64_MAX);
  CHECK(node.perform(path, request).status == StatusCode::no_session);
  CHECK(node.volume.refusals().of(Refusal::stale_version) == 1);
  CHECK(node.volume.refusals().of(Refusal::no_session) == 2);
}

TEST_CASE("W1: length, alignment and range outside the volume are invalid, at their very edges", "[server]") {
  OneSession node;
  const auto status_of = [&](IoOp op, std::uint64_t offset, std::uint32_t length) {
    IoRequest request = ServerHarness::request(node.p0, op, 1, 1);
    request.offset = ByteCount(offset);
    request.length = length;
    if (op == IoOp::write) request.data_crc = length + static_cast<std::uint32_t>(offset);
    OneSession fresh;
    return fresh.perform(fresh.p0, request).status;
  };
  constexpr std::uint64_t kSize = kBlocks * kBlock;
  CHECK(status_of(IoOp::write, kSize - kBlock, kBlock) == StatusCode::ok);
  CHECK(status_of(IoOp::read, 0, kMaxDataLength) == StatusCode::ok);
  CHECK(status_of(IoOp::discard, 0, static_cast<std::uint32_t>(kSize)) == StatusCode::ok);
  CHECK(status_of(IoOp::write, 0, 0) == StatusCode::invalid_request);
  CHECK(status_of(IoOp::write, kSize, kBlock) == StatusCode::invalid_request);
  CHECK(status_of(IoOp::write, kSize + kBlock, kBlock) == StatusCode::invalid_request);
  CHECK(status_of(IoOp::read, kSize - kBlock, 2 * kBlock) == StatusCode::invalid_request);
  CHECK(status_of(IoOp::write, 512, kBlock) == StatusCode::invalid_request);
  CHECK(status_of(IoOp::write, 0, kBlock + 512) == StatusCode::invalid_request);
  CHECK(status_of(IoOp::read, 0, kMaxDataLength + kBlock) == StatusCode::invalid_request);
  CHECK(status_of(IoOp::write_zeroes, 0, kMaxRangeLength + kBlock) == StatusCode::invalid_request);
  CHECK(status_of(IoOp::read, UINT64_MAX - kBlock + 1, kBlock) == StatusCode::invalid_request);
}

TEST_CASE("W1: a path may have only so many requests unanswered", "[server]") {
  OneSession node;
  for (std::uint64_t seq = 1; seq <= 8; ++seq) {
    node.write(node.p0, seq, 1);
    REQUIRE(!node.none<Execute>());
  }
  node.write(node.p0, 9, 1);
  CHECK(node.one<DestroyQueuePair>().path == node.p0);
  CHECK(node.refused(Refusal::no_credit) == 1);
  CHECK(node.session().in_flight() == 8);
}

TEST_CASE("W1: a number that the path has unanswered kills it", "[server]") {
  OneSession node;
  node.write(node.p0, 1, 1);
  SECTION("it is being executed for this path") {
    node.write(node.p0, 1, 1);
    CHECK(node.one<DestroyQueuePair>().path == node.p0);
  }
  SECTION("it waits for this path already") {
    node.write(node.p1, 1, 1);
    CHECK(node.actions.empty());
    node.write(node.p1, 1, 1);
    CHECK(node.one<DestroyQueuePair>().path == node.p1);
    CHECK(!node.session().window().first_waiter(Seq(1)));
  }
  CHECK(node.refused(Refusal::repeated_on_path) == 1);
}

TEST_CASE("W2: a low that passes an executing entry fences the session", "[server]") {
  OneSession node;
  node.write(node.p0, 1, 1);
  const AttemptId attempt = node.submitted();
  node.write(node.p1, 2, 2);
  CHECK(node.all<DestroyQueuePair>().size() == 2);
  CHECK(!node.session().is_active());
  CHECK(node.refused(Refusal::passes_executing) == 1);
  // It ends like any other: only when the backend is done.
  node.queue_pair_destroyed(node.p0);
  node.queue_pair_destroyed(node.p1);
  REQUIRE(node.volume.session(kGvn) != nullptr);
  node.done(kGvn, attempt);
  CHECK(node.volume.session(kGvn) == nullptr);
}

TEST_CASE("W3: below the base is answered expired", "[server]") {
  OneSession node;
  node.perform(node.p0, ServerHarness::request(node.p0, IoOp::write, 2, 2));
  CHECK(node.perform(node.p1, ServerHarness::request(node.p1, IoOp::write, 1, 1)).status ==
        StatusCode::expired);
  CHECK(node.refused(Refusal::expired) == 1);
}

TEST_CASE("W5: misuse of a number is answered, and fences the session", "[server]") {
  OneSession node;
  node.perform(node.p0, ServerHarness::request(node.p0, IoOp::write, 1, 1, 0, 7));
  node.write(node.p1, 1, 1, 0, 8);
  CHECK(node.one<Respond>().response.status == StatusCode::seq_misuse);
  CHECK(node.all<DestroyQueuePair>().size() == 2);
  CHECK(!node.session().is_active());
}

TEST_CASE("W6: a repeat waits for the executing write and gets its status", "[server]") {
  OneSession node;
  const PathKey p2 = node.attached(kGvn, 2);
  node.write(node.p0, 1, 1);
  const AttemptId attempt = node.submitted();
  node.write(node.p1, 1, 1);
  node.write(p2, 1, 1);
  CHECK(node.actions.empty());
  node.done(kGvn, attempt, StatusCode::no_space);
  const auto responses = node.all<Respond>();
  REQUIRE(responses.size() == 3);
  CHECK(responses[0].path == node.p0);
  CHECK(!responses[0].response.repeated);
  CHECK(responses[1].path == node.p1);
  CHECK(responses[2].path == p2);
  for (const Respond& respond : responses)
    CHECK(respond.response.status == StatusCode::no_space);
  // And later ones get it from the window.
  node.write(node.p1, 1, 1);
  CHECK(node.one<Respond>().response == IoResponse{IoOp::write, true, StatusCode::no_space, kGvn, Seq(1), 0});
}

TEST_CASE("W6: a repeat of a read is run again, for its own target", "[server]") {
  OneSession node;
  IoRequest first = ServerHarness::request(node.p0, IoOp::read, 1, 1);
  IoRequest second = ServerHarness::request(node.p1, IoOp::read, 1, 1);
  second.target = {0x77, 0x7000};
  node.give(node.p0, first);
  const AttemptId attempt = node.submitted();
  node.give(node.p1, second);
  CHECK(node.actions.empty());
  node.done(kGvn, attempt, StatusCode::ok, 0xabcd);
  CHECK(node.one<Respond>().response.data_crc == 0xabcd);
  CHECK(node.one<Respond>().target == first.target);
  CHECK(node.one<Execute>().path == node.p1);
  const AttemptId again = node.submitted();
  node.done(kGvn, again, StatusCode::ok, 0xef01);
  CHECK(node.one<Respond>().path == node.p1);
  CHECK(node.one<Respond>().target == second.target);
  CHECK(node.one<Respond>().response.data_crc == 0xef01);
  // Done: and again for a third, and a failure carries no data.
  node.give(node.p0, first);
  node.done(kGvn, node.submitted(), StatusCode::io_error, 0x5555);
  CHECK(node.one<Respond>().response == IoResponse{IoOp::read, false, StatusCode::io_error, kGvn, Seq(1), 0});
}

TEST_CASE("W7: the session is looked at again before the backend gets the operation", "[server]") {
  OneSession node;
  node.write(node.p0, 1, 1);
  const auto execute = node.one<Execute>();
  node.close(kGvn);
  CHECK(node.session().in_flight() == 1);
  node.actions.clear();
  CHECK(!node.volume.may_submit(kGvn, execute.attempt, node.actions));
  CHECK(node.refused(Refusal::ended_before_run) == 1);
  CHECK(node.session().in_flight() == 0);
}

TEST_CASE("W7: a read to be run again for a retry isn't, once the session has ended", "[server]") {
  OneSession node;
  const IoRequest read = ServerHarness::request(node.p0, IoOp::read, 1, 1);
  node.perform(node.p0, read);
  node.give(node.p0, read);
  const auto again = node.one<Execute>();
  node.close(kGvn);
  node.actions.clear();
  CHECK(!node.volume.may_submit(kGvn, again.attempt, node.actions));
  CHECK(node.session().in_flight() == 0);
}

TEST_CASE("a bad payload is found as the session ends: it ends all the same", "[server]") {
  OneSession node;
  node.write(node.p0, 1, 1);
  const auto execute = node.one<Execute>();
  node.close(kGvn);
  node.queue_pair_destroyed(node.p0);
  node.queue_pair_destroyed(node.p1);
  // Until then it isn't acknowledged again, nor opened anew under this version.
  node.session_open(kGvn);
  CHECK(node.one<AnswerSession>().answer.status == StatusCode::stale_version);
  node.actions.clear();
  node.volume.on_bad_payload(kGvn, execute.attempt, node.actions);
  CHECK(node.none<Respond>());
  CHECK(node.one<AnswerClose>().answer.status == StatusCode::ok);
}

TEST_CASE("a path that there can't be has no requests", "[server]") {
  OneSession node;
  node.write({kGvn, PathId(kMaxPaths), PathEpoch(1)}, 1, 1);
  CHECK(node.actions.empty());
}

TEST_CASE("a payload that doesn't match is answered bad_checksum and leaves the number free", "[server]") {
  OneSession node;
  node.write(node.p0, 1, 1);
  const auto execute = node.one<Execute>();
  node.write(node.p1, 1, 1);
  node.actions.clear();
  node.volume.on_bad_payload(kGvn, execute.attempt, node.actions);
  CHECK(node.one<Respond>().path == node.p0);
  CHECK(node.one<Respond>().response.status == StatusCode::bad_checksum);
  // The attempt that waited has a payload of its own.
  CHECK(node.one<Execute>().path == node.p1);
  const AttemptId second = node.one<Execute>().attempt;
  node.actions.clear();
  node.volume.on_bad_payload(kGvn, second, node.actions);
  CHECK(node.one<Respond>().path == node.p1);
  CHECK(node.session().in_flight() == 0);
  CHECK(node.perform(node.p0, ServerHarness::request(node.p0, IoOp::write, 1, 1)).status == StatusCode::ok);
}

TEST_CASE("R1: each path is accepted with a tag of its own, and takes no frame of another", "[server]") {
  OneSession node;
  // A good frame of path 1, on path 0.
  node.give(node.p0, ServerHarness::request(node.p1, IoOp::write, 1, 1));
  CHECK(node.one<DestroyQueuePair>().path == node.p0);
  CHECK(node.refused(Refusal::wrong_path) == 1);
}

TEST_CASE("R2: an answer goes to the path that asked, or to nobody", "[server]") {
  OneSession node;
  node.give(node.p0, ServerHarness::request(node.p0, IoOp::read, 1, 1));
  const AttemptId attempt = node.submitted();
  node.path_lost(node.p0);
  CHECK(node.one<DestroyQueuePair>().path == node.p0);
  node.path_lost(node.p0);
  CHECK(node.actions.empty());
  node.done(kGvn, attempt);
  CHECK(node.none<Respond>());
  CHECK(node.session().undeliverable() == 1);
}

TEST_CASE("R2: a dead path's waiters are forgotten, and what executes for it goes on", "[server]") {
  OneSession node;
  node.write(node.p0, 1, 1);
  const AttemptId attempt = node.submitted();
  node.write(node.p1, 1, 1);
  node.path_lost(node.p1);
  CHECK(!node.session().window().first_waiter(Seq(1)));
  node.path_lost(node.p0);
  CHECK(node.session().window().executing() == 1);
  node.done(kGvn, attempt);
  CHECK(node.none<Respond>());
}

TEST_CASE("R3: a path's slots stay while an executing entry refers to them", "[server]") {
  OneSession node;
  node.write(node.p0, 1, 1);
  const AttemptId attempt = node.submitted();
  node.path_lost(node.p0);
  node.queue_pair_destroyed(node.p0);
  CHECK(node.none<ReleasePath>());
  node.done(kGvn, attempt);
  CHECK(node.one<ReleasePath>().path == node.p0);
}

TEST_CASE("R4: slots are granted again only after the old queue pair is destroyed and they are released",
          "[server]") {
  OneSession node;
  node.write(node.p0, 1, 1);
  const AttemptId attempt = node.submitted();
  node.attach(kGvn, 0, 2, 91);
  CHECK(node.one<DestroyQueuePair>().path == node.p0);
  CHECK(node.none<AcceptPath>());
  node.queue_pair_destroyed(node.p0);
  CHECK(node.actions.empty());
  node.done(kGvn, attempt);
  // In this order: the region is gone before the path is granted another.
  REQUIRE(node.actions.size() == 2);
  CHECK(std::get<ReleasePath>(node.actions[0]).path == node.p0);
  const auto accept = std::get<AcceptPath>(node.actions[1]);
  CHECK(accept.token == Token(91));
  CHECK(accept.path.epoch == PathEpoch(2));
  // The write's answer is asked for again on the new connection.
  CHECK(node.perform(accept.path, ServerHarness::request(accept.path, IoOp::write, 1, 1)).repeated);
}

TEST_CASE("a path attach needs the cookie, a path that there is, and a higher epoch", "[server]") {
  OneSession node;
  node.attach(kGvn, 2, 1, 90, Cookie(4));
  CHECK(node.one<RejectPath>().reject.status == StatusCode::no_session);
  node.attach(kGvn, 4, 1);  // this node takes four paths
  CHECK(node.one<RejectPath>().reject.status == StatusCode::limit_reached);
  node.attach(kGvn, 0, 1);
  CHECK(node.one<RejectPath>().reject.status == StatusCode::expired);
  CHECK(node.one<RejectPath>().reject.epoch == PathEpoch(1));
  CHECK(node.none<DestroyQueuePair>());
  // A waiting attach is replaced by a later one, and is itself above an earlier one.
  node.attach(kGvn, 0, 5, 95);
  node.attach(kGvn, 0, 4, 94);
  CHECK(node.one<RejectPath>().token == Token(94));
  node.attach(kGvn, 0, 6, 96);
  CHECK(node.one<RejectPath>().token == Token(95));
  node.queue_pair_destroyed(node.p0);
  CHECK(node.one<AcceptPath>().token == Token(96));
  // Epochs are used once even while the path has no connection.
  node.path_lost({kGvn, PathId(0), PathEpoch(6)});
  node.queue_pair_destroyed({kGvn, PathId(0), PathEpoch(6)});
  CHECK(node.one<ReleasePath>().path.epoch == PathEpoch(6));
  node.attach(kGvn, 0, 6);
  CHECK(node.one<RejectPath>().reject.status == StatusCode::expired);
  node.attach(kGvn, 0, 7);
  CHECK(node.one<AcceptPath>().depth == 8);
}

TEST_CASE("read-only sessions read and flush, and change nothing", "[server]") {
  ServerHarness node;
  node.establish(kGvn, AccessMode::read_only);
  const PathKey path = node.attached(kGvn, 0);
  CHECK(node.perform(path, ServerHarness::request(path, IoOp::read, 1, 1)).status == StatusCode::ok);
  CHECK(node.perform(path, ServerHarness::request(path, IoOp::flush, 2, 2)).status == StatusCode::ok);
  for (const IoOp op : {IoOp::write, IoOp::discard, IoOp::write_zeroes}) {
    CHECK(node.perform(path, ServerHarness::request(path, op, 3, 3)).status == StatusCode::read_only);
  }
  CHECK(node.volume.refusals().of(Refusal::read_only) == 3);
}

TEST_CASE("P4: in a write-back session changes are unflushed until a later flush succeeds", "[server]") {
  ServerHarness::Options options;
  options.policy = WritePolicy::write_back;
  OneSession node(options);
  const auto& session = node.session();
  const auto request = [&](IoOp op, std::uint64_t seq) {
    return ServerHarness::request(node.p0, op, seq, 1);
  };
  CHECK(!session.leaves_unflushed_writes());

  IoRequest durable_write = request(IoOp::write, 1);
  durable_write.fua = true;
  node.perform(node.p0, durable_write);
  node.perform(node.p0, request(IoOp::read, 2));
  node.perform(node.p0, request(IoOp::write, 3), StatusCode::io_error);
  CHECK(!session.leaves_unflushed_writes());

  // The flush is submitted before the write is done: it doesn't cover it.
  node.give(node.p0, request(IoOp::discard, 4));
  const AttemptId change = node.submitted();
  node.give(node.p0, request(IoOp::flush, 5));
  const AttemptId flush = node.submitted();
  node.done(kGvn, change);
  node.done(kGvn, flush);
  CHECK(session.leaves_unflushed_writes());

  node.perform(node.p0, request(IoOp::flush, 6));
  CHECK(!session.leaves_unflushed_writes());
}

TEST_CASE("P4: a flush's failure is news until the client's low shows that it has the answer", "[server]") {
  ServerHarness::Options options;
  options.policy = WritePolicy::write_back;
  OneSession node(options);
  const auto& session = node.session();
  const auto flush = [&](std::uint64_t seq, std::uint64_t low, StatusCode status) {
    return node.perform(node.p0, ServerHarness::request(node.p0, IoOp::flush, seq, low), status).status;
  };
  CHECK(flush(1, 1, StatusCode::io_error) == StatusCode::io_error);
  CHECK(session.leaves_unflushed_writes());
  // A later flush succeeds while the answer to the first is still on its way, or lost.
  CHECK(flush(2, 1, StatusCode::ok) == StatusCode::ok);
  CHECK(session.leaves_unflushed_writes());
  CHECK(flush(1, 1, StatusCode::ok) == StatusCode::io_error);
  CHECK(flush(3, 3, StatusCode::ok) == StatusCode::ok);
  CHECK(!session.leaves_unflushed_writes());
}

TEST_CASE("W6: whatever fails at the backend is answered by a status that ends the operation for good",
          "[server]") {
  OneSession node;
  const auto status_of = [&](std::uint64_t seq, StatusCode of_backend) {
    const IoRequest request = ServerHarness::request(node.p0, IoOp::write, seq, 1);
    const StatusCode status = node.perform(node.p0, request, of_backend).status;
    CHECK(node.perform(node.p0, request).status == status);
    return status;
  };
  CHECK(status_of(1, StatusCode::no_space) == StatusCode::no_space);
  CHECK(status_of(2, StatusCode::io_error) == StatusCode::io_error);
  CHECK(status_of(3, StatusCode::timed_out) == StatusCode::io_error);
  CHECK(status_of(4, StatusCode::bad_checksum) == StatusCode::io_error);
  CHECK(status_of(5, StatusCode::stale_version) == StatusCode::io_error);
}

TEST_CASE("P4: a write-through session never has unflushed writes", "[server]") {
  OneSession node;
  node.perform(node.p0, ServerHarness::request(node.p0, IoOp::write, 1, 1));
  CHECK(!node.session().leaves_unflushed_writes());
}

TEST_CASE("every refusal has a name", "[server]") {
  for (std::size_t i = 0; i < kRefusalCount; ++i)
    CHECK(to_string(static_cast<Refusal>(i)) != "unknown_refusal");
  CHECK(to_string(static_cast<Refusal>(kRefusalCount)) == "unknown_refusal");
}

}  // namespace
}  // namespace sluice::protocol
