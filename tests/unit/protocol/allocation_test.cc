#include <array>
#include <atomic>
#include <cstdlib>
#include <new>

#include <catch2/catch.hpp>

#include "protocol/io_frame.h"
#include "protocol/sequence_window.h"
#include "tests/unit/protocol/client_harness.h"
#include "tests/unit/protocol/server_harness.h"

// Counts every allocation of this program, to show that the data path makes none.
namespace {

std::atomic<std::size_t> allocations{0};

void* counted(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}

}  // namespace

void* operator new(std::size_t size) {
  return counted(size);
}
void* operator new[](std::size_t size) {
  return counted(size);
}
void* operator new(std::size_t size, const std::nothrow_t& /*tag*/) noexcept {
  ++allocations;
  return std::malloc(size == 0 ? 1 : size);
}
void* operator new[](std::size_t size, const std::nothrow_t& tag) noexcept {
  return operator new(size, tag);
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete[](void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t /*size*/) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t /*size*/) noexcept {
  std::free(memory);
}

namespace sluice::protocol {
namespace {

using test::gvn_of;
using test::ServerHarness;

/// Allocations made since construction.
class Counter {
 public:
  [[nodiscard]] std::size_t made() const { return allocations - before_; }

 private:
  std::size_t before_ = allocations;
};

TEST_CASE("the counter counts", "[allocation]") {
  const Counter counter;
  const auto memory = std::make_unique<int>(1);
  CHECK(counter.made() == 1);
}

TEST_CASE("admission, completion, repeats, refusals and path deaths allocate nothing", "[allocation]") {
  ServerHarness node;
  node.establish(gvn_of(1));
  const PathKey first = node.attached(gvn_of(1), 0);
  const PathKey second = node.attached(gvn_of(1), 1);
  std::array<std::byte, kIoRequestSize> frame{};
  ServerActions& actions = node.actions;

  bool as_expected = true;
  const auto execute = [&](const ServerAction& action) {
    const AttemptId attempt = std::get<Execute>(action).attempt;
    as_expected = as_expected && node.volume.may_submit(gvn_of(1), attempt, actions);
    actions.clear();
    node.volume.on_io_done(gvn_of(1), attempt, {StatusCode::ok, 0}, actions);
  };
  const Counter counter;
  for (std::uint64_t seq = 1; seq <= 3000; ++seq) {
    const IoOp op = seq % 3 == 0 ? IoOp::read : IoOp::write;
    encode(ServerHarness::request(first, op, seq, seq), frame);
    actions.clear();
    node.volume.on_request(first, frame, actions);
    const ServerAction admitted = actions[0];
    encode(ServerHarness::request(second, op, seq, seq), frame);
    node.volume.on_request(second, frame, actions);  // waits
    execute(admitted);
    if (op == IoOp::read) execute(actions[1]);  // the one that waited
    actions.clear();
    node.volume.on_request(second, frame, actions);  // again, after the answer
    if (op == IoOp::read) execute(actions[0]);
  }
  frame[30] ^= std::byte{1};
  actions.clear();
  node.volume.on_request(second, frame, actions);  // refused, and the path killed
  as_expected = as_expected && std::holds_alternative<DestroyQueuePair>(actions[0]);
  const std::size_t made = counter.made();
  CHECK(as_expected);
  CHECK(made == 0);
}

TEST_CASE("submission, waiting, completion and a lost path allocate nothing at the client", "[allocation]") {
  test::ClientHarness client;
  client.establish(gvn_of(1));
  ClientSession& session = client.session;
  const Instant now = client.now;
  std::array<PostIo, 2> sent;
  bool as_expected = true;
  const auto submit = [&](std::uint64_t tag, std::uint64_t block) {
    IoSubmission io;
    io.tag = tag;
    io.op = IoOp::write;
    io.offset = ByteCount(block * test::ClientHarness::kBlock);
    io.length = test::ClientHarness::kBlock;
    as_expected = as_expected && session.submit(io, now) == StatusCode::ok;
  };
  /// What the last event sent.
  const auto take_post = [&] {
    PostIo found;
    for (const ClientAction& action : session.actions()) {
      if (const auto* post = std::get_if<PostIo>(&action)) found = *post;
    }
    session.clear_actions();
    return found;
  };
  const auto answer = [&](const PostIo& post) {
    session.on_response(post.path, post.epoch,
                        {post.request.op, false, StatusCode::ok, post.request.gvn, post.request.seq, 0}, now);
  };
  const Counter counter;
  for (std::uint64_t round = 1; round <= 3000; ++round) {
    submit(2 * round, round % 512);
    sent[0] = take_post();
    submit(2 * round + 1, round % 512);  // C1: waits
    as_expected = as_expected && session.actions().empty();
    answer(sent[0]);
    sent[1] = take_post();
    as_expected = as_expected && sent[1].tag == 2 * round + 1;
    answer(sent[1]);
    session.clear_actions();
  }
  submit(1, 0);
  const PostIo last = take_post();
  session.on_path_failed(last.path, last.epoch, now);
  const PostIo retry = take_post();
  as_expected = as_expected && retry.tag == 1 && retry.path != last.path;
  const std::size_t made = counter.made();
  CHECK(as_expected);
  CHECK(made == 0);
}

TEST_CASE("encoding and decoding IO frames allocate nothing, good or bad", "[allocation]") {
  std::array<std::byte, kIoRequestSize> frame{};
  std::array<std::byte, kIoResponseSize> answer{};
  const PathKey path{gvn_of(1), PathId(0), PathEpoch(1)};
  const Counter counter;
  bool as_expected = true;
  encode(ServerHarness::request(path, IoOp::write, 1, 1), frame);
  as_expected = as_expected && decode_request(frame).has_value();
  frame[1] = std::byte{9};
  as_expected = as_expected && !decode_request(frame).has_value();
  encode(IoResponse{IoOp::write, false, StatusCode::ok, gvn_of(1), Seq(1), 0}, answer);
  as_expected = as_expected && decode_response(answer).has_value();
  answer[5] ^= std::byte{1};
  as_expected = as_expected && !decode_response(answer).has_value();
  const std::size_t made = counter.made();
  CHECK(as_expected);
  CHECK(made == 0);
}

}  // namespace
}  // namespace sluice::protocol
