#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "protocol/base/clock.h"
#include "transport/transport_config.h"

namespace sluice::master {

/// Writes lines of which there may be very many, the same again and again: each at most once in an interval,
/// then with the count of those that were left out. One thread.
class RepeatedLines {
 public:
  static constexpr Duration kInterval = std::chrono::seconds(10);
  /// Different lines that are remembered; when there are more, all are written out and forgotten.
  static constexpr std::size_t kMaxLines = 256;

  explicit RepeatedLines(transport::LogSink log) : log_(std::move(log)) {}

  void write(transport::LogLevel level, const std::string& line, Instant now);
  /// Writes the counts that are due.
  void tick(Instant now);

 private:
  struct Seen {
    transport::LogLevel level;
    Instant written;
    std::uint64_t left_out = 0;
  };

  void say(transport::LogLevel level, const std::string& line) const;
  void say_left_out(const std::string& line, const Seen& seen) const;

  transport::LogSink log_;
  std::map<std::string, Seen> seen_;
};

}  // namespace sluice::master
