#include "runtime/logging.h"

#include <cerrno>
#include <mutex>

#include <fcntl.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include "runtime/log_text.h"

namespace sluice::runtime {
namespace {

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warning:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

const std::vector<std::pair<std::string, LogLevel>>& level_words() {
  static const std::vector<std::pair<std::string, LogLevel>> words{{"debug", LogLevel::debug},
                                                                   {"info", LogLevel::info},
                                                                   {"warning", LogLevel::warning},
                                                                   {"error", LogLevel::error}};
  return words;
}

/// %v is a message that has been escaped already.
std::string pattern(LogFormat format, const std::string& program) {
  constexpr std::string_view kTime = "%Y-%m-%dT%H:%M:%S.%fZ";
  if (format == LogFormat::text) return std::string(kTime) + " %l " + program + ": %v";
  return R"({"time":")" + std::string(kTime) + R"(","level":"%l","program":")" + program +
         R"(","message":"%v"})";
}

Result<int> open_file(const std::string& path) {
  const int fd = path.empty() ? fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0)
                              : ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
  if (fd < 0) return fail_errno(errno, "open log " + (path.empty() ? "standard error" : path));
  return fd;
}

}  // namespace

/// A line a write, so that lines of several processes in one file don't mix.
class LogFile final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  LogFile(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  ~LogFile() override { close(fd_); }

  Status reopen() {
    const Result<int> fd = open_file(path_);
    if (!fd) return tl::unexpected(fd.error());
    const std::lock_guard lock(mutex_);
    close(fd_);
    fd_ = *fd;
    return {};
  }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    std::string_view rest(line.data(), line.size());
    while (!rest.empty()) {
      const ssize_t written = write(fd_, rest.data(), rest.size());
      if (written < 0 && errno == EINTR) continue;
      // Nowhere to say that the log can't be written.
      if (written <= 0) return;
      rest.remove_prefix(static_cast<std::size_t>(written));
    }
  }
  void flush_() override {}

 private:
  std::string path_;
  int fd_;
};

void add_log_options(OptionTable& table, LogConfig& config) {
  table.group("Log");
  table.add_choice("log.level", config.level, level_words(),
                   "The least level that is logged; read again at SIGHUP");
  table.add_choice("log.format", config.format, {{"text", LogFormat::text}, {"json", LogFormat::json}},
                   "Lines for people, or one JSON object a line");
  table.add("log.file", config.file, "Append to this file, opened anew at SIGHUP; empty: standard error");
}

Result<std::unique_ptr<Logging>> Logging::open(const LogConfig& config, const std::string& program) {
  const Result<int> fd = open_file(config.file);
  if (!fd) return tl::unexpected(fd.error());
  auto file = std::make_shared<LogFile>(config.file, *fd);
  auto logger = std::make_unique<spdlog::logger>(program, file);
  logger->set_formatter(std::make_unique<spdlog::pattern_formatter>(pattern(config.format, program),
                                                                    spdlog::pattern_time_type::utc));
  logger->set_level(to_spdlog(config.level));
  // Unlike spdlog's own handler, stay silent: see sink_it_.
  logger->set_error_handler([](const std::string& /*what*/) {});
  return std::unique_ptr<Logging>(new Logging(config.format, std::move(file), std::move(logger)));
}

Logging::Logging(LogFormat format, std::shared_ptr<LogFile> file, std::unique_ptr<spdlog::logger> logger)
    : format_(format), file_(std::move(file)), logger_(std::move(logger)) {}

Logging::~Logging() = default;

void Logging::log(LogLevel level, std::string_view message) {
  if (!is_on(level)) return;
  logger_->log(to_spdlog(level), format_ == LogFormat::json ? escape_json(message) : escape_line(message));
}

transport::LogSink Logging::sink() {
  return [this](LogLevel level, std::string_view message) { log(level, message); };
}

void Logging::set_level(LogLevel level) {
  logger_->set_level(to_spdlog(level));
}

bool Logging::is_on(LogLevel level) const {
  return logger_->should_log(to_spdlog(level));
}

Status Logging::reopen() {
  return file_->reopen();
}

void reload_log(Logging& logging, OptionTable& table, const LogConfig& fresh, const Invocation& invocation) {
  if (const Status reopened = logging.reopen(); !reopened) {
    logging.log(LogLevel::error, "reload: the log file stays as it is: " + reopened.error().message);
  }
  if (const Status loaded = load_options(table, invocation); !loaded) {
    logging.log(LogLevel::error, "reload: nothing is changed: " + loaded.error().message);
    return;
  }
  logging.set_level(fresh.level);
  for (const auto& [word, level] : level_words()) {
    if (level == fresh.level) logging.log(LogLevel::info, "reload: log.level is " + word);
  }
}

}  // namespace sluice::runtime
