// Waiting: in time, woken by everything that the contract names, and never by nothing at all. On real
// fabrics.

#include <cstdio>
#include <cstdlib>
#include <thread>

#include <catch2/catch.hpp>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/contract/echo_end.h"
#include "tests/contract/stage.h"

#ifndef SLUICE_TEST_PING_PONGS
#define SLUICE_TEST_PING_PONGS 1000000
#endif

namespace sluice::transport::contract {

namespace {

std::uint64_t ping_pongs(std::uint64_t fallback) {
  const char* const value = std::getenv("SLUICE_TEST_PING_PONGS");
  const std::uint64_t count = value == nullptr ? fallback : std::strtoull(value, nullptr, 10);
  std::printf("ping-pongs: %llu (SLUICE_TEST_PING_PONGS)\n", static_cast<unsigned long long>(count));
  return count;
}

void expect_ping_pongs(PollingMode mode, std::uint64_t count) {
  std::promise<Address> where;
  auto listening = where.get_future();
  std::string server_failure;
  std::string client_failure;
  std::thread server([&] { server_failure = EchoEnd(mode).serve(std::move(where), count); });
  std::thread client([&] {
    const Address address = listening.get();
    client_failure = address.port == 0 ? "nobody listens" : EchoEnd(mode).call(address, count);
  });
  client.join();
  server.join();
  CHECK(client_failure.empty());
  CHECK(server_failure.empty());
  INFO("client: " << client_failure << "; server: " << server_failure);
  CHECK(client_failure + server_failure == "");
}

StageOptions mode_of(PollingMode mode) {
  StageOptions options;
  options.client.polling.mode = mode;
  options.server.polling.mode = mode;
  return options;
}

class EventFd {
 public:
  EventFd() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) { REQUIRE(fd_ >= 0); }
  EventFd(const EventFd&) = delete;
  EventFd& operator=(const EventFd&) = delete;
  ~EventFd() { ::close(fd_); }
  [[nodiscard]] int get() const { return fd_; }
  void signal() const { REQUIRE(::eventfd_write(fd_, 1) == 0); }

 private:
  int fd_;
};

}  // namespace

TEST_CASE("event-mode wake-ups are never lost: a million ping-pongs between two sleeping threads") {
  expect_ping_pongs(PollingMode::event, ping_pongs(SLUICE_TEST_PING_PONGS));
}

TEST_CASE("adaptive-mode wake-ups are never lost either") {
  expect_ping_pongs(PollingMode::adaptive, ping_pongs(SLUICE_TEST_PING_PONGS) / 20 + 1);
}

TEST_CASE("a wait ends at its timeout when there is nothing, in every mode") {
  const auto mode = GENERATE(PollingMode::busy, PollingMode::adaptive, PollingMode::event);
  Stage stage(mode_of(mode));
  Pair pair = stage.connect();
  std::array<Completion, 4> taken;
  for (const auto timeout : {std::chrono::milliseconds(0), std::chrono::milliseconds(30)}) {
    const Instant start = stage.fabric->now();
    Duration rest = timeout;
    // It may return early for an internal event; what counts is that it neither hangs nor spins at zero.
    while (rest >= Duration::zero()) {
      CHECK(stage.client.queue().wait(taken, rest) == 0);
      stage.client.take_events();
      if (timeout.count() == 0) break;
      rest = timeout - (stage.fabric->now() - start);
    }
    CHECK(stage.fabric->now() - start < timeout + std::chrono::seconds(5));
  }
  stage.close(pair);
}

TEST_CASE("a wait ends when a watched descriptor is readable, and not after it was unwatched") {
  const auto mode = GENERATE(PollingMode::busy, PollingMode::adaptive, PollingMode::event);
  Stage stage(mode_of(mode));
  Pair pair = stage.connect();
  const EventFd event;
  REQUIRE(stage.client.queue().watch(event.get()));
  std::array<Completion, 4> taken;
  event.signal();
  Instant start = stage.fabric->now();
  CHECK(stage.client.queue().wait(taken, std::chrono::seconds(10)) == 0);
  CHECK(stage.fabric->now() - start < std::chrono::seconds(8));

  stage.client.queue().unwatch(event.get());
  start = stage.fabric->now();
  const Duration short_wait = std::chrono::milliseconds(30);
  int returns = 0;
  while (stage.fabric->now() - start < short_wait && returns < 1000) {
    CHECK(stage.client.queue().wait(taken, short_wait - (stage.fabric->now() - start)) == 0);
    ++returns;
  }
  CHECK(returns < 1000);
  stage.close(pair);
}

TEST_CASE("a watched descriptor wakes a thread that is already asleep") {
  Stage stage(mode_of(PollingMode::event));
  const EventFd event;
  REQUIRE(stage.client.queue().watch(event.get()));
  std::thread waker([&] { ::eventfd_write(event.get(), 1); });
  std::array<Completion, 4> taken;
  const Instant start = stage.fabric->now();
  CHECK(stage.client.queue().wait(taken, std::chrono::seconds(10)) == 0);
  CHECK(stage.fabric->now() - start < std::chrono::seconds(8));
  waker.join();
  stage.client.queue().unwatch(event.get());
}

TEST_CASE("a descriptor that doesn't exist can't be watched") {
  Stage stage;
  CHECK_FALSE(stage.client.queue().watch(-1));
  CHECK_FALSE(stage.client.queue().watch(1'000'000));
}

TEST_CASE("a wait ends for a connection request and for an established connection") {
  const auto mode = GENERATE(PollingMode::busy, PollingMode::adaptive, PollingMode::event);
  Stage stage(mode_of(mode));
  auto client = stage.client.connect(stage.address, stage.client.endpoint_config());
  std::unique_ptr<Endpoint> server;
  std::array<Completion, 4> taken;
  const Instant start = stage.fabric->now();
  // Both sides live in this thread, so that each may have to be woken several times: short sleeps in turn.
  while (!stage.client.saw(ConnectionEvent::Kind::established, client.get())) {
    REQUIRE(stage.fabric->now() - start < std::chrono::seconds(10));
    for (Party* party : {&stage.server, &stage.client}) {
      party->record(std::span(taken).first(party->queue().wait(taken, std::chrono::milliseconds(1))));
      party->take_events();
    }
    if (stage.server.has_request()) server = stage.server.accept(stage.server.endpoint_config());
  }
  REQUIRE(server != nullptr);
  Pair pair{std::move(client), std::move(server)};
  stage.close(pair);
}

TEST_CASE("another loop can sleep on the queue's descriptor: arm, and it becomes readable") {
  Stage stage(mode_of(PollingMode::event));
  Pair pair = stage.connect({.server_receives = 8, .receive_bytes = 16});
  const int fd = stage.server.queue().wait_fd();
  REQUIRE(fd >= 0);
  for (std::uint32_t round = 0; round < 8; ++round) {
    REQUIRE(stage.client.post(*pair.client, {send_of({}, round)}));
    const Instant start = stage.fabric->now();
    while (stage.server.find(receive_id(round)) == nullptr) {
      REQUIRE(stage.fabric->now() - start < std::chrono::seconds(10));
      stage.client.turn();
      if (!stage.server.queue().arm()) {
        stage.server.turn();
        continue;
      }
      // Armed: from here on only the descriptor may tell that there is something.
      pollfd readable{fd, POLLIN, 0};
      if (::poll(&readable, 1, 1) > 0) stage.server.turn();
    }
  }
  stage.close(pair);
}

}  // namespace sluice::transport::contract
