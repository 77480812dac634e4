#include "master/repeated_lines.h"

namespace sluice::master {

void RepeatedLines::write(transport::LogLevel level, const std::string& kind, const std::string& line,
                          Instant now) {
  if (const auto found = seen_.find(kind); found != seen_.end()) {
    ++found->second.left_out;
    return;
  }
  if (seen_.size() == kMaxKinds) {
    for (const auto& [text, seen] : seen_)
      say_left_out(seen);
    seen_.clear();
  }
  seen_.emplace(kind, Seen{level, line, now});
  say(level, line);
}

void RepeatedLines::tick(Instant now) {
  std::erase_if(seen_, [&](const auto& entry) {
    const Seen& seen = entry.second;
    if (now - seen.written < kInterval) return false;
    say_left_out(seen);
    return true;
  });
}

void RepeatedLines::say_left_out(const Seen& seen) const {
  if (seen.left_out > 0)
    say(seen.level, seen.line + " (" + std::to_string(seen.left_out) + " more like this)");
}

void RepeatedLines::say(transport::LogLevel level, const std::string& line) const {
  if (log_) log_(level, line);
}

}  // namespace sluice::master
