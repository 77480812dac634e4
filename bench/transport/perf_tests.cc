#include "bench/transport/perf_tests.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <string>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#include "protocol/base/crc32c.h"

namespace sluice::bench {

namespace {

using SteadyTime = std::chrono::steady_clock;

double microseconds_between(SteadyTime::time_point start, SteadyTime::time_point end) {
  return std::chrono::duration<double, std::micro>(end - start).count();
}

/// Times a loop as perftest does: one reading of the processor's counter a turn, since a clock call can cost
/// as much as what is measured (under emulation it is a system call).
class TurnTimer {
 public:
  explicit TurnTimer(std::uint32_t turns) : start_(SteadyTime::now()) {
    ticks_.reserve(std::size_t{turns} + 1);
    ticks_.push_back(read_counter());
  }
  void end_turn() noexcept { ticks_.push_back(read_counter()); }

  /// Half of each turn, in microseconds, unsorted.
  [[nodiscard]] std::vector<double> one_way_us() const {
    const double total_us = microseconds_between(start_, SteadyTime::now());
    const double us_per_tick = total_us / static_cast<double>(read_counter() - ticks_.front());
    std::vector<double> samples;
    samples.reserve(ticks_.size());
    for (std::size_t i = 1; i < ticks_.size(); ++i) {
      samples.push_back(static_cast<double>(ticks_[i] - ticks_[i - 1]) * us_per_tick / 2);
    }
    return samples;
  }

 private:
  static std::uint64_t read_counter() noexcept {
#if defined(__x86_64__)
    return __rdtsc();
#else
    return static_cast<std::uint64_t>(SteadyTime::now().time_since_epoch().count());
#endif
  }

