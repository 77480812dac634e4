#include "client/cli/progress.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <iostream>
#include <utility>

#include <sys/ioctl.h>
#include <unistd.h>

#include "runtime/sizes.h"

namespace sluice::cli {
namespace {

constexpr std::size_t kBarWidth = 20;
constexpr std::size_t kUsualWidth = 80;

std::string describe_seconds(double seconds) {
  const auto whole = static_cast<std::uint64_t>(std::llround(seconds));
  if (whole < 60) return std::to_string(whole) + " s";
  if (whole < 3600) return std::to_string(whole / 60) + " min " + std::to_string(whole % 60) + " s";
  return std::to_string(whole / 3600) + " h " + std::to_string(whole / 60 % 60) + " min";
}

std::size_t terminal_width() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kUsualWidth;
  return size.ws_col;
}

}  // namespace

std::string progress_line(const std::string& label, ByteCount done, ByteCount total, Duration elapsed,
                          std::size_t width) {
  const double share =
      total.value() == 0
          ? 1.0
          : std::min(1.0, static_cast<double>(done.value()) / static_cast<double>(total.value()));
  const auto filled = static_cast<std::size_t>(share * static_cast<double>(kBarWidth));
  std::string percent = std::to_string(static_cast<int>(share * 100)) + "%";
  percent.insert(0, 4 - percent.size(), ' ');
  std::string line = label + " " + percent + " [" + std::string(filled, '#') +
                     std::string(kBarWidth - filled, ' ') + "] " + runtime::format_size(done) + " of " +
                     runtime::format_size(total);
  const double seconds = std::chrono::duration<double>(elapsed).count();
  if (seconds > 0 && done.value() > 0) {
    const double rate = static_cast<double>(done.value()) / seconds;
    line += ", " + runtime::format_size(ByteCount(static_cast<std::uint64_t>(rate))) + "/s";
    if (done < total) {
      line += ", " + describe_seconds(static_cast<double>(total.value() - done.value()) / rate) + " left";
    }
  }
  return line.substr(0, width);
}

Progress::Progress(std::string label)
    : label_(std::move(label)),
      is_terminal_(isatty(STDERR_FILENO) == 1),
      start_(clock_.now()),
      next_(start_) {}

void Progress::update(ByteCount done, ByteCount total) {
  if (!is_terminal_) return;
  const Instant now = clock_.now();
  if (now < next_) return;
  next_ = now + std::chrono::milliseconds(200);
  // One column is left free: a line that fills the last one would wrap.
  std::cerr << "\r" << progress_line(label_, done, total, now - start_, terminal_width() - 1) << "\x1b[K"
            << std::flush;
  is_drawn_ = true;
}

void Progress::finish() {
  if (is_drawn_) std::cerr << "\r\x1b[K" << std::flush;
  is_drawn_ = false;
}

}  // namespace sluice::cli
