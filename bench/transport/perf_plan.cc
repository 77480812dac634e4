#include "bench/transport/perf_plan.h"

#include <array>
#include <cstring>
#include <string>

namespace sluice::bench {

namespace {

// Both ends are one program on one kind of machine, so the plan travels as it lies in memory.
struct WirePlan {
  std::uint64_t key;
  std::uint64_t address;
  std::uint32_t size_bytes;
  std::uint32_t iterations;
  std::uint8_t test;
  std::array<std::uint8_t, 7> padding;
};
static_assert(sizeof(WirePlan) <= transport::kMaxConnectData);

constexpr std::array kTests{PerfTest::send_latency, PerfTest::write_latency, PerfTest::write_bandwidth,
                            PerfTest::transfer};

}  // namespace

std::string_view to_string(PerfTest test) noexcept {
  switch (test) {
    case PerfTest::send_latency:
      return "send_lat";
    case PerfTest::write_latency:
      return "write_lat";
    case PerfTest::write_bandwidth:
      return "write_bw";
    case PerfTest::transfer:
      return "transfer";
  }
  return "unknown";
}

Result<PerfTest> parse_perf_test(std::string_view name) {
  for (const PerfTest test : kTests) {
    if (name == to_string(test)) return test;
  }
  return fail(StatusCode::invalid_argument, "unknown test \"" + std::string(name) +
                                                "\": expected send_lat, write_lat, write_bw or transfer");
}

std::vector<std::byte> encode(const PerfPlan& plan) {
  WirePlan wire{};
  wire.key = plan.target.key;
  wire.address = plan.target.address;
  wire.size_bytes = plan.size_bytes;
  wire.iterations = plan.iterations;
  wire.test = static_cast<std::uint8_t>(plan.test);
  std::vector<std::byte> bytes(sizeof(wire));
  std::memcpy(bytes.data(), &wire, sizeof(wire));
  return bytes;
}

Result<PerfPlan> decode_plan(std::span<const std::byte> bytes) {
  WirePlan wire{};
  if (bytes.size() != sizeof(wire))
    return fail(StatusCode::malformed, "the client's plan has the wrong length");
  std::memcpy(&wire, bytes.data(), sizeof(wire));
  PerfPlan plan;
  plan.test = static_cast<PerfTest>(wire.test);
  plan.size_bytes = wire.size_bytes;
  plan.iterations = wire.iterations;
  plan.target = {wire.key, wire.address};
  const bool is_sane = wire.test < std::size(kTests) && plan.size_bytes >= 1 &&
                       plan.size_bytes <= kMaxPerfBytes && plan.iterations >= 1;
  if (!is_sane) return fail(StatusCode::malformed, "the client's plan has values out of range");
  return plan;
}

}  // namespace sluice::bench
