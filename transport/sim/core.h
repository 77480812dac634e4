#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "protocol/base/clock.h"
#include "transport/sim/faults.h"
#include "transport/sim/random.h"
#include "transport/sim/trace.h"

namespace sluice::transport::sim {

/// How the simulated fabric behaves when nothing is wrong with it.
struct NetworkConfig {
  /// One way, of every path that Network::set_path doesn't say otherwise of: `latency` plus up to `jitter`.
  Duration latency = std::chrono::microseconds(3);
  Duration jitter = std::chrono::microseconds(2);
  /// Bytes of a packet: a message is executed in pieces of this size.
  std::uint32_t mtu_bytes = 4096;
  std::uint32_t bytes_per_us = 3000;  ///< a queue pair's; 24 Gbit/s
  /// From the doorbell to the first packet, up to.
  Duration post_delay = std::chrono::nanoseconds(500);
  /// From the acknowledgement (or arrival) to the completion queue entry, up to.
  Duration completion_delay = std::chrono::nanoseconds(500);
  /// From the error state to the first flushed completion, up to. Until the last one is there the device may
  /// still execute what it is sent: only the flush proves that it won't.
  Duration flush_delay = std::chrono::microseconds(2);
  /// What the kernels add to a connection manager's message: with less it would overtake the acknowledgements
  /// that the device sent before, which takes a fault.
  Duration cm_delay = std::chrono::microseconds(20);
  /// The connection manager repeats an unanswered message after this time, so many times. (Linux: 4.3 s, 15.)
  Duration cm_timeout = std::chrono::seconds(1);
  unsigned cm_retries = 15;
  std::uint32_t max_message_bytes = 8U * 1024 * 1024;
  std::uint32_t max_queue_depth = 16384;
  std::uint32_t max_inline_bytes = 256;
  /// The CRC of every packet's payload is part of the trace hash.
  bool trace_payloads = true;
};

enum class EventKind : std::uint8_t {
  packet_arrival,   ///< target: packet
  message_arrival,  ///< target: connection manager message
  transmit,         ///< target: queue pair, here and below
  read_response,
  acknowledge_timer,
  receiver_not_ready_timer,
  send_completions,
  receive_completions,
  queue_pair_fault,
  late_arrivals,
  deadline,
  message_timer,  ///< target: connection
  call,           ///< target: callback
};

struct Event {
  Instant when;
  std::uint64_t order = 0;
  std::uint64_t target = 0;
  EventKind kind = EventKind::call;
};

/// What every part of the simulated fabric works with: virtual time, the events to come, chance, the trace
/// and the faults. Latencies and faults draw from two streams, so that switching a fault on or off leaves
/// the latencies before it as they were.
class Core final : public Clock {
 public:
  Core(std::uint64_t seed, const NetworkConfig& network_config);

  [[nodiscard]] Instant now() const noexcept override { return now_; }

  /// Events of one instant happen in the order in which they were scheduled. The past is now.
  void schedule(Instant when, EventKind kind, std::uint64_t target);
  void schedule_after(Duration delay, EventKind kind, std::uint64_t target) {
    schedule(now_ + delay, kind, target);
  }
  [[nodiscard]] std::optional<Instant> next_event_time() const noexcept;
  /// Takes the next event and moves the clock to it; there must be one.
  Event take_event();
  /// Nothing may be scheduled before `when`.
  void advance_to(Instant when) noexcept;

  /// An opportunity for a random fault. True: it happens, and was counted. `struck`: for the trace.
  bool strikes(FaultKind kind, std::uint64_t struck);
  /// Counts a fault that a call made.
  void count_fault(FaultKind kind, std::uint64_t struck);
  void note(TraceKind kind, std::uint64_t a, std::uint64_t b = 0, std::uint64_t c = 0) {
    trace.note({now_, kind, {a, b, c}});
  }

  const NetworkConfig config;
  Random latencies;
  Random chances;
  Faults faults;
  Trace trace;

 private:
  Instant now_{};
  std::uint64_t next_order_ = 0;
  std::vector<Event> heap_;
};

}  // namespace sluice::transport::sim
