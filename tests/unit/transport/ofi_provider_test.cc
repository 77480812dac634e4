// Two providers in one process, on one thread, over the loopback address.

#include "transport/ofi/ofi_provider.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>
#include <dirent.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transport/handshake.h"

namespace sluice::transport {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t kQueueDepth = 4096;
constexpr auto kPatience = 10s;

std::vector<std::byte> bytes_of(std::string_view text) {
  const auto* first = reinterpret_cast<const std::byte*>(text.data());
  return {first, first + text.size()};
}

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::size_t open_descriptors() {
  std::size_t count = 0;
  DIR* directory = opendir("/proc/self/fd");
  while (readdir(directory) != nullptr)
    ++count;
  closedir(directory);
  return count;
}

TransportConfig test_config() {
  TransportConfig config;
  config.provider = ProviderChoice::ofi;
  config.polling.mode = PollingMode::busy;
  return config;
}

/// A provider with one of everything, and what came out of it.
struct Side {
  explicit Side(const TransportConfig& config = test_config()) {
    provider = ofi::open_ofi_provider(config).value();
    domain = provider->create_protection_domain().value();
    queue = provider->create_completion_queue(kQueueDepth).value();
    memory.resize(std::size_t{4} << 20U);
    region = domain->register_memory(memory, Access::local_write | Access::remote_write | Access::remote_read)
                 .value();
  }
  Side(const Side&) = delete;
  Side& operator=(const Side&) = delete;
  ~Side() {
    requests.clear();
    endpoint.reset();
  }

  void turn() {
    while (auto event = provider->next_event()) {
      if (event->kind == ConnectionEvent::Kind::connect_request)
        requests.push_back(std::move(event->request));
      if (event->kind == ConnectionEvent::Kind::disconnected) failure = event->error;
      if (!event->private_data.empty()) private_data = text_of(event->private_data);
      if (event->kind == ConnectionEvent::Kind::established) peer_credits = event->peer_credits;
      events.push_back(event->kind);
    }
    std::array<Completion, 16> batch;
    const std::size_t count = queue->poll(batch);
    completions.insert(completions.end(), batch.begin(), batch.begin() + static_cast<std::ptrdiff_t>(count));
  }

  [[nodiscard]] bool saw(ConnectionEvent::Kind kind) const { return std::ranges::count(events, kind) > 0; }

  [[nodiscard]] EndpointConfig endpoint_config(std::span<const ReceiveRequest> receives = {}) const {
    EndpointConfig config;
    config.domain = domain.get();
    config.queue = queue.get();
    config.max_segments = 4;
    config.max_inline_bytes = 128;
    config.initial_receives = receives;
    return config;
  }

  /// A receive of 4 KiB in the upper half of the memory.
  [[nodiscard]] ReceiveRequest receive(std::uint32_t slot) const {
    return {WorkId(WorkKind::first_user, slot),
            region->local((std::size_t{2} << 20U) + slot * 4096ULL, 4096)};
  }
  [[nodiscard]] std::vector<ReceiveRequest> receives(std::uint32_t count) const {
    std::vector<ReceiveRequest> result;
    for (std::uint32_t slot = 0; slot < count; ++slot)
      result.push_back(receive(slot));
    return result;
  }
  [[nodiscard]] std::string received(std::uint32_t slot, std::size_t size) const {
    return text_of(std::span(memory).subspan((std::size_t{2} << 20U) + slot * 4096ULL, size));
  }
  void put(std::size_t offset, std::string_view text) {
    std::memcpy(memory.data() + offset, text.data(), text.size());
  }

  std::unique_ptr<Provider> provider;
  std::unique_ptr<ProtectionDomain> domain;
  std::unique_ptr<CompletionQueue> queue;
  std::vector<std::byte> memory;
  std::unique_ptr<Region> region;
  std::unique_ptr<Endpoint> endpoint;
  std::vector<std::unique_ptr<ConnectionRequest>> requests;
  std::vector<ConnectionEvent::Kind> events;
  std::vector<Completion> completions;
  std::string private_data;
  std::uint16_t peer_credits = 0;
  Error failure{StatusCode::ok, {}};
};

struct Pair {
  explicit Pair(const TransportConfig& config = test_config()) : client(config), server(config) {}

