#include "runtime/random.h"

#include <sys/random.h>

#include "protocol/base/check.h"

namespace sluice::runtime {

std::uint64_t SystemRandom::next() {
  std::uint64_t number = 0;
  while (number == 0) {
    // Up to 256 bytes are never cut short by a signal once the pool is initialised: getrandom(2).
    const auto got = getrandom(&number, sizeof number, 0);
    check(got == static_cast<ssize_t>(sizeof number), "the system has random numbers");
  }
  return number;
}

}  // namespace sluice::runtime
