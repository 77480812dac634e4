#include "runtime/control_link.h"

#include <array>
#include <numeric>

#include "tests/unit/runtime/control_world.h"
#include "transport/channel.h"

namespace sluice::runtime::test {
namespace {

const transport::Address kServer{"10.0.0.2", 7000};

/// A client and a server with one link between them.
struct Pair {
  explicit Pair(KeepaliveConfig of_client = {}, KeepaliveConfig of_server = {})
      : client(world.network, "client", of_client), server(world.network, "server", of_server) {
    server.listen(kServer);
    link = &client.connect(kServer);
    REQUIRE(until([&] { return client.ups == 1 && server.ups == 1; }));
  }
  bool until(const std::function<bool()>& done, Duration patience = 60s) {
    return world.until({&client, &server}, done, patience);
  }

  ControlWorld world;
  Process client;
  Process server;
  ControlLink* link = nullptr;  ///< the client's, while it lasts
};

/// Speaks the transport's protocol and sends what it likes.
class RawSender : private LinkHandler {
 public:
  RawSender(ControlWorld& world, Process& process) {
    static_cast<void>(world);
    transport::ChannelConfig config;
    config.max_send_head_bytes = 4096;
    auto made = process.reactor.connect(process.rail(), **process.reactor.control_domain(process.rail()),
                                        kServer, config, {}, *this);
    REQUIRE(made);
    link = std::move(*made);
  }
  bool is_up = false;
  bool is_drained = false;
  std::unique_ptr<Link> link;

