#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "protocol/base/status.h"
#include "transport/provider.h"

namespace sluice::bench {

/// What is measured between two processes.
enum class PerfTest : std::uint8_t {
  send_latency,     ///< SEND there, SEND back; as ib_send_lat
  write_latency,    ///< WRITE there, WRITE back, each side watching its memory; as ib_write_lat
  write_bandwidth,  ///< WRITEs, as many in flight as the queue holds; as ib_write_bw
  transfer,         ///< WRITE + SEND there, checked byte for byte, SEND back: a write's exchange
};
Result<PerfTest> parse_perf_test(std::string_view name);
std::string_view to_string(PerfTest test) noexcept;

inline constexpr std::uint32_t kMaxPerfBytes = 8U << 20U;
inline constexpr std::uint32_t kPerfDepth = 128;  ///< as perftest's default

/// The client's choice, sent with its connection request, together with the memory that the server may write
/// to.
struct PerfPlan {
  PerfTest test = PerfTest::send_latency;
  std::uint32_t size_bytes = 64;
  std::uint32_t iterations = 1000;
  transport::RemoteBuffer target;
};

std::vector<std::byte> encode(const PerfPlan& plan);
/// Errors: malformed.
Result<PerfPlan> decode_plan(std::span<const std::byte> bytes);

}  // namespace sluice::bench
