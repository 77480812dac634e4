// What submitting an operation costs a client: C1 against 256 outstanding operations, the window, the choice
// of a path, the request. And that none of it allocates. Run with --benchmark_repetitions=9 and read the
// median.

#include <cstdint>
#include <cstdlib>
#include <new>
#include <vector>

#include <benchmark/benchmark.h>

#include "protocol/client_session.h"

namespace {

std::uint64_t g_allocations = 0;  // one thread

}  // namespace

// The program's allocator counts. Malloc and free are hidden from the compiler, which would otherwise object
// to their pairing with new and delete where it inlines one of the two.
[[gnu::noinline]] void* operator new(std::size_t size) {
  ++g_allocations;
  if (void* memory = std::malloc(size)) return memory;  // NOLINT(cppcoreguidelines-no-malloc)
  std::abort();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);  // NOLINT(cppcoreguidelines-no-malloc)
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t /*size*/) noexcept {
  std::free(memory);  // NOLINT(cppcoreguidelines-no-malloc)
}

namespace sluice::protocol {
namespace {

constexpr std::uint32_t kBlock = 4096;
constexpr std::uint32_t kBlocks = 1U << 20U;
constexpr std::uint32_t kOutstanding = 256;
constexpr std::uint32_t kBatch = 32;
constexpr VolumeId kVolume{1};
constexpr Gvn kGvn{make_gvn(ManagerVersion(1), OpenVersion(1))};

ClientConfig make_config() {
  ClientConfig config;
  config.client = *ClientId::from("bench");
  config.volume = *VolumeName::from("bench");
  config.max_outstanding = kOutstanding + kBatch;
  config.max_data_length = kBlock;
  return config;
}

/// A session with two paths up.
void establish(ClientSession& session, Instant now) {
  session.open(Nonce(1), now);
  session.clear_actions();
  OpenAnswer opened;
  opened.volume = kVolume;
  opened.gvn = kGvn;
  opened.size = ByteCount(std::uint64_t{kBlocks} * kBlock);
  opened.block_size = kBlock;
  opened.node = NodeId(1);
  opened.addresses.push_back(*NodeAddress::from("a:1"));
  opened.addresses.push_back(*NodeAddress::from("b:1"));
  session.on_open_answer(RequestId(1), opened, now);
  session.clear_actions();
  SessionAnswer joined;
  joined.volume = kVolume;
  joined.gvn = kGvn;
  joined.fence = kGvn;
  joined.boot = BootId(1);
  joined.cookie = Cookie(1);
  joined.window = kDefaultWindowSize;
  joined.max_paths = 2;
  session.on_session_answer(RequestId(2), joined, now);
  session.clear_actions();
  for (const PathId path : {PathId(0), PathId(1)}) {
    PathAccept grant;
    grant.path = path;
    grant.epoch = PathEpoch(1);
    grant.gvn = kGvn;
    grant.depth = kOutstanding;
    grant.in_capsule_limit = kMaxInCapsuleData;
    session.on_path_accepted(grant, now);
    session.clear_actions();
  }
}

/// Scattered over the volume, and no two of any 2^20 in a row on one block: the odd factor permutes them.
ByteCount offset_of(std::uint64_t index) {
  return ByteCount(index * 2'654'435'761U % kBlocks * kBlock);
}

/// Writes, with at least 256 others outstanding. A batch is submitted at a time, because stopping the clock
/// costs more than what is measured; the oldest are answered outside the measured time.
void client_submit(benchmark::State& state) {
  ClientSession session(make_config());
  const Instant now{1'000'000'000};
  establish(session, now);
  std::vector<PostIo> ring(kOutstanding + kBatch);
  std::uint64_t submitted = 0;
  const auto submit = [&] {
    IoSubmission io;
    io.op = IoOp::write;
    io.tag = submitted;
    io.offset = offset_of(submitted);
    io.length = kBlock;
    const StatusCode status = session.submit(io, now);
    const auto* post = std::get_if<PostIo>(&session.actions().front());
    ring[submitted++ % ring.size()] = *post;
    session.clear_actions();
    return status;
  };
  while (submitted < kOutstanding)
    static_cast<void>(submit());
  const std::uint64_t before = g_allocations;
  while (state.KeepRunningBatch(kBatch)) {
    for (std::uint32_t i = 0; i < kBatch; ++i)
      benchmark::DoNotOptimize(submit());
    state.PauseTiming();
    for (std::uint64_t i = submitted - kOutstanding - kBatch; i < submitted - kOutstanding; ++i) {
      const PostIo& oldest = ring[i % ring.size()];
      session.on_response(
          oldest.path, oldest.epoch,
          {oldest.request.op, false, StatusCode::ok, oldest.request.gvn, oldest.request.seq, 0}, now);
      session.clear_actions();
    }
    state.ResumeTiming();
  }
  state.counters["allocations"] = static_cast<double>(g_allocations - before);
}

/// Submission, answer and completion of one write, with 256 others outstanding.
void client_submit_and_complete(benchmark::State& state) {
  ClientSession session(make_config());
  Instant now{1'000'000'000};
  establish(session, now);
  std::vector<PostIo> ring(kOutstanding);
  const auto submit = [&](std::uint64_t index) {
    IoSubmission io;
    io.op = IoOp::write;
    io.tag = index;
    io.offset = offset_of(index);
    io.length = kBlock;
    const StatusCode status = session.submit(io, now);
    for (const ClientAction& action : session.actions()) {
      if (const auto* post = std::get_if<PostIo>(&action)) ring[index % kOutstanding] = *post;
    }
    session.clear_actions();
    return status;
  };
  std::uint64_t submitted = 0;
  for (; submitted < kOutstanding; ++submitted) {
    if (submit(submitted) != StatusCode::ok) return state.SkipWithError("the session takes no operation");
  }
  const std::uint64_t before = g_allocations;
  for ([[maybe_unused]] auto _ : state) {
    const PostIo oldest = ring[submitted % kOutstanding];
    if (submit(submitted++) != StatusCode::ok) state.SkipWithError("the session takes no operation");
    session.on_response(oldest.path, oldest.epoch,
                        {oldest.request.op, false, StatusCode::ok, oldest.request.gvn, oldest.request.seq, 0},
                        now);
    session.clear_actions();
  }
  state.counters["allocations"] = static_cast<double>(g_allocations - before);
}

BENCHMARK(client_submit);
BENCHMARK(client_submit_and_complete);

}  // namespace
}  // namespace sluice::protocol

BENCHMARK_MAIN();
