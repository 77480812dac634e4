#pragma once

#include <functional>
#include <memory>

#include "tests/contract/stage.h"
#include "transport/channel.h"

namespace sluice::transport::contract {

/// How many messages a long test exchanges: `full`, scaled down by SLUICE_TEST_SCALE (a divisor, default 1;
/// sanitizers and emulated machines set it), and printed when it isn't full.
std::uint64_t message_count(std::uint64_t full);

/// One end's channel and the party that it belongs to.
struct ChannelEnd {
  Party& party;
  std::unique_ptr<Channel> channel;
  bool established = false;
  bool disconnected = false;
  bool drained = false;

  /// Takes completions and events; hands each channel event to `handle`.
  template <typename Handle>
  bool turn(Handle&& handle) {
    std::array<Completion, 32> taken;
    const std::size_t count = party.queue().poll(taken);
    for (const Completion& completion : std::span(taken).first(count)) {
      Channel& owner = Channel::of(*completion.endpoint);
      ChannelEvent event = owner.on_completion(completion);
      handle(owner, event);
      while (!completion.is_receive && event.kind != ChannelEvent::Kind::none) {
        event = owner.more_sent();
        handle(owner, event);
      }
    }
    return take_events() || count > 0;
  }

  bool take_events();
};

/// A client and a server with a channel between them, connected. Both parties' endpoints are the channels',
/// so that the parties' own record isn't used.
class ChannelStage {
 public:
  explicit ChannelStage(const ChannelConfig& config, const StageOptions& options = {});

  /// `turn` takes both sides' turns and says whether all is done.
  bool until(const std::function<bool()>& turn, Duration patience = kPatience);
  void advance() { fabric_->advance(); }

 private:
  std::unique_ptr<TestFabric> fabric_ = make_fabric();
  Party client_party_;
  Party server_party_;

 public:
  ChannelEnd client{client_party_, nullptr};
  ChannelEnd server{server_party_, nullptr};
};

}  // namespace sluice::transport::contract
