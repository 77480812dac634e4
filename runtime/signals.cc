#include "runtime/signals.h"

#include <cerrno>

#include <sys/signalfd.h>
#include <unistd.h>

namespace sluice::runtime {

Result<std::unique_ptr<Signals>> Signals::catch_all(std::initializer_list<int> numbers) {
  sigset_t caught;
  sigemptyset(&caught);
  for (const int number : numbers)
    sigaddset(&caught, number);
  sigset_t before;
  if (const int error = pthread_sigmask(SIG_BLOCK, &caught, &before); error != 0) {
    return fail_errno(error, "block signals");
  }
  const int fd = signalfd(-1, &caught, SFD_CLOEXEC | SFD_NONBLOCK);
  if (fd < 0) {
    const int error = errno;
    static_cast<void>(pthread_sigmask(SIG_SETMASK, &before, nullptr));
    return fail_errno(error, "make a descriptor for signals");
  }
  // A peer that goes away is an error of the call that notices, not the end of the program.
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  static_cast<void>(sigaction(SIGPIPE, &ignore, nullptr));
  return std::unique_ptr<Signals>(new Signals(fd, before));
}

Signals::~Signals() {
  close(fd_);
  static_cast<void>(pthread_sigmask(SIG_SETMASK, &before_, nullptr));
}

std::optional<int> Signals::next() noexcept {
  signalfd_siginfo info{};
  if (read(fd_, &info, sizeof info) != static_cast<ssize_t>(sizeof info)) return std::nullopt;
  return static_cast<int>(info.ssi_signo);
}

}  // namespace sluice::runtime
