#pragma once

#include <string>

#include "protocol/base/clock.h"
#include "protocol/base/units.h"

namespace sluice::cli {

/// "import  45% [#########           ] 4.5G of 10G, 512M/s, 11 s left", at most `width` characters.
[[nodiscard]] std::string progress_line(const std::string& label, ByteCount done, ByteCount total,
                                        Duration elapsed, std::size_t width);

/// A bar on standard error for work that takes long, with rate and time left; nothing unless that is a
/// terminal.
class Progress {
 public:
  explicit Progress(std::string label);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  /// Clears the line.
  ~Progress() { finish(); }

  /// Cheap enough to be called for each piece: draws a few times a second.
  void update(ByteCount done, ByteCount total);
  void finish();

 private:
  std::string label_;
  SteadyClock clock_;
  bool is_terminal_;
  bool is_drawn_ = false;
  Instant start_;
  Instant next_;
};

}  // namespace sluice::cli
