#include "runtime/dialer.h"

#include "tests/unit/runtime/control_world.h"

namespace sluice::runtime::test {
namespace {

const transport::Address kFirst{"10.0.0.2", 7000};
const transport::Address kSecond{"10.0.0.3", 7000};

/// A process that dials, and what its dialer told it.
class Caller : private DialerHandler {
 public:
  Caller(ControlWorld& world, std::vector<transport::Address> addresses)
      : world_(world),
        process_(world.network, "client"),
        dialer(process_.reactor, process_.rail(), config_of(std::move(addresses)), *this) {
    world.also_turns = [this] { turn(); };
  }
  ~Caller() override { world_.also_turns = nullptr; }

  void turn() {
    process_.reactor.poll();
    dialer.tick(world_.network.now());
    process_.reactor.flush();
  }

  std::function<void()> on_dial;
  int dialed = 0;
  std::vector<Instant> hung_up;
  std::vector<Error> reasons;
  std::vector<std::uint64_t> received;

 private:
  static DialerConfig config_of(std::vector<transport::Address> addresses) {
    DialerConfig config;
    config.addresses = std::move(addresses);
    config.backoff.min = 100ms;
    config.backoff.max = 1600ms;
    return config;
  }
  void on_dialed(Dialer&) override {
    ++dialed;
    if (on_dial) on_dial();
  }
  void on_frame(Dialer&, const ControlFrame& frame) override { received.push_back(frame.request_id.value()); }
  void on_hung_up(Dialer&, const Error& why) override {
    hung_up.push_back(world_.network.now());
    reasons.push_back(why);
  }

  ControlWorld& world_;
  Process process_;

 public:
  Dialer dialer;  ///< goes before its reactor
};

}  // namespace

TEST_CASE("a dialer connects, carries frames both ways, and connects again when the connection ends",
          "[dialer]") {
  ControlWorld world;
  Process server(world.network, "server");
  server.listen(kFirst);
  server.on_frame = [](ControlLink& link, const ControlFrame& frame) { CHECK(link.send(frame)); };
  Caller caller(world, {kFirst});
  CHECK(caller.dialer.send(numbered(1)).error().code == StatusCode::unavailable);
  REQUIRE(world.until({&server}, [&] { return caller.dialer.is_up(); }));
  REQUIRE(caller.dialer.send(numbered(7)));
  REQUIRE(world.until({&server}, [&] { return caller.received == std::vector<std::uint64_t>{7}; }));
  server.links[0]->close();
  REQUIRE(world.until({&server}, [&] { return caller.hung_up.size() == 1 && !caller.dialer.is_up(); }));
  REQUIRE(world.until(
      {&server}, [&] { return caller.dialer.is_up(); }, 1s));
  CHECK(caller.dialed == 2);
}

TEST_CASE("with nobody there it waits longer after each attempt, up to a bound, and never gives up",
          "[dialer]") {
  ControlWorld world;
  Process server(world.network, "server");
  Caller caller(world, {kFirst});
  REQUIRE(world.until({}, [&] { return caller.hung_up.size() == 8; }));
  CHECK(caller.dialer.failures() == 8);
  std::vector<std::int64_t> waits_ms;
  for (std::size_t i = 1; i < caller.hung_up.size(); ++i)
    waits_ms.push_back((caller.hung_up[i] - caller.hung_up[i - 1]).count() / 1'000'000);
  const std::vector<std::int64_t> expected{100, 200, 400, 800, 1600, 1600, 1600};
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CHECK(waits_ms[i] >= expected[i]);
    CHECK(waits_ms[i] <= expected[i] + 20);
  }
  for (const Error& reason : caller.reasons)
    CHECK(reason.code == StatusCode::connection_refused);
  // Somebody comes at last; after that the waits are short again.
  server.listen(kFirst);
  REQUIRE(world.until({&server}, [&] { return caller.dialer.is_up(); }));
  CHECK(caller.dialer.failures() == 0);
  const Instant closed = world.network.now();
  server.links[0]->close();
  REQUIRE(world.until({&server}, [&] { return caller.dialed == 2; }));
  CHECK(world.network.now() - closed < 300ms);
}

TEST_CASE("the next address is tried at once, and waiting begins after a round", "[dialer]") {
  ControlWorld world;
  Process server(world.network, "server", {}, kSecond.host);
  server.listen(kSecond);
  Caller caller(world, {kFirst, kSecond});
  REQUIRE(world.until(
      {&server}, [&] { return caller.dialer.is_up(); }, 50ms));
  CHECK(caller.dialer.address() == kSecond);
  CHECK(caller.hung_up.size() == 1);
}

TEST_CASE("hanging up on the wrong one goes to the next address, and round again", "[dialer]") {
  ControlWorld world;
  Process first(world.network, "server");
  Process second(world.network, "server", {}, kSecond.host);
  first.listen(kFirst);
  second.listen(kSecond);
  Caller caller(world, {kFirst, kSecond});
  std::vector<transport::Address> tried;
  caller.on_dial = [&] { tried.push_back(caller.dialer.address()); };
  REQUIRE(world.until({&first, &second}, [&] {
    if (caller.dialer.is_up() && tried.size() < 5) caller.dialer.try_next();
    return tried.size() == 5 && caller.dialer.is_up();
  }));
  CHECK(tried == std::vector<transport::Address>{kFirst, kSecond, kFirst, kSecond, kFirst});
  CHECK(caller.hung_up.size() == 4);  // once each
  REQUIRE(world.until({&first, &second}, [&] { return first.drained + second.drained == 4; }));
}

TEST_CASE("hanging up from within a frame or as soon as it is dialed is allowed", "[dialer]") {
  ControlWorld world;
  Process first(world.network, "server");
  Process second(world.network, "server", {}, kSecond.host);
  first.listen(kFirst);
  second.listen(kSecond);
  Caller caller(world, {kFirst, kSecond});
  bool once = true;
  caller.on_dial = [&] {
    if (std::exchange(once, false)) caller.dialer.try_next();
  };
  REQUIRE(world.until({&first, &second}, [&] { return caller.dialer.is_up(); }));
  CHECK(caller.dialer.address() == kSecond);
}

TEST_CASE("an address that can't even be tried is a failed attempt like others", "[dialer]") {
  ControlWorld world;
  Process server(world.network, "server", {}, kSecond.host);
  server.listen(kSecond);
  Caller caller(world, {{"no such host", 1}, kSecond});
  REQUIRE(world.until({&server}, [&] { return caller.dialer.is_up(); }));
  CHECK(caller.hung_up.size() == 1);
}

TEST_CASE("a server that is paused is hung up on, and dialed until it is back", "[dialer]") {
  ControlWorld world;
  Process server(world.network, "server");
  server.listen(kFirst);
  Caller caller(world, {kFirst});
  REQUIRE(world.until({&server}, [&] { return caller.dialer.is_up(); }));
  world.network.pause(server.provider());
  server.is_stopped = true;
  REQUIRE(world.until(
      {&server}, [&] { return !caller.dialer.is_up(); }, 10s));
  world.run({&server}, 10s);
  CHECK_FALSE(caller.dialer.is_up());
  world.network.resume(server.provider());
  server.is_stopped = false;
  REQUIRE(world.until(
      {&server}, [&] { return caller.dialer.is_up(); }, 10s));
}

}  // namespace sluice::runtime::test
