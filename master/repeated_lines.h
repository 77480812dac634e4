#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "protocol/base/clock.h"
#include "transport/transport_config.h"

namespace sluice::master {

/// Writes lines of which there may be very many of a kind: the first of each kind in an interval, and then
/// how many more there were. One thread.
class RepeatedLines {
 public:
  static constexpr Duration kInterval = std::chrono::seconds(10);
  /// Kinds that are remembered; when there are more, all are counted out and forgotten.
  static constexpr std::size_t kMaxKinds = 256;

  explicit RepeatedLines(transport::LogSink log) : log_(std::move(log)) {}

  void write(transport::LogLevel level, const std::string& line, Instant now) {
    write(level, line, line, now);
  }
  /// `kind`: the line without what differs from one to the next, such as a peer's port.
  void write(transport::LogLevel level, const std::string& kind, const std::string& line, Instant now);
  /// Writes the counts that are due.
  void tick(Instant now);

 private:
  struct Seen {
    transport::LogLevel level;
    std::string line;
    Instant written;
    std::uint64_t left_out = 0;
  };

  void say(transport::LogLevel level, const std::string& line) const;
  void say_left_out(const Seen& seen) const;

  transport::LogSink log_;
  std::map<std::string, Seen> seen_;  ///< by kind
};

}  // namespace sluice::master
