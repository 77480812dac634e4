#include <array>
#include <cstddef>
#include <cstdint>

#include <benchmark/benchmark.h>

#include "protocol/base/crc32c.h"
#include "protocol/io_frame.h"
#include "protocol/volume_sessions.h"

// What the protocol itself costs for one request, without transport and backend. Run with
// --benchmark_repetitions=9 and read the median.
namespace sluice::protocol {
namespace {

constexpr VolumeId kVolume{11};
constexpr Gvn kGvn{1};
constexpr Cookie kCookie{77};
constexpr std::uint32_t kWindow = 1024;

IoRequest write_request(std::uint64_t seq, std::uint64_t low) {
  IoRequest request;
  request.op = IoOp::write;
  request.placement = DataPlacement::slot;
  request.slot = SlotIndex(static_cast<std::uint16_t>(seq % 64));
  request.gvn = kGvn;
  request.seq = Seq(seq);
  request.low = Seq(low);
  request.offset = ByteCount((seq % 4096) * 4096);
  request.length = 4096;
  request.data_crc = static_cast<std::uint32_t>(seq);
  request.path_tag = make_path_tag(kVolume, kGvn, kCookie, PathId(0), PathEpoch(1));
  return request;
}

ServerSession make_session() {
  ServerSessionConfig config;
  config.volume = kVolume;
  config.gvn = kGvn;
  config.era = kGvn;
  config.cookie = kCookie;
  config.size = ByteCount(std::uint64_t{1} << 40U);
  config.block_size = 4096;
  config.window_size = kWindow;
  return ServerSession(config);
}

void crc_of_a_header(benchmark::State& state) {
  const std::array<std::byte, kIoRequestSize> frame{};
  while (state.KeepRunning())
    benchmark::DoNotOptimize(crc32c(frame));
}
BENCHMARK(crc_of_a_header);

void encode_request(benchmark::State& state) {
  std::array<std::byte, kIoRequestSize> frame{};
  IoRequest request = write_request(1, 1);
  while (state.KeepRunning()) {
    request.seq = Seq(request.seq.value() + 1);
    request.low = request.seq;
    encode(request, frame);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(encode_request);

void encode_response(benchmark::State& state) {
  std::array<std::byte, kIoResponseSize> frame{};
  IoResponse response{IoOp::write, false, StatusCode::ok, kGvn, Seq(1), 0};
  while (state.KeepRunning()) {
    response.seq = Seq(response.seq.value() + 1);
    encode(response, frame);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(encode_response);

void decode_a_request(benchmark::State& state) {
  std::array<std::byte, kIoRequestSize> frame{};
  encode(write_request(1, 1), frame);
  while (state.KeepRunning()) {
    benchmark::ClobberMemory();
    benchmark::DoNotOptimize(decode_request(frame));
  }
}
BENCHMARK(decode_a_request);

/// Encodes `frames.size()` requests with numbers from `first`, none of them answered before the first of
/// them.
template <std::size_t Count>
void encode_batch(std::array<std::array<std::byte, kIoRequestSize>, Count>& frames, std::uint64_t first) {
  for (std::size_t i = 0; i < Count; ++i)
    encode(write_request(first + i, first), frames[i]);
}

/// Admission of fresh requests alone: decode, W1 to W7, claim. In batches of as many as a path has in flight,
/// which are completed, and the next encoded, outside the measured time; the whole window is in use in turn.
void admit_fresh_request(benchmark::State& state) {
  constexpr std::size_t kBatch = 256;
  ServerSession session = make_session();
  static ServerActions actions;
  actions.clear();
  session.on_path_attach(Token(1), {PathId(0), kBatch, PathEpoch(1), kGvn, kVolume, kCookie}, kGvn, actions);
  const PathKey path{kGvn, PathId(0), PathEpoch(1)};
  static std::array<std::array<std::byte, kIoRequestSize>, kBatch> frames;
  static std::array<AttemptId, kBatch> attempts;
  std::uint64_t first = 1;
  while (state.KeepRunningBatch(kBatch)) {
    state.PauseTiming();
    encode_batch(frames, first);
    state.ResumeTiming();
    for (std::size_t i = 0; i < kBatch; ++i) {
      actions.clear();
      session.on_request(path, frames[i], kGvn, actions);
      attempts[i] = std::get<Execute>(actions[0]).attempt;
    }
    state.PauseTiming();
    for (const AttemptId attempt : attempts) {
      actions.clear();
      if (!session.may_submit(attempt, actions)) state.SkipWithError("the session ended");
      session.on_io_done(attempt, {}, actions);
    }
    first += kBatch;
    state.ResumeTiming();
  }
}
BENCHMARK(admit_fresh_request);

/// The node's whole share of a write: admission, the check before it is submitted, completion, response.
void serve_a_write(benchmark::State& state) {
  ServerSession session = make_session();
  static ServerActions actions;
  actions.clear();
  session.on_path_attach(Token(1), {PathId(0), 256, PathEpoch(1), kGvn, kVolume, kCookie}, kGvn, actions);
  const PathKey path{kGvn, PathId(0), PathEpoch(1)};
  std::array<std::byte, kIoRequestSize> frame{};
  std::array<std::byte, kIoResponseSize> answer{};
  std::uint64_t seq = 0;
  while (state.KeepRunning()) {
    ++seq;
    encode(write_request(seq, seq), frame);
    actions.clear();
    session.on_request(path, frame, kGvn, actions);
    const AttemptId attempt = std::get<Execute>(actions[0]).attempt;
    actions.clear();
    if (!session.may_submit(attempt, actions)) state.SkipWithError("the session ended");
    session.on_io_done(attempt, {}, actions);
    encode(std::get<Respond>(actions[0]).response, answer);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(serve_a_write);

}  // namespace
}  // namespace sluice::protocol
