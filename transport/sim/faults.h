#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "protocol/base/clock.h"

namespace sluice::transport::sim {

/// What can go wrong. Those of the first group happen at random, at a rate, or at their next opportunity
/// (Faults); those of the second by a call to the Network; the last by itself.
enum class FaultKind : std::uint8_t {
  queue_pair_error,      ///< soon after a post: a prefix is executed, of which a prefix is acknowledged
  partial_post,          ///< the device takes only a part of a chain (ibv_post_send's bad_wr)
  partial_receive_post,  ///< the same with receives
  receiver_not_ready,    ///< the receiver answers a SEND as if it had no receive posted
  retry_exhaustion,      ///< from this post on no acknowledgement reaches the sender: executed, but flushed
  packet_loss,           ///< of data or acknowledgement: costs a retransmission
  latency_spike,         ///< a packet, and so its queue pair's later ones, comes up to latency_spike_max late
  completion_delay,      ///< a completion shows up to completion_delay_max late
  stuck_drain,           ///< the device doesn't flush: the drain timeout has to
  connect_refused,       ///< as if nobody listened
  connect_lost,          ///< a connection request, however often repeated
  connect_stale,         ///< the peer still holds a connection of ours from before a restart
  connect_cut,           ///< established, and dead at once
  ready_to_use_lost,     ///< the third message of a connect, however often repeated
  registration_failure,  ///< out of lockable memory

  device_removal,
  host_crash,
  host_restart,
  provider_kill,
  provider_pause,
  provider_resume,
  partition,
  heal,
  path_stall,

  late_write,  ///< a device writes to memory for a queue pair that is in the error state, and not yet flushed
};
inline constexpr std::size_t kFaultKinds = static_cast<std::size_t>(FaultKind::late_write) + 1;
inline constexpr std::size_t kRandomFaultKinds = static_cast<std::size_t>(FaultKind::device_removal);
std::string_view to_string(FaultKind kind) noexcept;

/// The switches of the random faults, all off at first, and the count of what happened.
class Faults {
 public:
  /// Parts per million of the kind's opportunities (posts, packets, connects, ...). Only the first group.
  void set_rate(FaultKind kind, std::uint32_t ppm) noexcept;
  /// The kind's next `times` opportunities are taken. Only the first group.
  void strike_next(FaultKind kind, std::uint32_t times = 1) noexcept;
  /// All rates to 0, and what was still to strike forgotten.
  void calm() noexcept;

  /// How often this kind has happened: a coverage mark.
  [[nodiscard]] std::uint64_t count(FaultKind kind) const noexcept { return counts_[index(kind)]; }

  Duration latency_spike_max = std::chrono::seconds(40);
  Duration completion_delay_max = std::chrono::milliseconds(50);
  /// queue_pair_error and connect_cut strike within this time of their cause.
  Duration error_delay_max = std::chrono::microseconds(30);

 private:
  friend class Core;
  static std::size_t index(FaultKind kind) noexcept { return static_cast<std::size_t>(kind); }

  std::array<std::uint32_t, kRandomFaultKinds> rates_ppm_{};
  std::array<std::uint32_t, kRandomFaultKinds> next_strikes_{};
  std::array<std::uint64_t, kFaultKinds> counts_{};
};

}  // namespace sluice::transport::sim
