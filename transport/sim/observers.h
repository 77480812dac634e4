#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

namespace sluice::transport::sim {

/// Told of all memory that devices write to for a peer, once they have.
using WriteSink = std::function<void(std::span<const std::byte> written)>;

/// A SEND's or WRITE's packet that reached the other side.
struct Arrival {
  bool is_write = false;
  bool is_taken = false;       ///< false: its queue pair is gone, or takes nothing any more
  std::uint32_t fragment = 0;  ///< of the message, from 0
  std::span<const std::byte> payload;
};
using ArrivalSink = std::function<void(const Arrival& arrival)>;

}  // namespace sluice::transport::sim
