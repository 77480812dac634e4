#pragma once

#include <deque>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/contract/fabric.h"
#include "transport/provider.h"

namespace sluice::transport::contract {

/// An event as it was seen, without the request that it may have carried.
struct SeenEvent {
  ConnectionEvent::Kind kind;
  Endpoint* endpoint;
  Listener* listener;
  Error error;
  std::vector<std::byte> private_data;
  std::uint16_t peer_credits;
};

/// What is asked of a Party beside its provider.
struct PartyOptions {
  std::uint32_t queue_depth = 4096;
  std::size_t memory_bytes = 64UL * 1024;
};

TransportConfig test_config();

/// One thread's provider with a protection domain, a completion queue and a registered buffer, and a record
/// of all that happened. It holds each endpoint to the contract's universal rules as it goes:
///  - every posted request completes exactly once, in order (unsignalled ones may complete silently);
///  - no event or completion comes for an endpoint after its `drained`, and `drained` comes once.
class Party {
 public:
  Party(TestFabric& fabric, int host, TransportConfig config = test_config(), PartyOptions options = {});
  ~Party();

  [[nodiscard]] Provider& provider() noexcept { return *provider_; }
  [[nodiscard]] ProtectionDomain& domain() noexcept { return *domain_; }
  [[nodiscard]] CompletionQueue& queue() noexcept { return *queue_; }
  [[nodiscard]] Region& region() noexcept { return *region_; }
  [[nodiscard]] std::span<std::byte> memory() noexcept { return memory_; }
  [[nodiscard]] Listener& listener() noexcept { return *listener_; }
  [[nodiscard]] const std::vector<std::string>& log() const noexcept { return *log_; }

  /// Listens at the host's address, any port.
  Address listen();
  void stop_listening() { listener_.reset(); }

  /// This party's domain and queue, and no receives.
  [[nodiscard]] EndpointConfig endpoint_config() noexcept;

  /// Start and accept connections; the receives of `config` are entered in the record.
  std::unique_ptr<Endpoint> connect(const Address& to, const EndpointConfig& config,
                                    std::span<const std::byte> private_data = {});
  Result<std::unique_ptr<Endpoint>> try_connect(const Address& to, const EndpointConfig& config,
                                                std::span<const std::byte> private_data = {});
  std::unique_ptr<Endpoint> accept(const EndpointConfig& config,
                                   std::span<const std::byte> private_data = {});
  std::unique_ptr<ConnectionRequest> take_request();
  void give_back_request(std::unique_ptr<ConnectionRequest> request) {
    requests_.push_front(std::move(request));
  }
  /// Enters an endpoint that the test got from the provider itself.
  void adopt(const Endpoint& endpoint, const EndpointConfig& config = {});
  [[nodiscard]] bool has_request() const noexcept { return !requests_.empty(); }

  /// Post and enter in the record.
  Status post(Endpoint& endpoint, std::span<const WorkRequest> chain);
  Status post(Endpoint& endpoint, std::initializer_list<WorkRequest> chain) {
    return post(endpoint, std::span(chain.begin(), chain.size()));
  }
  Status post_receives(Endpoint& endpoint, std::span<const ReceiveRequest> receives);

  /// Forgets an endpoint that is about to be destroyed: nothing of it may ever be seen again. Its completions
  /// stay in the record, without its name, because a later endpoint may have the same address.
  void forget(const Endpoint& endpoint);

  /// Takes the completions and events that there are. True if there was any.
  bool turn();
  /// Enters completions that the test took itself (from wait()).
  void record(std::span<const Completion> completions);
  bool take_events();

  std::vector<Completion> completions;
  std::vector<SeenEvent> events;

  [[nodiscard]] const SeenEvent* find_event(ConnectionEvent::Kind kind, const Endpoint* endpoint) const;
  [[nodiscard]] bool saw(ConnectionEvent::Kind kind, const Endpoint* endpoint) const {
    return find_event(kind, endpoint) != nullptr;
  }
  [[nodiscard]] const Completion* find(WorkId id, const Endpoint* endpoint = nullptr) const;
  [[nodiscard]] std::size_t count_receives(CompletionStatus status) const;
  [[nodiscard]] std::size_t count_sends(CompletionStatus status) const;
  /// Requests in the record that haven't completed. Unsignalled sends count until a later one completes.
  [[nodiscard]] std::size_t outstanding(const Endpoint& endpoint) const;

  LocalBuffer local(std::uint64_t offset, std::uint32_t length) const {
    return region_->local(offset, length);
  }

 private:
  struct Posted {
    std::uint64_t bits;
    bool signaled;
  };
  struct Record {
    std::deque<Posted> sends;
    std::deque<Posted> receives;
    bool disconnected = false;
    bool drained = false;
  };

  Record& record_of(const Endpoint* endpoint);
  void enter(const Completion& completion);
  void enter(ConnectionEvent event);

  std::shared_ptr<std::vector<std::string>> log_ = std::make_shared<std::vector<std::string>>();
  int host_;
  TestFabric& fabric_;
  std::vector<std::byte> memory_;
  std::unique_ptr<Provider> provider_;
  std::unique_ptr<ProtectionDomain> domain_;
  std::unique_ptr<CompletionQueue> queue_;
  std::unique_ptr<Region> region_;
  std::unique_ptr<Listener> listener_;
  std::map<const Endpoint*, Record> records_;
  std::deque<std::unique_ptr<ConnectionRequest>> requests_;
};

// ---- Requests in one line each

inline constexpr WorkKind kTestKind = WorkKind::first_user;

WorkRequest send_of(LocalBuffer buffer, std::uint32_t number, bool signaled = true);
WorkRequest write_of(LocalBuffer from, RemoteBuffer to, std::uint32_t number, bool signaled = true);
WorkRequest read_of(LocalBuffer to, RemoteBuffer from, std::uint32_t number);
ReceiveRequest receive_into(LocalBuffer buffer, std::uint32_t number);
inline WorkId send_id(std::uint32_t number) {
  return {kTestKind, number, 1};
}
inline WorkId receive_id(std::uint32_t number) {
  return {kTestKind, number, 2};
}

/// Bytes that depend on their place and on `seed`, so that a shifted or mixed-up copy shows.
void fill(std::span<std::byte> bytes, std::uint32_t seed);
[[nodiscard]] bool is_filled(std::span<const std::byte> bytes, std::uint32_t seed);
std::vector<std::byte> bytes_of(std::string_view text);

}  // namespace sluice::transport::contract
