#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "protocol/base/status.h"
#include "runtime/command_line.h"
#include "runtime/options.h"
#include "transport/transport_config.h"

namespace spdlog {
class logger;
}

namespace sluice::runtime {

using transport::LogLevel;

enum class LogFormat : std::uint8_t {
  text,  ///< "2026-01-31T12:00:00.123456Z info sluice-node: message"
  json,  ///< one object a line: time, level, program, message
};

struct LogConfig {
  LogLevel level = LogLevel::info;
  LogFormat format = LogFormat::text;
  std::string file;  ///< empty: standard error
};

/// `log.level`, `log.format`, `log.file`.
void add_log_options(OptionTable& table, LogConfig& config);

class LogFile;

/// Writes a program's log, a line an entry whatever the message holds: what could break a line or pass for
/// another is escaped. Any thread.
class Logging {
 public:
  /// `program` goes into each line. Errors: those of opening the file.
  static Result<std::unique_ptr<Logging>> open(const LogConfig& config, const std::string& program);

  Logging(const Logging&) = delete;
  Logging& operator=(const Logging&) = delete;
  ~Logging();

  void log(LogLevel level, std::string_view message);
  /// log(), for whoever takes a sink. Not to be called after this object has gone.
  [[nodiscard]] transport::LogSink sink();

  void set_level(LogLevel level);
  [[nodiscard]] bool is_on(LogLevel level) const;
  /// Opens the file anew, which may have been moved away. Errors: as open(); the old one stays in use.
  Status reopen();

 private:
  Logging(LogFormat format, std::shared_ptr<LogFile> file, std::unique_ptr<spdlog::logger> logger);

  LogFormat format_;
  std::shared_ptr<LogFile> file_;
  std::unique_ptr<spdlog::logger> logger_;
};

/// What a daemon does at SIGHUP: opens its log file anew, reads its configuration again, and takes over the
/// level. `table` is a fresh one, bound to a fresh configuration of which `fresh` is the log's part. Says in
/// the log how it went; a configuration with mistakes changes nothing.
void reload_log(Logging& logging, OptionTable& table, const LogConfig& fresh, const Invocation& invocation);

}  // namespace sluice::runtime