 private:
  void on_up(Link&, std::span<const std::byte>) override { is_up = true; }
  void on_message(Link& from, std::span<const std::byte>, transport::MessageHandle message) override {
    from.release(message);
  }
  void on_sent(Link&, std::uint64_t, transport::CompletionStatus) override {}
  void on_down(Link&, const Error&, std::span<const std::byte>) override {}
  void on_drained(Link&) override { is_drained = true; }
};

}  // namespace

TEST_CASE("frames come in the order of sending, and more than there are credits for wait", "[control]") {
  Pair pair;
  for (std::uint64_t i = 1; i <= 200; ++i)
    REQUIRE(pair.link->send(numbered(i)));
  // Much faster than one handful a tick of a tenth of a second.
  REQUIRE(pair.until([&] { return pair.server.received.size() == 200; }, 100ms));
  std::vector<std::uint64_t> expected(200);
  std::iota(expected.begin(), expected.end(), 1);
  CHECK(pair.server.received == expected);
  CHECK(pair.client.downs.empty());
}

TEST_CASE("both sides can send at once, as much as the backlog takes", "[control]") {
  Pair pair;
  for (std::uint64_t i = 1; i <= 200; ++i) {
    REQUIRE(pair.link->send(numbered(i)));
    REQUIRE(pair.server.links[0]->send(numbered(i)));
  }
  REQUIRE(
      pair.until([&] { return pair.server.received.size() == 200 && pair.client.received.size() == 200; }));
}

TEST_CASE("a peer that doesn't take what it asked for is cut off", "[control]") {
  Pair pair;
  pair.server.is_stopped = true;
  Status sent;
  std::uint64_t count = 0;
  while ((sent = pair.link->send(numbered(++count)))) {
    REQUIRE(count < 1000);
  }
  CHECK(sent.error().code == StatusCode::queue_full);
  CHECK(count > ControlLink::kMaxBacklog);
  CHECK(pair.link->send(numbered(1)).error().code == StatusCode::unavailable);
  CHECK(pair.client.downs.empty());  // not from within send()
  REQUIRE(pair.until([&] { return pair.client.drained == 1; }));
  REQUIRE(pair.client.downs.size() == 1);
  CHECK(pair.client.downs[0].code == StatusCode::queue_full);
}

TEST_CASE("a silent peer that lives is kept, one that doesn't is dropped in time", "[control]") {
  const KeepaliveConfig keepalive{.interval = 1s, .misses = 3};
  Pair pair(keepalive, keepalive);
  pair.world.run({&pair.client, &pair.server}, 60s);
  CHECK(pair.client.downs.empty());
  CHECK(pair.server.downs.empty());
  CHECK(pair.client.received.empty());  // keepalives are between the links

  pair.server.is_stopped = true;
  pair.world.network.pause(pair.server.provider());
  const Instant stopped = pair.world.network.now();
  REQUIRE(pair.until([&] { return pair.client.downs.size() == 1; }));
  CHECK(pair.client.downs[0].code == StatusCode::timed_out);
  const Duration took = pair.world.network.now() - stopped;
  CHECK(took >= 3s);
  CHECK(took <= 6s);
  // Continued, it finds its connection over.
  pair.world.network.resume(pair.server.provider());
  pair.server.is_stopped = false;
  REQUIRE(pair.until([&] { return pair.server.drained == 1; }));
}

TEST_CASE("a process that was paused itself doesn't take its peers for dead", "[control]") {
  const KeepaliveConfig patient{.interval = 1s, .misses = 60};
  Pair pair({}, patient);
  pair.world.run({&pair.client, &pair.server}, 2s);
  pair.client.is_stopped = true;
  pair.world.network.pause(pair.client.provider());
  pair.world.run({&pair.client, &pair.server}, 30s);
  pair.world.network.resume(pair.client.provider());
  pair.client.is_stopped = false;
  pair.world.run({&pair.client, &pair.server}, 10s);
  CHECK(pair.client.downs.empty());
  CHECK(pair.server.downs.empty());
}

TEST_CASE("what is no control message ends the connection, is counted, and is told once", "[control]") {
  ControlWorld world;
  Process client(world.network, "client");
  Process server(world.network, "server");
  server.listen(kServer);
  RawSender raw(world, client);
  REQUIRE(world.until({&client, &server}, [&] { return raw.is_up && server.ups == 1; }));
  const std::array<std::byte, 30> garbage{std::byte{0x53}};
  transport::OutgoingMessage message;
  message.head = garbage;
  std::uint64_t malformed = 0;
  REQUIRE(raw.link->send(message));
  REQUIRE(raw.link->send(message));
  REQUIRE(world.until({&client, &server}, [&] {
    for (const auto& link : server.links)
      malformed = std::max(malformed, link->malformed());
    return server.drained == 1 && raw.is_drained;
  }));
  CHECK(malformed == 1);
  CHECK(server.received.empty());
  REQUIRE(server.downs.size() == 1);
  CHECK(server.downs[0].code == StatusCode::malformed);
  raw.link.reset();
}

TEST_CASE("closed by the peer it is down, then drained; closed by us only drained", "[control]") {
  Pair pair;
  pair.link->close();
  REQUIRE(pair.until([&] { return pair.client.drained == 1 && pair.server.drained == 1; }));
  CHECK(pair.client.downs.empty());
  CHECK(pair.server.downs.size() == 1);
}

TEST_CASE("what was sent before a close by the handler doesn't come back to it", "[control]") {
  Pair pair;
  pair.server.on_frame = [](ControlLink& link, const ControlFrame&) { link.close(); };
  for (std::uint64_t i = 1; i <= 5; ++i)
    REQUIRE(pair.link->send(numbered(i)));
  REQUIRE(pair.until([&] { return pair.client.drained == 1 && pair.server.drained == 1; }));
  CHECK(pair.server.received == std::vector<std::uint64_t>{1});
}

TEST_CASE("nobody there: down with the reason, then drained", "[control]") {
  ControlWorld world;
  Process client(world.network, "client");
  client.connect({"10.0.0.2", 7999});
  REQUIRE(world.until({&client}, [&] { return client.drained == 1; }));
  REQUIRE(client.downs.size() == 1);
  CHECK(client.downs[0].code == StatusCode::connection_refused);
}

}  // namespace sluice::runtime::test