  bool run_until(const std::function<bool()>& done) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (!done()) {
      if (std::chrono::steady_clock::now() > end) return false;
      server.turn();
      client.turn();
    }
    return true;
  }
  void start_listening() { listener = server.provider->listen({"127.0.0.1", 0}).value(); }
  void start_connecting(std::uint32_t receives = 4, std::string_view data = "hello") {
    const auto posted = client.receives(receives);
    auto config = client.endpoint_config(posted);
    config.advertised_credits = 11;
    client.endpoint = client.provider->connect(listener->address(), config, bytes_of(data)).value();
  }
  void accept(std::uint32_t receives = 4, std::string_view data = "welcome") {
    const auto posted = server.receives(receives);
    auto config = server.endpoint_config(posted);
    config.advertised_credits = 22;
    server.endpoint =
        server.provider->accept(std::move(server.requests.front()), config, bytes_of(data)).value();
    server.requests.erase(server.requests.begin());
  }
  void connect(std::uint32_t receives = 4) {
    if (!listener) start_listening();
    start_connecting(receives);
    REQUIRE(run_until([&] { return !server.requests.empty(); }));
    accept(receives);
    REQUIRE(run_until([&] {
      return client.saw(ConnectionEvent::Kind::established) && server.saw(ConnectionEvent::Kind::established);
    }));
  }

  Side client;
  Side server;
  std::unique_ptr<Listener> listener;
};

WorkRequest send(const LocalBuffer& buffer, std::uint32_t slot = 0) {
  WorkRequest request;
  request.id = WorkId(WorkKind::first_user, slot, 7);
  request.opcode = Opcode::send;
  request.signaled = true;
  request.segment_count = buffer.length > 0 ? 1 : 0;
  request.segments[0] = buffer;
  return request;
}
WorkRequest rma(Opcode opcode, const LocalBuffer& buffer, RemoteBuffer remote, std::uint32_t slot = 0) {
  WorkRequest request = send(buffer, slot);
  request.opcode = opcode;
  request.remote = remote;
  return request;
}
Status post_one(Endpoint& endpoint, const WorkRequest& request) {
  return endpoint.post(std::span(&request, 1));
}

TEST_CASE("ofi: a handshake carries private data and credits both ways") {
  Pair pair;
  pair.start_listening();
  CHECK(pair.listener->address().port != 0);
  pair.start_connecting();
  CHECK(pair.client.endpoint->state() == EndpointState::connecting);
  REQUIRE(pair.run_until([&] { return !pair.server.requests.empty(); }));
  CHECK(text_of(pair.server.requests.front()->private_data()) == "hello");
  CHECK(pair.server.requests.front()->peer_credits() == 11);
  CHECK(pair.server.requests.front()->peer().starts_with("127.0.0.1:"));
  pair.accept();
  REQUIRE(pair.run_until([&] { return pair.client.saw(ConnectionEvent::Kind::established); }));
  CHECK(pair.client.private_data == "welcome");
  CHECK(pair.client.peer_credits == 22);
  CHECK(pair.client.endpoint->state() == EndpointState::connected);
}

TEST_CASE("ofi: a message arrives with its immediate data, also one of no bytes and one inline") {
  Pair pair;
  pair.connect();
  pair.client.put(0, "ping");
  WorkRequest with_immediate = send(pair.client.region->local(0, 4), 1);
  with_immediate.immediate = 0xfeedbeef;
  WorkRequest empty = send({}, 2);
  std::string inline_text = "inline";
  WorkRequest inlined = send({reinterpret_cast<std::byte*>(inline_text.data()), 6, 0}, 3);
  inlined.inline_data = true;
  const std::array chain{with_immediate, empty, inlined};
  REQUIRE(pair.client.endpoint->post(chain));
  inline_text = "reused";
  REQUIRE(pair.run_until(
      [&] { return pair.server.completions.size() == 3 && pair.client.completions.size() == 3; }));
  CHECK(pair.server.completions[0].immediate == 0xfeedbeef);
  CHECK(pair.server.completions[0].byte_count == 4);
  CHECK(pair.server.received(0, 4) == "ping");
  CHECK(pair.server.completions[1].byte_count == 0);
  CHECK_FALSE(pair.server.completions[1].immediate);
  CHECK(pair.server.received(2, 6) == "inline");
  for (std::uint32_t i = 0; i < 3; ++i) {
    CHECK(pair.client.completions[i].id.slot() == i + 1);
    CHECK(pair.client.completions[i].id.generation() == 7);
    CHECK(pair.client.completions[i].status == CompletionStatus::success);
    CHECK(pair.client.completions[i].endpoint == pair.client.endpoint.get());
    CHECK(pair.server.completions[i].is_receive);
  }
}

