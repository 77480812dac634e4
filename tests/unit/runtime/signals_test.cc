#include "runtime/signals.h"

#include <catch2/catch.hpp>
#include <poll.h>

using sluice::runtime::Signals;

TEST_CASE("a caught signal makes the descriptor readable and is told once") {
  const auto signals = Signals::catch_all({SIGUSR1, SIGUSR2});
  REQUIRE(signals.has_value());
  CHECK_FALSE((*signals)->next().has_value());
  REQUIRE(raise(SIGUSR2) == 0);
  pollfd readable{(*signals)->fd(), POLLIN, 0};
  REQUIRE(poll(&readable, 1, 1000) == 1);
  CHECK((*signals)->next() == SIGUSR2);
  CHECK_FALSE((*signals)->next().has_value());
}

TEST_CASE("the signal mask is what it was, once the object has gone") {
  REQUIRE(Signals::catch_all({SIGUSR1}).has_value());
  sigset_t now;
  REQUIRE(pthread_sigmask(SIG_SETMASK, nullptr, &now) == 0);
  CHECK(sigismember(&now, SIGUSR1) == 0);
}
