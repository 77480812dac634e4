#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "protocol/base/status.h"
#include "runtime/link.h"
#include "transport/provider.h"

namespace sluice::runtime {

/// A device of a reactor's, by its index.
enum class Rail : std::uint8_t {};

/// A connection that somebody asks for: accept or reject it through the reactor. Dropped, it is rejected.
struct Incoming {
  Rail rail{};
  std::unique_ptr<transport::ConnectionRequest> request;
};

/// Told who wants to connect, from within Reactor::poll().
class ListenHandler {
 public:
  ListenHandler() = default;
  ListenHandler(const ListenHandler&) = delete;
  ListenHandler& operator=(const ListenHandler&) = delete;
  virtual ~ListenHandler() = default;

  virtual void on_incoming(Incoming incoming) = 0;
};

/// One thread's connections, on one or more devices ("rails"), each with its provider and completion queue.
///
///     poll()    completions to their links' handlers, then connection events
///     flush()   what the links have to say, one doorbell each
///
/// The owner calls both once a turn; in between it does its own work. No allocation on the data path. One
/// thread. Links, listeners and protection domains go before it.
class Reactor {
 public:
  Reactor() = default;
  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;
  ~Reactor();

  /// `queue_depth`: see transport::Provider::create_completion_queue.
  Result<Rail> add_rail(std::unique_ptr<transport::Provider> provider, std::uint32_t queue_depth);
  [[nodiscard]] std::size_t rail_count() const noexcept { return rails_.size(); }
  [[nodiscard]] transport::Provider& provider(Rail rail) noexcept { return *at(rail).provider; }
  /// The protection domain of connections that never expose memory: made when first asked for.
  Result<transport::ProtectionDomain*> control_domain(Rail rail);

  Result<std::unique_ptr<transport::Listener>> listen(Rail rail, const transport::Address& address,
                                                      ListenHandler& handler);
  /// `handler` outlives the link.
  Result<std::unique_ptr<Link>> connect(Rail rail, transport::ProtectionDomain& domain,
                                        const transport::Address& address,
                                        const transport::ChannelConfig& config,
                                        std::span<const std::byte> private_data, LinkHandler& handler);
  /// On an error the peer is rejected.
  Result<std::unique_ptr<Link>> accept(Incoming incoming, transport::ProtectionDomain& domain,
                                       const transport::ChannelConfig& config,
                                       std::span<const std::byte> private_data, LinkHandler& handler);
  void reject(Incoming incoming, std::span<const std::byte> private_data);

  /// Hands out what has happened. True if anything had.
  bool poll();
  /// Posts what was sent and released since the last flush.
  void flush() noexcept;

  /// Asks all rails to make their wait_fds() readable at the next completion or event. False: something is
  /// there already, poll again.
  [[nodiscard]] bool arm() noexcept;
  /// For the owner's epoll; empty for providers in virtual time.
  [[nodiscard]] std::vector<int> wait_fds() const;

 private:
  friend class Link;
  struct RailState {
    std::unique_ptr<transport::Provider> provider;
    std::unique_ptr<transport::CompletionQueue> queue;  // each goes before what stands above it
    std::unique_ptr<transport::ProtectionDomain> control_domain;
  };
  struct Listening {
    const transport::Listener* listener = nullptr;
    ListenHandler* handler = nullptr;
  };

  [[nodiscard]] RailState& at(Rail rail) noexcept { return rails_.at(static_cast<std::size_t>(rail)); }
  std::unique_ptr<Link> adopt(std::unique_ptr<transport::Channel> channel, LinkHandler& handler);
  bool poll_completions(RailState& rail) noexcept;
  bool poll_events(Rail rail);
  void dispatch(const transport::Completion& completion) noexcept;
  void dispatch(Rail rail, transport::ConnectionEvent event);
  void on_incoming(Rail rail, transport::ConnectionEvent event);
  void touch(Link& link) noexcept;
  void forget(Link& link) noexcept;

  /// Completions taken in one go: enough to make the doorbell of a turn worth it, few enough to keep the
  /// latency of the first one low.
  static constexpr std::size_t kCompletionsPerPoll = 64;

  std::vector<RailState> rails_;
  std::array<transport::Completion, kCompletionsPerPoll> taken_;  ///< made once: polling mostly finds nothing
  std::vector<Listening> listening_;
  std::vector<Link*> touched_;
  std::size_t links_ = 0;
  bool hands_out_completions_ = false;
};

}  // namespace sluice::runtime
