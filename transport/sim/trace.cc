#include "transport/sim/trace.h"

namespace sluice::transport::sim {

std::string_view to_string(TraceKind kind) noexcept {
  switch (kind) {
    case TraceKind::posted:
      return "posted";
    case TraceKind::packet_arrived:
      return "packet_arrived";
    case TraceKind::packet_unwanted:
      return "packet_unwanted";
    case TraceKind::packet_lost:
      return "packet_lost";
    case TraceKind::payload:
      return "payload";
    case TraceKind::completed:
      return "completed";
    case TraceKind::queue_pair_failed:
      return "queue_pair_failed";
    case TraceKind::message_sent:
      return "message_sent";
    case TraceKind::message_arrived:
      return "message_arrived";
    case TraceKind::fault:
      return "fault";
    case TraceKind::opened:
      return "opened";
  }
  return "unknown";
}

std::string to_string(const TraceRecord& record) {
  std::string line = std::to_string(record.when.ns) + " ns " + std::string(to_string(record.kind));
  for (const std::uint64_t word : record.words)
    line += " " + std::to_string(word);
  return line;
}

void Trace::note(const TraceRecord& record) {
  fold(static_cast<std::uint64_t>(record.when.ns));
  fold(static_cast<std::uint64_t>(record.kind));
  for (const std::uint64_t word : record.words)
    fold(word);
  if (sink_) sink_(record);
}

/// FNV-1a by words instead of bytes, with a fold of the high half so that every bit reaches the low ones.
void Trace::fold(std::uint64_t word) noexcept {
  hash_ = (hash_ ^ word) * 0x0000'0100'0000'01b3U;
  hash_ ^= hash_ >> 32U;
}

}  // namespace sluice::transport::sim
