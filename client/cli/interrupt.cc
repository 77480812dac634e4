#include "client/cli/interrupt.h"

#include <csignal>

namespace sluice::cli {
namespace {

volatile std::sig_atomic_t was_interrupted = 0;

void remember(int /*number*/) {
  was_interrupted = 1;
}

}  // namespace

InterruptGuard::InterruptGuard() noexcept {
  was_interrupted = 0;
  struct sigaction action {};
  action.sa_handler = remember;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

InterruptGuard::~InterruptGuard() {
  static_cast<void>(std::signal(SIGINT, SIG_DFL));
  static_cast<void>(std::signal(SIGTERM, SIG_DFL));
}

Status InterruptGuard::check() {
  if (was_interrupted == 0) return {};
  return fail(StatusCode::cancelled, "interrupted");
}

}  // namespace sluice::cli
