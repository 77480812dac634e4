#pragma once

#include <array>
#include <deque>
#include <optional>
#include <vector>

#include "protocol/base/clock.h"
#include "transport/provider.h"
#include "transport/verbs/device.h"

namespace sluice::transport::verbs {

/// Connection events that wait to be taken.
class EventQueue {
 public:
  void push(ConnectionEvent event) { events_.push_back(std::move(event)); }
  std::optional<ConnectionEvent> pop() {
    if (events_.empty()) return std::nullopt;
    ConnectionEvent event = std::move(events_.front());
    events_.pop_front();
    return event;
  }
  [[nodiscard]] bool empty() const noexcept { return events_.empty(); }
  /// Drops what speaks of an object that is being destroyed.
  void forget(const Endpoint& endpoint) {
    std::erase_if(events_, [&](const ConnectionEvent& event) { return event.endpoint == &endpoint; });
  }
  void forget(const Listener& listener) {
    std::erase_if(events_, [&](const ConnectionEvent& event) { return event.listener == &listener; });
  }

 private:
  std::deque<ConnectionEvent> events_;
};

/// Something that has to be done by a time.
class DeadlineClient {
 public:
  DeadlineClient() = default;
  DeadlineClient(const DeadlineClient&) = delete;
  DeadlineClient& operator=(const DeadlineClient&) = delete;
  virtual ~DeadlineClient() = default;
  virtual void on_deadline() = 0;
};

/// The connects and drains under way. Few at a time, so a plain list.
class DeadlineList {
 public:
  void set(DeadlineClient& client, Instant when);
  void clear(const DeadlineClient& client) noexcept;
  [[nodiscard]] bool empty() const noexcept { return entries_.empty(); }
  [[nodiscard]] std::optional<Instant> earliest() const noexcept;
  /// Calls those whose time has come, each once; a client may set or clear deadlines meanwhile.
  void run(Instant now);

 private:
  struct Entry {
    DeadlineClient* client;
    Instant when;
  };
  std::vector<Entry> entries_;
};

/// Work requests in the shape that libibverbs takes; one for a provider, since posting is done on one thread.
struct PostScratch {
  static constexpr std::size_t kMaxChain = 64;
  std::array<ibv_send_wr, kMaxChain> sends{};
  std::array<ibv_recv_wr, kMaxChain> receives{};
  std::array<std::array<ibv_sge, kMaxSegments>, kMaxChain> segments{};
};

class VerbsEndpoint;
class VerbsListener;

/// Where rdma_cm_id::context points: one of the two. An id that nobody owns yet has a null context.
struct IdOwner {
  VerbsEndpoint* endpoint = nullptr;
  VerbsListener* listener = nullptr;
};

/// What the parts of one provider share. Owned by the provider; outlives all that it made.
struct ProviderState {
  TransportConfig config;
  /// First in, last out: every id belongs to it.
  EventChannelHandle channel;
  Device device;
  EventQueue events;
  DeadlineList deadlines;
  PostScratch scratch;
  SteadyClock clock;
  /// Set when a wait saw the channel readable, so that the next look at it isn't put off.
  bool channel_readable = false;
};

}  // namespace sluice::transport::verbs
