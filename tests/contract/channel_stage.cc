#include "tests/contract/channel_stage.h"

#include <cstdio>
#include <cstdlib>

#include <catch2/catch.hpp>

namespace sluice::transport::contract {

std::uint64_t message_count(std::uint64_t full) {
  const char* const value = std::getenv("SLUICE_TEST_SCALE");
  const std::uint64_t divisor = value == nullptr ? 1 : std::strtoull(value, nullptr, 10);
  if (divisor <= 1) return full;
  const std::uint64_t scaled = std::max<std::uint64_t>(full / divisor, 100);
  std::printf("scaled by SLUICE_TEST_SCALE: %llu instead of %llu\n", static_cast<unsigned long long>(scaled),
              static_cast<unsigned long long>(full));
  return scaled;
}

bool ChannelEnd::take_events() {
  bool any = false;
  while (auto event = party.provider().next_event()) {
    any = true;
    switch (event->kind) {
      case ConnectionEvent::Kind::connect_request:
        party.give_back_request(std::move(event->request));
        break;
      case ConnectionEvent::Kind::established:
        channel->on_established(event->peer_credits);
        established = true;
        break;
      case ConnectionEvent::Kind::disconnected:
        disconnected = true;
        break;
      case ConnectionEvent::Kind::drained:
        REQUIRE_FALSE(drained);
        drained = true;
        break;
      default:
        FAIL("an event that has no place here: " << to_string(event->kind));
    }
  }
  return any;
}

ChannelStage::ChannelStage(const ChannelConfig& config, const StageOptions& options)
    : client_party_(*fabric_, 0, options.client, options.party),
      server_party_(*fabric_, 1, options.server, options.party) {
  const auto nothing = [](Channel&, const ChannelEvent&) {};
  const Address address = server_party_.listen();
  auto connecting = Channel::connect(client_party_.provider(), client_party_.domain(), client_party_.queue(),
                                     address, config, {});
  if (!connecting) FAIL(connecting.error().describe());
  client.channel = std::move(*connecting);
  REQUIRE(until([&] {
    client.turn(nothing);
    server.take_events();
    return server_party_.has_request();
  }));
  auto accepted = Channel::accept(server_party_.provider(), server_party_.domain(), server_party_.queue(),
                                  server_party_.take_request(), config, {});
  if (!accepted) FAIL(accepted.error().describe());
  server.channel = std::move(*accepted);
  REQUIRE(until([&] {
    client.turn(nothing);
    server.turn(nothing);
    return client.established && server.established;
  }));
}

bool ChannelStage::until(const std::function<bool()>& turn, Duration patience) {
  const Instant deadline = fabric_->now() + patience;
  while (!turn()) {
    if (fabric_->now() > deadline) return false;
    fabric_->advance();
  }
  return true;
}

}  // namespace sluice::transport::contract
