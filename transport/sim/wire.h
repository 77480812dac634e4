#pragma once

#include <cstdint>
#include <vector>

#include "transport/sim/core.h"
#include "transport/sim/memory_table.h"
#include "transport/sim/observers.h"
#include "transport/sim/packet.h"
#include "transport/sim/topology.h"

namespace sluice::transport::sim {

class QueuePair;

/// What the queue pairs of all devices share: the packets between them, the memory that they may touch, and
/// who is who.
class Wire {
 public:
  Wire(Core& the_core, Topology& the_topology) : core(the_core), topology(the_topology), memory(the_core) {}

  /// Gives a queue pair its number; numbers are never used twice.
  std::uint64_t enroll(QueuePair& queue_pair);
  /// From now on it neither sends nor receives, and no event reaches it.
  void strike_off(std::uint64_t number) noexcept { queue_pairs_[number] = nullptr; }
  /// Null if it is gone.
  [[nodiscard]] QueuePair* find(std::uint64_t number) const noexcept {
    return number < queue_pairs_.size() ? queue_pairs_[number] : nullptr;
  }

  /// Sends a packet of that slot on `path`; it arrives no earlier than `not_before`. When it does; nullopt if
  /// it was lost.
  std::optional<Instant> send(const Path& path, std::uint64_t packet, Instant not_before, std::uint64_t from);

  Core& core;
  Topology& topology;
  MemoryTable memory;
  PacketPool packets;
  WriteSink on_write;      ///< may be empty
  ArrivalSink on_arrival;  ///< may be empty

 private:
  std::vector<QueuePair*> queue_pairs_{nullptr};  // 0 is nobody
};

}  // namespace sluice::transport::sim
