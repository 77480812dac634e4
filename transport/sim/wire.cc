#include "transport/sim/wire.h"

#include <algorithm>

namespace sluice::transport::sim {

std::uint64_t Wire::enroll(QueuePair& queue_pair) {
  queue_pairs_.push_back(&queue_pair);
  const std::uint64_t number = queue_pairs_.size() - 1;
  core.note(TraceKind::opened, number);
  return number;
}

std::optional<Instant> Wire::send(const Path& path, std::uint64_t packet, Instant not_before,
                                  std::uint64_t from) {
  if (path.is_cut || core.strikes(FaultKind::packet_loss, from)) {
    core.note(TraceKind::packet_lost, from, packets.at(packet).message);
    packets.give_back(packet);
    return std::nullopt;
  }
  Instant arrival = topology.arrival(path);
  if (core.strikes(FaultKind::latency_spike, from))
    arrival = arrival + core.chances.up_to(core.faults.latency_spike_max);
  arrival = std::max(arrival, not_before);
  core.schedule(arrival, EventKind::packet_arrival, packet);
  return arrival;
}

}  // namespace sluice::transport::sim