TEST_CASE("ofi: completions of sends come in the order of posting, a slow READ first") {
  Pair pair;
  pair.connect();
  pair.server.put(0, "far away");
  const std::array chain{
      rma(Opcode::read, pair.client.region->local(0, 1U << 20U), pair.server.region->remote(0), 1),
      send(pair.client.region->local(0, 4), 2)};
  REQUIRE(pair.client.endpoint->post(chain));
  REQUIRE(pair.run_until([&] { return pair.client.completions.size() == 2; }));
  CHECK(pair.client.completions[0].id.slot() == 1);
  CHECK(pair.client.completions[1].id.slot() == 2);
  CHECK(text_of(std::span(pair.client.memory).first(8)) == "far away");
}

TEST_CASE("ofi: a WRITE is in place before the following SEND is delivered") {
  Pair pair;
  pair.connect();
  for (int round = 0; round < 100; ++round) {
    const auto fill = static_cast<std::byte>(round);
    std::fill_n(pair.client.memory.begin(), 300'000, fill);
    WorkRequest write =
        rma(Opcode::write, pair.client.region->local(0, 300'000), pair.server.region->remote(1000), 1);
    write.signaled = false;
    const std::array chain{write, send(pair.client.region->local(0, 64), 2)};
    pair.server.completions.clear();
    pair.client.completions.clear();
    REQUIRE(pair.client.endpoint->post(chain));
    REQUIRE(pair.run_until([&] { return pair.server.completions.size() == 1; }));
    CHECK(pair.server.memory[1000] == fill);
    CHECK(pair.server.memory[1000 + 299'999] == fill);
    const ReceiveRequest again = pair.server.receive(0);
    REQUIRE(pair.server.endpoint->post_receives(std::span(&again, 1)));
    REQUIRE(pair.run_until([&] { return pair.client.completions.size() == 1; }));
    CHECK(pair.client.completions[0].id.slot() == 2);
  }
}

TEST_CASE("ofi: what the peer doesn't allow is refused, and nothing is touched") {
  Pair pair;
  pair.connect();
  Side& target = pair.server;
  const auto other_domain = target.provider->create_protection_domain().value();
  std::vector<std::byte> other_memory(4096);
  const auto other_region =
      other_domain->register_memory(other_memory, Access::remote_write | Access::remote_read).value();
  std::vector<std::byte> read_only_memory(4096);
  const auto read_only = target.domain->register_memory(read_only_memory, Access::remote_read).value();
  std::vector<std::byte> private_memory(4096);
  const auto private_region = target.domain->register_memory(private_memory, Access::local_write).value();

  RemoteBuffer remote;
  Opcode opcode = Opcode::write;
  SECTION("WRITE with a key that doesn't exist") {
    remote = {0x1234567, 0};
  }
  SECTION("WRITE past the end") {
    remote = target.region->remote(target.memory.size() - 63);
  }
  SECTION("WRITE before the start") {
    remote = target.region->remote(0);
    remote.address -= 1;
  }
  SECTION("WRITE into another protection domain's region") {
    remote = other_region->remote(0);
  }
  SECTION("WRITE into a region for reading") {
    remote = read_only->remote(0);
  }
  SECTION("WRITE into a region of no remote rights") {
    remote = private_region->remote(0);
  }
  SECTION("READ past the end") {
    remote = target.region->remote(target.memory.size() - 63);
    opcode = Opcode::read;
  }
  SECTION("READ of another protection domain's region") {
    remote = other_region->remote(0);
    opcode = Opcode::read;
  }
  SECTION("READ of a region of no remote rights") {
    remote = private_region->remote(0);
    opcode = Opcode::read;
  }
  std::fill_n(pair.client.memory.begin(), 64, std::byte{0xee});
  const std::array chain{rma(opcode, pair.client.region->local(0, 64), remote, 1),
                         send(pair.client.region->local(0, 4), 2)};
  REQUIRE(pair.client.endpoint->post(chain));
  REQUIRE(pair.run_until([&] {
    return pair.client.saw(ConnectionEvent::Kind::drained) && pair.server.saw(ConnectionEvent::Kind::drained);
  }));
  REQUIRE(pair.client.completions.size() == 2 + 4);
  const auto status_of_slot = [&](std::uint32_t slot) {
    const auto found = std::ranges::find_if(pair.client.completions, [&](const Completion& completion) {
      return !completion.is_receive && completion.id.slot() == slot;
    });
    return found->status;
  };
  CHECK(status_of_slot(1) == CompletionStatus::remote_access);
  CHECK(status_of_slot(2) == CompletionStatus::flushed);
  CHECK(pair.client.saw(ConnectionEvent::Kind::disconnected));
  CHECK(pair.client.failure.message.find("refused the key") != std::string::npos);
  for (const auto* memory : {&other_memory, &read_only_memory, &private_memory}) {
    CHECK(std::ranges::count(*memory, std::byte{0xee}) == 0);
  }
  CHECK(std::ranges::count(target.memory, std::byte{0xee}) == 0);
  for (const Completion& completion : target.completions)
    CHECK(completion.status == CompletionStatus::flushed);
}

TEST_CASE("ofi: a deregistered region is refused") {
  Pair pair;
  pair.connect();
  std::vector<std::byte> memory(4096);
  auto region = pair.server.domain->register_memory(memory, Access::remote_write).value();
  const RemoteBuffer remote = region->remote(0);
  region.reset();
  REQUIRE(post_one(*pair.client.endpoint, rma(Opcode::write, pair.client.region->local(0, 64), remote)));
  REQUIRE(pair.run_until([&] { return pair.client.saw(ConnectionEvent::Kind::drained); }));
  CHECK(std::ranges::count(pair.client.completions, CompletionStatus::remote_access, &Completion::status) ==
        1);
}

TEST_CASE("ofi: a peer that closes on purpose isn't taken for one that refused") {
  Pair pair;
  pair.connect();
  pair.server.endpoint->close();
  // The socket still takes it; the answer never comes.
  REQUIRE(post_one(*pair.client.endpoint,
                   rma(Opcode::write, pair.client.region->local(0, 64), pair.server.region->remote(0))));
  REQUIRE(pair.run_until([&] { return pair.client.saw(ConnectionEvent::Kind::drained); }));
  CHECK(pair.client.completions.size() == 5);
  for (const Completion& completion : pair.client.completions)
    CHECK(completion.status == CompletionStatus::flushed);
  CHECK(pair.client.failure.message.find("closed by the peer") != std::string::npos);
  CHECK_FALSE(pair.server.saw(ConnectionEvent::Kind::disconnected));
  CHECK(pair.server.endpoint->failure().code == StatusCode::ok);
}

TEST_CASE("ofi: a message longer than the receive fails the connection on both sides") {
  Pair pair;
  pair.connect();
  REQUIRE(post_one(*pair.client.endpoint, send(pair.client.region->local(0, 5000))));
  REQUIRE(pair.run_until([&] {
    return pair.client.saw(ConnectionEvent::Kind::drained) && pair.server.saw(ConnectionEvent::Kind::drained);
  }));
  CHECK(pair.server.completions[0].status == CompletionStatus::local_length);
  CHECK(pair.server.completions.size() == 4);
  CHECK(pair.server.failure.message.find("local length") != std::string::npos);
  CHECK(pair.client.saw(ConnectionEvent::Kind::disconnected));
}

TEST_CASE("ofi: a local key that doesn't cover its buffer fails the request") {
  Pair pair;
  pair.connect();
  LocalBuffer wrong = pair.client.region->local(0, 64);
  SECTION("unknown key") {
    wrong.key += 1;
  }
  SECTION("past the end") {
    wrong.data = pair.client.memory.data() + pair.client.memory.size() - 63;
  }
  REQUIRE(post_one(*pair.client.endpoint, send(wrong, 1)));
  REQUIRE(pair.run_until([&] { return pair.client.saw(ConnectionEvent::Kind::drained); }));
  CHECK(pair.client.completions[0].id.slot() == 1);
  CHECK(pair.client.completions[0].status == CompletionStatus::local_protection);
}

TEST_CASE("ofi: a full send queue refuses a chain whole, and has room again after completions") {
  Pair pair;
  pair.connect(128);
  const std::uint32_t depth = pair.client.endpoint->send_room();
  std::vector<WorkRequest> chain;
  for (std::uint32_t i = 0; i < depth; ++i) {
    chain.push_back(send(pair.client.region->local(0, 64), i));
    chain.back().signaled = i + 1 == depth;
  }
  REQUIRE(pair.client.endpoint->post(chain));
  CHECK(pair.client.endpoint->send_room() == 0);
  const Status refused = post_one(*pair.client.endpoint, chain[0]);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == StatusCode::queue_full);
  REQUIRE(pair.run_until([&] { return pair.server.completions.size() == depth; }));
  REQUIRE(pair.run_until([&] { return !pair.client.completions.empty(); }));
  CHECK(pair.client.completions.size() == 1);
  CHECK(pair.client.endpoint->send_room() == depth);
}

TEST_CASE("ofi: a message without a receive holds back what comes behind it, until one is posted") {
  Pair pair;
  pair.connect(1);
  const std::array<WorkRequest, 2> two{send(pair.client.region->local(0, 4), 1),
                                       send(pair.client.region->local(0, 4), 2)};
  REQUIRE(pair.client.endpoint->post(two));
  REQUIRE(pair.run_until([&] { return pair.server.completions.size() == 1; }));
  // The client's word that this is done comes behind its second message.
  REQUIRE(post_one(*pair.server.endpoint, rma(Opcode::write, pair.server.region->local(0, 64),
                                              pair.client.region->remote(4096), 3)));
  pair.run_until([&, turns = 0]() mutable { return ++turns > 1000; });
  CHECK(pair.server.completions.size() == 1);
  const ReceiveRequest late = pair.server.receive(0);
  REQUIRE(pair.server.endpoint->post_receives(std::span(&late, 1)));
  REQUIRE(pair.run_until([&] { return pair.server.completions.size() == 3; }));
  for (const Completion& completion : pair.server.completions)
    CHECK(completion.status == CompletionStatus::success);
}

TEST_CASE("ofi: a sleeping target answers large READs") {
  TransportConfig config = test_config();
  config.polling.mode = PollingMode::event;
  Pair pair(config);
  pair.connect();
  std::atomic<bool> is_over = false;
  std::thread target([&] {
    std::array<Completion, 8> batch;
    while (!is_over)
      pair.server.queue->wait(batch, 1s);
  });
  const auto start = std::chrono::steady_clock::now();
  constexpr std::uint32_t kReads = 200;
  std::uint32_t completed = 0;
  for (std::uint32_t i = 0; i < kReads; ++i) {
    REQUIRE(post_one(*pair.client.endpoint, rma(Opcode::read, pair.client.region->local(0, 4U << 20U),
                                                pair.server.region->remote(0), i)));
    std::array<Completion, 8> batch;
    while (completed <= i && std::chrono::steady_clock::now() - start < kPatience)
      completed += static_cast<std::uint32_t>(pair.client.queue->wait(batch, 1s));
  }
  is_over = true;
  pair.client.endpoint->close();  // wakes the target
  target.join();
  CHECK(completed == kReads);
}

TEST_CASE("ofi: close() completes everything exactly once and then drains") {
  Pair pair;
  pair.connect(16);
  for (std::uint32_t i = 0; i < 20; ++i) {
    WorkRequest request =
        rma(i % 2 == 0 ? Opcode::write : Opcode::read, pair.client.region->local(0, 1U << 20U),
            pair.server.region->remote(0), 100 + i);
    request.signaled = i % 3 == 0;
    REQUIRE(post_one(*pair.client.endpoint, request));
  }
  pair.client.endpoint->close();
  pair.client.endpoint->close();
  REQUIRE(pair.run_until([&] {
    return pair.client.saw(ConnectionEvent::Kind::drained) && pair.server.saw(ConnectionEvent::Kind::drained);
  }));
  CHECK(pair.client.endpoint->state() == EndpointState::drained);
  CHECK_FALSE(pair.client.saw(ConnectionEvent::Kind::disconnected));
  std::map<std::uint32_t, int> seen;
  for (const Completion& completion : pair.client.completions) {
    ++seen[completion.id.slot()];
    CHECK(completion.status == CompletionStatus::flushed);
  }
  CHECK(seen.size() == 20 + 16);
  for (const auto& [slot, times] : seen)
    CHECK(times == 1);
  CHECK(pair.server.saw(ConnectionEvent::Kind::disconnected));
  CHECK(post_one(*pair.client.endpoint, send({})).error().code == StatusCode::unavailable);
}

TEST_CASE("ofi: destroying an endpoint ends all talk of it") {
  Pair pair;
  pair.connect();
  REQUIRE(post_one(*pair.client.endpoint, send(pair.client.region->local(0, 64))));
  pair.client.endpoint.reset();
  REQUIRE(pair.run_until([&] { return pair.server.saw(ConnectionEvent::Kind::drained); }));
  CHECK(pair.client.completions.empty());
  CHECK_FALSE(pair.client.saw(ConnectionEvent::Kind::drained));
  CHECK(pair.server.completions.size() == 4);
  CHECK(pair.server.completions[0].status == CompletionStatus::success);
}

TEST_CASE("ofi: an address where nobody listens refuses the connection") {
  Pair pair;
  pair.start_listening();
  const Address address = pair.listener->address();
  pair.listener.reset();
  pair.client.endpoint = pair.client.provider->connect(address, pair.client.endpoint_config(), {}).value();
  REQUIRE(pair.run_until([&] { return pair.client.saw(ConnectionEvent::Kind::drained); }));
  CHECK(pair.client.failure.code == StatusCode::connection_refused);
  CHECK(pair.client.failure.message.find("nobody listens") != std::string::npos);
  CHECK(pair.client.failure.message.find(to_string(address)) != std::string::npos);
}

TEST_CASE("ofi: a rejected connection brings the peer's words") {
  Pair pair;
  pair.start_listening();
  pair.start_connecting();
  REQUIRE(pair.run_until([&] { return !pair.server.requests.empty(); }));
  SECTION("with words") {
    pair.server.provider->reject(std::move(pair.server.requests.front()), bytes_of("no such session"));
  }
  SECTION("dropped") {
    pair.server.requests.clear();
  }
  SECTION("after the listener went") {
    pair.listener.reset();
    pair.server.provider->reject(std::move(pair.server.requests.front()), bytes_of("no such session"));
  }
  const bool has_words = !pair.server.requests.empty() || !pair.listener;
  REQUIRE(pair.run_until([&] { return pair.client.saw(ConnectionEvent::Kind::drained); }));
  CHECK(pair.client.failure.code == StatusCode::connection_refused);
  if (has_words) CHECK(pair.client.private_data == "no such session");
  CHECK(pair.client.completions.size() == 4);
  pair.server.requests.clear();
}

TEST_CASE("ofi: a request outlives its listener and can still be accepted") {
  Pair pair;
  pair.start_listening();
  pair.start_connecting();
  REQUIRE(pair.run_until([&] { return !pair.server.requests.empty(); }));
  pair.listener.reset();
  pair.accept();
  REQUIRE(pair.run_until([&] { return pair.client.saw(ConnectionEvent::Kind::established); }));
}

TEST_CASE("ofi: a request that nobody took is refused when its listener goes") {
  Pair pair;
  pair.start_listening();
  pair.start_connecting();
  const std::size_t turns = GENERATE(0U, 1U, 2U, 3U, 4U, 5U);
  for (std::size_t i = 0; i < turns; ++i) {
    pair.client.turn();
    std::array<Completion, 1> none;
    pair.server.queue->wait(none, 300us);  // looks at the fabric's events without taking one
  }
  INFO(turns << " turns");
  pair.listener.reset();
  REQUIRE(pair.run_until([&] { return pair.client.saw(ConnectionEvent::Kind::drained); }));
  CHECK(pair.client.failure.code == StatusCode::connection_refused);
}

/// A listening socket that isn't a sluice peer.
struct RawListener {
  RawListener() {
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(::listen(fd, 1) == 0);
    socklen_t length = sizeof address;
    REQUIRE(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) == 0);
    port = ntohs(address.sin_port);
  }
  RawListener(const RawListener&) = delete;
  RawListener& operator=(const RawListener&) = delete;
  ~RawListener() { close(fd); }
  int fd = -1;
  std::uint16_t port = 0;
};

TEST_CASE("ofi: a peer that never answers times out") {
  TransportConfig config = test_config();
  config.connect_timeout = 50ms;
  const RawListener silent;
  Side client(config);
  client.endpoint =
      client.provider->connect({"127.0.0.1", silent.port}, client.endpoint_config(client.receives(2)), {})
          .value();
  const auto start = std::chrono::steady_clock::now();
  while (!client.saw(ConnectionEvent::Kind::drained) &&
         std::chrono::steady_clock::now() - start < kPatience) {
    std::array<Completion, 4> batch;
    client.queue->wait(batch, 1s);  // ends early for the timeout
    client.turn();
  }
  CHECK(client.failure.code == StatusCode::timed_out);
  CHECK(std::chrono::steady_clock::now() - start < 900ms);
}

TEST_CASE("ofi: a peer that hangs up during the handshake refuses the connection") {
  const RawListener rude;
  Side client;
  client.endpoint = client.provider->connect({"127.0.0.1", rude.port}, client.endpoint_config(), {}).value();
  for (int i = 0; i < 10; ++i)
    client.turn();
  const int accepted = accept(rude.fd, nullptr, nullptr);
  REQUIRE(accepted >= 0);
  SECTION("without a word") {}
  SECTION("after a line of another protocol") {
    const std::string_view banner = "220 mail.example.org ESMTP\r\n";
    REQUIRE(write(accepted, banner.data(), banner.size()) == static_cast<ssize_t>(banner.size()));
  }
  close(accepted);
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!client.saw(ConnectionEvent::Kind::drained) && std::chrono::steady_clock::now() < end)
    client.turn();
  CHECK((client.failure.code == StatusCode::connection_refused ||
         client.failure.code == StatusCode::version_mismatch));
}

TEST_CASE("ofi: a stranger who connects and hangs up leaves nothing behind") {
  Pair pair;
  pair.start_listening();
  pair.run_until([&, turns = 0]() mutable { return ++turns > 3; });
  const std::size_t before = open_descriptors();
  for (int i = 0; i < 3; ++i) {
    const int stranger = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(pair.listener->address().port);
    REQUIRE(::connect(stranger, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    for (int turn = 0; turn < 5; ++turn)
      pair.server.turn();
    close(stranger);
    for (int turn = 0; turn < 5; ++turn)
      pair.server.turn();
  }
  CHECK(open_descriptors() == before);
  pair.connect();
}

TEST_CASE("ofi: addresses that can't be listened on say so") {
  Side side;
  const auto listener = side.provider->listen({"127.0.0.1", 0}).value();
  const auto in_use = side.provider->listen(listener->address());
  REQUIRE_FALSE(in_use);
  CHECK(in_use.error().code == StatusCode::address_unusable);
  const auto foreign = side.provider->listen({"192.0.2.77", 0});
  REQUIRE_FALSE(foreign);
  CHECK(foreign.error().code == StatusCode::address_unusable);
  const auto unresolvable = side.provider->listen({"no-such-host.invalid", 0});
  REQUIRE_FALSE(unresolvable);
  CHECK(unresolvable.error().code == StatusCode::address_unusable);
}

TEST_CASE("ofi: opening a fabric that isn't there names those that are") {
  TransportConfig config = test_config();
  config.fabric = "warp";
  const auto provider = ofi::open_ofi_provider(config);
  REQUIRE_FALSE(provider);
  CHECK(provider.error().code == StatusCode::no_device);
  CHECK(provider.error().message.find("\"warp\"") != std::string::npos);
  CHECK(provider.error().message.find("tcp") != std::string::npos);
}

TEST_CASE("ofi: a local address that isn't ours is refused at open") {
  TransportConfig config = test_config();
  config.local_host = "192.0.2.77";
  const auto provider = ofi::open_ofi_provider(config);
  REQUIRE_FALSE(provider);
  CHECK(provider.error().code == StatusCode::address_unusable);
}

TEST_CASE("ofi: connections of two protection domains share one completion queue") {
  Pair pair;
  pair.connect();
  const auto second_domain = pair.server.provider->create_protection_domain().value();
  std::vector<std::byte> memory(8192);
  const auto region = second_domain->register_memory(memory, Access::local_write).value();
  auto client_endpoint =
      pair.client.provider->connect(pair.listener->address(), pair.client.endpoint_config(), {}).value();
  REQUIRE(pair.run_until([&] { return !pair.server.requests.empty(); }));
  const ReceiveRequest receive{WorkId(WorkKind::first_user, 900), region->local(0, 4096)};
  EndpointConfig config = pair.server.endpoint_config(std::span(&receive, 1));
  config.domain = second_domain.get();
  auto server_endpoint =
      pair.server.provider->accept(std::move(pair.server.requests.front()), config, {}).value();
  pair.server.requests.clear();
  REQUIRE(pair.run_until([&] { return client_endpoint->state() == EndpointState::connected; }));
  pair.client.put(0, "second");
  REQUIRE(post_one(*client_endpoint, send(pair.client.region->local(0, 6))));
  pair.client.put(100, "first");
  REQUIRE(post_one(*pair.client.endpoint, send(pair.client.region->local(100, 5))));
  REQUIRE(pair.run_until([&] { return pair.server.completions.size() == 2; }));
  CHECK(text_of(std::span(memory).first(6)) == "second");
  CHECK(pair.server.received(0, 5) == "first");
  server_endpoint.reset();
  client_endpoint.reset();
}

TEST_CASE("ofi: a sleeping waiter is woken for a message, a connection event and a watched descriptor") {
  TransportConfig config = test_config();
  config.polling.mode = PollingMode::event;
  Pair pair(config);
  pair.connect();
  std::array<Completion, 8> batch;
  CHECK(pair.server.queue->wait(batch, 1ms) == 0);
  SECTION("message") {
    REQUIRE(post_one(*pair.client.endpoint, send(pair.client.region->local(0, 64))));
    CHECK(pair.server.queue->wait(batch, 5s) == 1);
  }
  SECTION("connection event") {
    pair.client.endpoint->close();
    std::size_t flushed = 0;
    while (flushed < 4) {
      const std::size_t count = pair.server.queue->wait(batch, 5s);
      while (const auto event = pair.server.provider->next_event())
        pair.server.events.push_back(event->kind);
      flushed += count;
    }
    while (const auto event = pair.server.provider->next_event())
      pair.server.events.push_back(event->kind);
    CHECK(pair.server.saw(ConnectionEvent::Kind::drained));
  }
  SECTION("watched descriptor") {
    const int fd = eventfd(1, EFD_CLOEXEC);
    REQUIRE(pair.server.queue->watch(fd));
    const auto start = std::chrono::steady_clock::now();
    CHECK(pair.server.queue->wait(batch, 5s) == 0);
    CHECK(std::chrono::steady_clock::now() - start < 4s);
    pair.server.queue->unwatch(fd);
    CHECK(pair.server.queue->wait(batch, 1ms) == 0);
    close(fd);
  }
}

TEST_CASE("ofi: connecting and closing 200 times leaves nothing behind") {
  Pair pair;
  pair.start_listening();
  std::size_t before = 0;
  for (int round = 0; round < 200; ++round) {
    pair.client.events.clear();
    pair.server.events.clear();
    pair.connect(2);
    pair.client.endpoint->close();
    REQUIRE(pair.run_until([&] { return pair.server.saw(ConnectionEvent::Kind::drained); }));
    pair.client.endpoint.reset();
    pair.server.endpoint.reset();
    if (round == 0) before = open_descriptors();
  }
  CHECK(open_descriptors() == before);
}

/// Fails the n-th call.
class FailNth final : public FaultInjector {
 public:
  explicit FailNth(int n) : left_(n) {}
  bool should_fail(std::string_view call) noexcept override {
    if (left_-- != 0) return false;
    failed = call;
    return true;
  }
  std::string_view failed;

 private:
  int left_;
};

/// One life of a connection, going on as far as it gets.
void live(const TransportConfig& config) {
  auto provider = ofi::open_ofi_provider(config);
  if (!provider) return;
  auto domain = (*provider)->create_protection_domain();
  if (!domain) return;
  auto queue = (*provider)->create_completion_queue(1024);
  if (!queue) return;
  std::vector<std::byte> memory(8192);
  auto region = (*domain)->register_memory(memory, Access::remote_write | Access::remote_read);
  if (!region) return;
  auto listener = (*provider)->listen({"127.0.0.1", 0});
  if (!listener) return;
  const ReceiveRequest receive{WorkId(WorkKind::first_user, 0), (*region)->local(0, 64)};
  EndpointConfig endpoint_config;
  endpoint_config.domain = domain->get();
  endpoint_config.queue = queue->get();
  endpoint_config.initial_receives = std::span(&receive, 1);
  auto active = (*provider)->connect((*listener)->address(), endpoint_config, {});
  if (!active) return;
  Result<std::unique_ptr<Endpoint>> passive = fail(StatusCode::unavailable);
  const int expected = 3;
  int outcomes = 0;
  bool is_posted = false;
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!(is_posted && outcomes >= expected) && (*active)->state() != EndpointState::drained) {
    if (std::chrono::steady_clock::now() > end)
      FAIL("stuck with " << outcomes << " outcomes of " << expected);
    while (auto event = (*provider)->next_event()) {
      if (event->kind == ConnectionEvent::Kind::connect_request) {
        passive = (*provider)->accept(std::move(event->request), endpoint_config, {});
      }
    }
    std::array<Completion, 8> batch;
    const std::size_t count = (*queue)->wait(batch, Duration::zero());
    for (const Completion& completion : std::span(batch).first(count)) {
      if (completion.endpoint == active->get()) ++outcomes;
    }
    if (!is_posted && passive && (*active)->state() == EndpointState::connected) {
      const std::array chain{rma(Opcode::write, (*region)->local(128, 64), (*region)->remote(1024), 1),
                             rma(Opcode::read, (*region)->local(256, 64), (*region)->remote(2048), 2),
                             send((*region)->local(128, 64), 3)};
      is_posted = (*active)->post(chain).has_value();
    }
  }
  (*active)->close();
}

TEST_CASE("ofi: any one failing call leaks nothing and loses nothing") {
  live(test_config());  // what libfabric opens once and keeps
  const std::size_t before = open_descriptors();
  int n = 0;
  for (;; ++n) {
    FailNth faults(n);
    TransportConfig config = test_config();
    config.connect_timeout = 200ms;
    config.faults = &faults;
    INFO("call " << n << " failing: " << faults.failed);
    live(config);
    CHECK(open_descriptors() == before);
    if (faults.failed.empty()) break;
    if (n > 400) break;  // from here on polls only
  }
  CHECK(n > 25);
}

}  // namespace
}  // namespace sluice::transport
