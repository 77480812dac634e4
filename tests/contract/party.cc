#include "tests/contract/party.h"

#include <algorithm>
#include <utility>

#include <catch2/catch.hpp>

namespace sluice::transport::contract {

TransportConfig test_config() {
  TransportConfig config;
  config.rnr_retry_count = 0;
  return config;
}

namespace {

template <typename T>
T must(Result<T> result) {
  if (!result) FAIL(result.error().describe());
  return std::move(*result);
}

}  // namespace

Party::Party(TestFabric& fabric, int host, TransportConfig config, PartyOptions options)
    : host_(host), fabric_(fabric), memory_(options.memory_bytes) {
  config.log = [lines = log_](LogLevel, std::string_view line) { lines->emplace_back(line); };
  provider_ = must(fabric.open(host, config));
  domain_ = must(provider_->create_protection_domain());
  queue_ = must(provider_->create_completion_queue(options.queue_depth));
  region_ = must(
      domain_->register_memory(memory_, Access::local_write | Access::remote_write | Access::remote_read));
}

Party::~Party() {
  requests_.clear();
  listener_.reset();
  region_.reset();
  queue_.reset();
  domain_.reset();
}

Address Party::listen() {
  listener_ = must(provider_->listen(fabric_.address(host_)));
  REQUIRE(listener_->address().port != 0);
  return listener_->address();
}

EndpointConfig Party::endpoint_config() noexcept {
  EndpointConfig config;
  config.domain = domain_.get();
  config.queue = queue_.get();
  config.send_depth = 64;
  config.receive_depth = 64;
  config.max_segments = kMaxSegments;
  return config;
}

std::unique_ptr<Endpoint> Party::connect(const Address& to, const EndpointConfig& config,
                                         std::span<const std::byte> private_data) {
  return must(try_connect(to, config, private_data));
}

Result<std::unique_ptr<Endpoint>> Party::try_connect(const Address& to, const EndpointConfig& config,
                                                     std::span<const std::byte> private_data) {
  auto endpoint = provider_->connect(to, config, private_data);
  if (endpoint) adopt(**endpoint, config);
  return endpoint;
}

void Party::adopt(const Endpoint& endpoint, const EndpointConfig& config) {
  Record& entry = records_[&endpoint] = {};
  for (const ReceiveRequest& receive : config.initial_receives)
    entry.receives.push_back({receive.id.bits(), true});
}

std::unique_ptr<Endpoint> Party::accept(const EndpointConfig& config,
                                        std::span<const std::byte> private_data) {
  auto endpoint = must(provider_->accept(take_request(), config, private_data));
  adopt(*endpoint, config);
  return endpoint;
}

std::unique_ptr<ConnectionRequest> Party::take_request() {
  REQUIRE_FALSE(requests_.empty());
  auto request = std::move(requests_.front());
  requests_.pop_front();
  return request;
}

Status Party::post(Endpoint& endpoint, std::span<const WorkRequest> chain) {
  const Status status = endpoint.post(chain);
  if (status) {
    Record& entry = record_of(&endpoint);
    for (const WorkRequest& request : chain)
      entry.sends.push_back({request.id.bits(), request.signaled});
  }
  return status;
}

Status Party::post_receives(Endpoint& endpoint, std::span<const ReceiveRequest> receives) {
  const Status status = endpoint.post_receives(receives);
  if (status) {
    Record& entry = record_of(&endpoint);
    for (const ReceiveRequest& receive : receives)
      entry.receives.push_back({receive.id.bits(), true});
  }
  return status;
}

void Party::forget(const Endpoint& endpoint) {
  records_.erase(&endpoint);
  for (Completion& completion : completions)
    if (completion.endpoint == &endpoint) completion.endpoint = nullptr;
  for (SeenEvent& event : events)
    if (event.endpoint == &endpoint) event.endpoint = nullptr;
}

bool Party::turn() {
  std::array<Completion, 32> taken;
  const std::size_t count = queue_->poll(taken);
  record(std::span(taken).first(count));
  const bool any_event = take_events();
  return count > 0 || any_event;
}

void Party::record(std::span<const Completion> taken) {
  for (const Completion& completion : taken)
    enter(completion);
}

bool Party::take_events() {
  bool any = false;
  while (auto event = provider_->next_event()) {
    any = true;
    enter(std::move(*event));
  }
  return any;
}

Party::Record& Party::record_of(const Endpoint* endpoint) {
  const auto found = records_.find(endpoint);
  INFO("an endpoint that doesn't exist, or no more");
  REQUIRE(found != records_.end());
  return found->second;
}

void Party::enter(const Completion& completion) {
  INFO("completion " << to_string(completion.id) << ", " << to_string(completion.status));
  Record& entry = record_of(completion.endpoint);
  REQUIRE_FALSE(entry.drained);
  REQUIRE(completion.id.kind() != WorkKind::drain_marker);
  auto& queue = completion.is_receive ? entry.receives : entry.sends;
  const std::uint64_t bits = completion.id.at_endpoint(0).bits();
  while (!queue.empty() && queue.front().bits != bits) {
    INFO("skipped " << to_string(WorkId::from_bits(queue.front().bits)));
    REQUIRE_FALSE(queue.front().signaled);
    queue.pop_front();
  }
  REQUIRE_FALSE(queue.empty());
  const bool silent = !queue.front().signaled && completion.status == CompletionStatus::success;
  REQUIRE_FALSE(silent);
  queue.pop_front();
  completions.push_back(completion);
}

void Party::enter(ConnectionEvent event) {
  INFO("event " << to_string(event.kind) << " " << event.error.describe());
  if (event.kind == ConnectionEvent::Kind::connect_request) {
    REQUIRE(event.request != nullptr);
    REQUIRE(event.listener == listener_.get());
    requests_.push_back(std::move(event.request));
  } else if (event.endpoint != nullptr) {
    Record& entry = record_of(event.endpoint);
    REQUIRE_FALSE(entry.drained);
    if (event.kind == ConnectionEvent::Kind::disconnected) {
      REQUIRE_FALSE(entry.disconnected);
      REQUIRE(event.error.code != StatusCode::ok);
      REQUIRE_FALSE(event.error.message.empty());
      entry.disconnected = true;
    }
    if (event.kind == ConnectionEvent::Kind::drained) {
      entry.drained = true;
      CHECK(entry.receives.empty());
      CHECK(std::ranges::none_of(entry.sends, &Posted::signaled));
      CHECK(event.endpoint->state() == EndpointState::drained);
    }
  }
  events.push_back({event.kind, event.endpoint, event.listener, std::move(event.error),
                    std::move(event.private_data), event.peer_credits});
}

const SeenEvent* Party::find_event(ConnectionEvent::Kind kind, const Endpoint* endpoint) const {
  const auto found = std::ranges::find_if(
      events, [&](const SeenEvent& event) { return event.kind == kind && event.endpoint == endpoint; });
  return found == events.end() ? nullptr : &*found;
}

const Completion* Party::find(WorkId id, const Endpoint* endpoint) const {
  const auto found = std::ranges::find_if(completions, [&](const Completion& completion) {
    return completion.id.at_endpoint(0) == id && (endpoint == nullptr || completion.endpoint == endpoint);
  });
  return found == completions.end() ? nullptr : &*found;
}

std::size_t Party::count_receives(CompletionStatus status) const {
  return static_cast<std::size_t>(std::ranges::count_if(
      completions, [&](const Completion& c) { return c.is_receive && c.status == status; }));
}

std::size_t Party::count_sends(CompletionStatus status) const {
  return static_cast<std::size_t>(std::ranges::count_if(
      completions, [&](const Completion& c) { return !c.is_receive && c.status == status; }));
}

std::size_t Party::outstanding(const Endpoint& endpoint) const {
  const auto found = records_.find(&endpoint);
  return found == records_.end() ? 0 : found->second.sends.size() + found->second.receives.size();
}

WorkRequest send_of(LocalBuffer buffer, std::uint32_t number, bool signaled) {
  WorkRequest request;
  request.id = send_id(number);
  request.opcode = Opcode::send;
  request.signaled = signaled;
  if (buffer.length > 0) {
    request.segment_count = 1;
    request.segments[0] = buffer;
  }
  return request;
}

WorkRequest write_of(LocalBuffer from, RemoteBuffer to, std::uint32_t number, bool signaled) {
  WorkRequest request = send_of(from, number, signaled);
  request.opcode = Opcode::write;
  request.remote = to;
  return request;
}

WorkRequest read_of(LocalBuffer to, RemoteBuffer from, std::uint32_t number) {
  WorkRequest request = send_of(to, number, true);
  request.opcode = Opcode::read;
  request.remote = from;
  return request;
}

ReceiveRequest receive_into(LocalBuffer buffer, std::uint32_t number) {
  return {receive_id(number), buffer};
}

void fill(std::span<std::byte> bytes, std::uint32_t seed) {
  std::uint32_t state = seed * 2654435761U + 1;
  for (std::byte& byte : bytes) {
    state = state * 1664525U + 1013904223U;
    byte = static_cast<std::byte>(state >> 24U);
  }
}

bool is_filled(std::span<const std::byte> bytes, std::uint32_t seed) {
  std::uint32_t state = seed * 2654435761U + 1;
  return std::ranges::all_of(bytes, [&](std::byte byte) {
    state = state * 1664525U + 1013904223U;
    return byte == static_cast<std::byte>(state >> 24U);
  });
}

std::vector<std::byte> bytes_of(std::string_view text) {
  std::vector<std::byte> bytes(text.size());
  std::ranges::transform(text, bytes.begin(), [](char c) { return static_cast<std::byte>(c); });
  return bytes;
}

}  // namespace sluice::transport::contract
