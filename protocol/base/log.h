#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

namespace sluice {

enum class LogLevel : std::uint8_t { debug, info, warning, error };

/// Takes one line for each thing worth knowing, without a newline. Empty: such lines are dropped.
using LogSink = std::function<void(LogLevel, std::string_view)>;

inline void log_line(const LogSink& log, LogLevel level, std::string_view line) {
  if (log) log(level, line);
}

}  // namespace sluice
