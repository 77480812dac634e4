#pragma once

#include "protocol/base/status.h"

namespace sluice::cli {

/// While it lives, SIGINT and SIGTERM are remembered, so that work ends in good order: a volume is given up.
/// The second one ends the program as usual. One at a time.
class InterruptGuard {
 public:
  InterruptGuard() noexcept;
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;
  ~InterruptGuard();

  /// Errors: cancelled, once a signal has come.
  [[nodiscard]] static Status check();
};

}  // namespace sluice::cli