  SteadyTime::time_point start_;
  std::vector<std::uint64_t> ticks_;
};

// ---- SEND latency
// ---------------------------------------------------------------------------------------------

Status send_latency_client(PerfLink& link, PerfResult& result) {
  const PerfPlan& plan = link.plan();
  TurnTimer timer(plan.iterations);
  for (std::uint32_t i = 0; i < plan.iterations; ++i) {
    if (Status status = link.send(plan.size_bytes); !status) return status;
    if (Status status = link.wait_for_receives(std::uint64_t{i} + 1); !status) return status;
    timer.end_turn();
  }
  result.one_way_us = timer.one_way_us();
  return {};
}

Status send_latency_server(PerfLink& link) {
  const PerfPlan& plan = link.plan();
  for (std::uint32_t i = 0; i < plan.iterations; ++i) {
    if (Status status = link.wait_for_receives(std::uint64_t{i} + 1); !status) return status;
    if (Status status = link.send(plan.size_bytes); !status) return status;
  }
  return {};
}

// ---- WRITE latency
// --------------------------------------------------------------------------------------------

/// Watches the last byte of the incoming data, as ib_write_lat does. The product never acts on polled memory;
/// here it is the measured operation, alike on both sides of the comparison.
Status wait_for_stamp(PerfLink& link, std::uint8_t stamp) {
  const volatile std::byte* last = &link.incoming()[link.plan().size_bytes - 1];
  constexpr unsigned kLooksPerPoll = 512;
  for (unsigned looks = 1; *last != std::byte{stamp}; ++looks) {
    // ofi makes progress only when it is polled, and a lost connection must end the wait.
    if (looks % kLooksPerPoll == 0) {
      if (Status status = link.poll(); !status) return status;
    }
  }
  return {};
}

std::uint8_t stamp_of(std::uint32_t iteration) {
  return static_cast<std::uint8_t>(iteration % 255 + 1);
}

Status write_stamped(PerfLink& link, std::uint32_t iteration) {
  const std::uint32_t size = link.plan().size_bytes;
  link.outgoing()[size - 1] = std::byte{stamp_of(iteration)};
  if (Status status = link.write(size, true); !status) return status;
  return {};
}

Status write_latency(PerfLink& link, PerfResult* result) {
  const bool is_client = result != nullptr;
  TurnTimer timer(link.plan().iterations);
  for (std::uint32_t i = 0; i < link.plan().iterations; ++i) {
    if (is_client) {
      if (Status status = write_stamped(link, i); !status) return status;
    }
    if (Status status = wait_for_stamp(link, stamp_of(i)); !status) return status;
    if (!is_client) {
      if (Status status = write_stamped(link, i); !status) return status;
    }
    // The source may change only when the device has let go of it.
    while (link.completed() < std::uint64_t{i} + 1) {
      if (Status status = link.poll(); !status) return status;
    }
    timer.end_turn();
  }
  if (is_client) result->one_way_us = timer.one_way_us();
  return {};
}

// ---- WRITE bandwidth
// ------------------------------------------------------------------------------------------

Status write_bandwidth_client(PerfLink& link, PerfResult& result) {
  const PerfPlan& plan = link.plan();
  const auto start = SteadyTime::now();
  for (std::uint32_t i = 0; i < plan.iterations; ++i) {
    while (link.send_room() == 0) {
      if (Status status = link.poll(); !status) return status;
    }
    if (Status status = link.write(plan.size_bytes, i + 1 == plan.iterations); !status) return status;
  }
  if (Status status = link.wait_for_sends(); !status) return status;
  const double seconds = microseconds_between(start, SteadyTime::now()) / 1e6;
  result.mib_per_s = static_cast<double>(plan.size_bytes) * plan.iterations / seconds / (1U << 20U);
  return {};
}

// ---- Transfer
// -------------------------------------------------------------------------------------------------

void fill_pattern(std::span<std::byte> data, std::uint32_t iteration) {
  std::uint32_t word = iteration * 2654435761U + 1;
  for (std::byte& byte : data) {
    word = word * 1664525U + 1013904223U;
    byte = static_cast<std::byte>(word >> 24U);
  }
}

std::uint32_t pattern_crc(std::uint32_t size, std::uint32_t iteration, std::vector<std::byte>& scratch) {
  scratch.resize(size);
  fill_pattern(scratch, iteration);
  return crc32c(scratch);
}

Status transfer_client(PerfLink& link, PerfResult& result) {
  const PerfPlan& plan = link.plan();
  for (std::uint32_t i = 0; i < plan.iterations; ++i) {
    fill_pattern(link.outgoing().first(plan.size_bytes), i);
    const auto start = SteadyTime::now();
    if (Status status = link.write_then_send(plan.size_bytes, 8); !status) return status;
    if (Status status = link.wait_for_receives(std::uint64_t{i} + 1); !status) return status;
    result.one_way_us.push_back(microseconds_between(start, SteadyTime::now()) / 2);
    if (Status status = link.wait_for_sends(); !status) return status;
  }
  return {};
}

Status transfer_server(PerfLink& link) {
  const PerfPlan& plan = link.plan();
  std::vector<std::byte> scratch;
  for (std::uint32_t i = 0; i < plan.iterations; ++i) {
    if (Status status = link.wait_for_receives(std::uint64_t{i} + 1); !status) return status;
    if (crc32c(link.incoming().first(plan.size_bytes)) != pattern_crc(plan.size_bytes, i, scratch)) {
      return fail(StatusCode::bad_checksum,
                  "transfer " + std::to_string(i) +
                      ": the data in memory when the SEND arrived isn't what was written");
    }
    if (Status status = link.send(8); !status) return status;
  }
  return {};
}

}  // namespace

Result<PerfResult> run_client(PerfLink& link) {
  PerfResult result;
  result.one_way_us.reserve(link.plan().iterations);
  const Status status = [&]() -> Status {
    switch (link.plan().test) {
      case PerfTest::send_latency:
        return send_latency_client(link, result);
      case PerfTest::write_latency:
        return write_latency(link, &result);
      case PerfTest::write_bandwidth:
        return write_bandwidth_client(link, result);
      case PerfTest::transfer:
        return transfer_client(link, result);
    }
    return fail(StatusCode::unsupported);
  }();
  if (!status) return tl::unexpected(status.error());
  std::ranges::sort(result.one_way_us);
  return result;
}

Status run_server(PerfLink& link) {
  Status status = [&]() -> Status {
    switch (link.plan().test) {
      case PerfTest::send_latency:
        return send_latency_server(link);
      case PerfTest::write_latency:
        return write_latency(link, nullptr);
      case PerfTest::transfer:
        return transfer_server(link);
      case PerfTest::write_bandwidth:
        return {};  // the device does it all
    }
    return fail(StatusCode::unsupported);
  }();
  if (!status) return status;
  // The client closes first: whatever of ours is still under way gets there.
  while (link.poll()) {
  }
  return {};
}

}  // namespace sluice::bench
