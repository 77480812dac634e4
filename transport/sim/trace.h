#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "protocol/base/clock.h"

namespace sluice::transport::sim {

enum class TraceKind : std::uint8_t {
  posted,             ///< queue pair, number of the request, opcode
  packet_arrived,     ///< queue pair, message, kind << 32 | fragment
  packet_unwanted,    ///< queue pair: it is gone, or in no state to take it
  packet_lost,        ///< queue pair that sent it, message
  payload,            ///< queue pair, bytes, CRC32C
  completed,          ///< queue pair, work id, status
  queue_pair_failed,  ///< queue pair, status of the cause
  message_sent,       ///< connection manager: kind, sender, receiver
  message_arrived,    ///< connection manager: kind, sender, receiver
  fault,              ///< kind, what it struck
  opened,             ///< kind of object, number
};
std::string_view to_string(TraceKind kind) noexcept;

/// One line of a run's history. The words' meaning depends on the kind.
struct TraceRecord {
  Instant when;
  TraceKind kind;
  std::array<std::uint64_t, 3> words;
};
/// E.g. "1042 ns completed 3 1152921504606846977 0".
std::string to_string(const TraceRecord& record);

using TraceSink = std::function<void(const TraceRecord&)>;

/// The history of a run, folded into one word: two runs with equal hashes did the same.
class Trace {
 public:
  void note(const TraceRecord& record);
  [[nodiscard]] std::uint64_t hash() const noexcept { return hash_; }
  void set_sink(TraceSink sink) { sink_ = std::move(sink); }

 private:
  void fold(std::uint64_t word) noexcept;

  std::uint64_t hash_ = 0xcbf2'9ce4'8422'2325U;
  TraceSink sink_;
};

}  // namespace sluice::transport::sim
