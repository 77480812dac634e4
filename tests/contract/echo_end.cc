#include "tests/contract/echo_end.h"

#include <array>
#include <chrono>
#include <utility>

namespace sluice::transport::contract {

namespace {

/// Longer than any scheduling delay of a loaded machine: who sleeps that long missed a wake-up.
constexpr Duration kLostWakeUp = std::chrono::seconds(20);

ChannelConfig echo_channel() {
  return {.max_receive_bytes = 64, .receive_credits = 4, .send_depth = 32};
}

}  // namespace

EchoEnd::EchoEnd(PollingMode mode) : mode_(mode) {}

std::string EchoEnd::open() {
  TransportConfig config;
  config.rnr_retry_count = 0;
  config.polling.mode = mode_;
  auto provider = fabric_->open(0, config);
  if (!provider) return provider.error().describe();
  provider_ = std::move(*provider);
  auto domain = provider_->create_protection_domain();
  if (!domain) return domain.error().describe();
  domain_ = std::move(*domain);
  auto queue = provider_->create_completion_queue(256);
  if (!queue) return queue.error().describe();
  queue_ = std::move(*queue);
  return {};
}

void EchoEnd::take_events() {
  while (auto event = provider_->next_event()) {
    switch (event->kind) {
      case ConnectionEvent::Kind::connect_request:
        request_ = std::move(event->request);
        break;
      case ConnectionEvent::Kind::established:
        if (channel_) channel_->on_established(event->peer_credits);
        established_ = true;
        break;
      case ConnectionEvent::Kind::disconnected:
        failure_ = event->error.describe();
        ended_ = true;
        break;
      default:
        break;
    }
  }
}

/// One turn: sleeps until there is something, takes all of it.
template <typename Handle>
std::string EchoEnd::step(Handle&& on_message) {
  std::array<Completion, 16> taken;
  const Instant start = fabric_->now();
  const std::size_t count = queue_->wait(taken, kLostWakeUp);
  if (count == 0 && fabric_->now() - start >= kLostWakeUp) {
    return "slept for 20 s: a wake-up was lost; then " + std::to_string(queue_->poll(taken)) +
           " completions were there";
  }
  take_events();
  for (const Completion& completion : std::span(taken).first(count)) {
    if (completion.status != CompletionStatus::success && !ended_) {
      return to_string(completion.id) + ": " + std::string(to_string(completion.status)) + ", " +
             completion.endpoint->failure().describe();
    }
    const ChannelEvent event = channel_->on_completion(completion);
    if (event.kind != ChannelEvent::Kind::message) continue;
    on_message(event);
    channel_->release(event.message);
  }
  if (channel_) {
    if (auto status = channel_->flush(); !status && !ended_) return status.error().describe();
  }
  return {};
}

std::string EchoEnd::serve(std::promise<Address> where, std::uint64_t count) {
  if (auto failed = open(); !failed.empty()) {
    where.set_value({});
    return failed;
  }
  auto listener = provider_->listen(fabric_->address(0));
  where.set_value(listener ? (*listener)->address() : Address{});
  if (!listener) return listener.error().describe();
  listener_ = std::move(*listener);
  std::uint64_t echoed = 0;
  while (echoed < count && !ended_) {
    auto failed = step([&](const ChannelEvent& event) {
      if (channel_->send({.head = event.bytes})) ++echoed;
    });
    if (!failed.empty()) return failed;
    if (request_ && !channel_) {
      auto accepted = Channel::accept(*provider_, *domain_, *queue_, std::move(request_), echo_channel(), {});
      if (!accepted) return accepted.error().describe();
      channel_ = std::move(*accepted);
    }
  }
  // The client ends the connection: then every echo has arrived.
  while (!ended_) {
    if (auto failed = step([](const ChannelEvent&) {}); !failed.empty()) return failed;
  }
  return echoed == count ? std::string() : "ended after " + std::to_string(echoed) + " echoes: " + failure_;
}

std::string EchoEnd::call(const Address& where, std::uint64_t count) {
  if (auto failed = open(); !failed.empty()) return failed;
  auto connecting = Channel::connect(*provider_, *domain_, *queue_, where, echo_channel(), {});
  if (!connecting) return connecting.error().describe();
  channel_ = std::move(*connecting);
  while (!established_ && !ended_) {
    if (auto failed = step([](const ChannelEvent&) {}); !failed.empty()) return failed;
  }
  std::uint64_t answered = 0;
  const std::array<std::byte, 32> head{};
  while (answered < count && !ended_) {
    if (answered == 0 && channel_->counts().messages_sent == 0) {
      if (!channel_->send({.head = head}) || !channel_->flush()) return "the first message was refused";
    }
    auto failed = step([&](const ChannelEvent&) {
      if (++answered < count && !channel_->send({.head = head})) ended_ = true;
    });
    if (!failed.empty()) return failed;
  }
  channel_->close();
  return answered == count ? std::string()
                           : "ended after " + std::to_string(answered) + " answers: " + failure_;
}

}  // namespace sluice::transport::contract
