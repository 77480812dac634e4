#include "master/repeated_lines.h"

namespace sluice::master {

void RepeatedLines::write(transport::LogLevel level, const std::string& line, Instant now) {
  if (const auto found = seen_.find(line); found != seen_.end()) {
    ++found->second.left_out;
    return;
  }
  if (seen_.size() == kMaxLines) {
    for (const auto& [text, seen] : seen_)
      say_left_out(text, seen);
    seen_.clear();
  }
  seen_.emplace(line, Seen{level, now});
  say(level, line);
}

void RepeatedLines::tick(Instant now) {
  std::erase_if(seen_, [&](const auto& entry) {
    const auto& [line, seen] = entry;
    if (now - seen.written < kInterval) return false;
    say_left_out(line, seen);
    return true;
  });
}

void RepeatedLines::say_left_out(const std::string& line, const Seen& seen) const {
  if (seen.left_out > 0) say(seen.level, line + " (" + std::to_string(seen.left_out) + " more times)");
}

void RepeatedLines::say(transport::LogLevel level, const std::string& line) const {
  if (log_) log_(level, line);
}

}  // namespace sluice::master
