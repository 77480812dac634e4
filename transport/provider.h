#pragma once

/// The contract of the transport. It speaks the semantics of a reliable connected queue pair (RC), not of
/// sockets:
///
///  - Work posted to an endpoint executes in the order of posting: a WRITE posted before a SEND is in the
///  peer's
///    memory before the peer sees the SEND. Completions of one endpoint's sends come in that order, its
///    receives' too; nothing is said about the order across endpoints.
///  - Nothing is lost silently. A connection fails as a whole, and then everything posted on it completes
///  exactly
///    once; `flushed` means *outcome unknown*. Once one of an endpoint's sends has failed, none posted after
///    it succeeds, whatever the device managed to hand over before it knew.
///  - A WRITE or READ that succeeded was executed at the peer. A SEND that succeeded is with the peer's
///  device
///    (`verbs`, `sim`) or with this side's system (`ofi`): only an answer tells that the peer has seen it.
///  - A buffer belongs to the device from the moment it is posted until its completion (see WorkRequest).
///  - The target of a WRITE or READ learns nothing of it. With `ofi` the target must poll its completion
///  queue
///    for the transfer to make progress; with `verbs` the device does it alone.
///
/// Threads: a provider and all that came from it belong to one thread. A process may open several.
/// Lifetimes: regions, completion queues, endpoints, listeners and protection domains go before their
/// provider; endpoints before their completion queue, protection domain and the regions that they use.
/// Failure: no call throws, waits (but `CompletionQueue::wait`) or exits.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/status.h"
#include "transport/transport_config.h"
#include "transport/work_id.h"

namespace sluice::transport {

class CompletionQueue;
class Endpoint;
class Listener;

// ---- Memory
// ---------------------------------------------------------------------------------------------------

/// What may be done with a region besides reading it locally. Bits.
enum class Access : std::uint8_t {
  none = 0,
  local_write = 1,   ///< receives and READ results may land in it
  remote_write = 2,  ///< the peer may WRITE into it; implies local_write
  remote_read = 4,   ///< the peer may READ it
};
constexpr Access operator|(Access a, Access b) noexcept {
  return static_cast<Access>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
constexpr bool has(Access set, Access bit) noexcept {
  return (static_cast<unsigned>(set) & static_cast<unsigned>(bit)) != 0;
}

/// A piece of registered memory, as the local device names it.
struct LocalBuffer {
  std::byte* data = nullptr;
  std::uint32_t length = 0;
  std::uint64_t key = 0;  ///< Region::local_key()
};

/// A place in a peer's region. `key` and `address` are opaque words from the peer's Region::remote(offset);
/// only adding an offset to `address` is allowed. They are what travels on the wire.
struct RemoteBuffer {
  std::uint64_t key = 0;
  std::uint64_t address = 0;

  bool operator==(const RemoteBuffer&) const = default;
};

/// Memory that the device may use. It doesn't own the bytes: they must outlive it. Destroying it deregisters:
/// a later remote access with its key fails. Never destroy one that posted work refers to.
class Region {
 public:
  Region() = default;
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;
  virtual ~Region() = default;

  [[nodiscard]] virtual std::span<std::byte> memory() const noexcept = 0;
  [[nodiscard]] virtual std::uint64_t local_key() const noexcept = 0;
  /// What a peer needs to reach byte `offset` of this region.
  [[nodiscard]] virtual RemoteBuffer remote(std::uint64_t offset) const noexcept = 0;

  /// `length` bytes from `offset`; the range must lie inside.
  [[nodiscard]] LocalBuffer local(std::uint64_t offset, std::uint32_t length) const noexcept {
    const std::span<std::byte> all = memory();
    check(offset <= all.size() && length <= all.size() - offset, "a local buffer lies inside its region");
    return {all.data() + offset, length, local_key()};
  }
};

/// Regions and endpoints of different protection domains can't reach each other: a peer that guesses the key
/// of another domain's region gets `remote_access`. One for each session on a storage node.
class ProtectionDomain {
 public:
  ProtectionDomain() = default;
  ProtectionDomain(const ProtectionDomain&) = delete;
  ProtectionDomain& operator=(const ProtectionDomain&) = delete;
  virtual ~ProtectionDomain() = default;

  /// Errors: out_of_memory (says how RLIMIT_MEMLOCK falls short), invalid_argument (empty memory).
  virtual Result<std::unique_ptr<Region>> register_memory(std::span<std::byte> memory, Access access) = 0;
};

// ---- Work
// -----------------------------------------------------------------------------------------------------

enum class Opcode : std::uint8_t { send, write, read };

inline constexpr std::size_t kMaxSegments = 4;

/// One request for an endpoint's send queue. The request itself is copied by post(); its buffers aren't.
///
/// Buffers: read (or, for Opcode::read, written) by the device at any time until the request has completed.
/// An `inline_data` request's buffers are the caller's again when post() returns, and need no registration.
/// Completion: a `signaled` request completes through the completion queue; one that isn't completes silently
/// when it succeeded, which is known when a later request of the same endpoint has completed, and otherwise
/// like any other.
struct WorkRequest {
  WorkId id;
  Opcode opcode = Opcode::send;
  bool signaled = false;
  bool inline_data =
      false;  ///< copy at once; send and write only, at most Endpoint::max_inline_bytes() in all
  std::uint8_t segment_count = 0;
  std::array<LocalBuffer, kMaxSegments> segments{};  ///< the first segment_count count; none: zero bytes
  RemoteBuffer remote;                               ///< write and read
  std::optional<std::uint32_t> immediate;            ///< send only: delivered with the message
};

/// One buffer for an incoming SEND. Longer messages than the buffer fail the connection.
struct ReceiveRequest {
  WorkId id;
  LocalBuffer buffer;
};

enum class CompletionStatus : std::uint8_t {
  success,
  flushed,             ///< the connection failed or was closed: outcome unknown
  remote_access,       ///< bad key, bounds or rights at the peer
  remote_operation,    ///< the peer couldn't execute it
  local_protection,    ///< bad local key or bounds
  local_length,        ///< the message didn't fit the receive, or is longer than the device can
  receiver_not_ready,  ///< the peer had no receive posted, and retries ran out: a credit was leaked
  retry_exceeded,      ///< the peer doesn't answer
  other,               ///< see vendor_error and the endpoint's failure()
};
std::string_view to_string(CompletionStatus status) noexcept;
/// For errors: the code of a connection that ended with this status, and what it means, for people.
[[nodiscard]] StatusCode code_of(CompletionStatus status) noexcept;
[[nodiscard]] std::string_view meaning_of(CompletionStatus status) noexcept;

struct Completion {
  WorkId id;
  CompletionStatus status = CompletionStatus::success;
  bool is_receive = false;
  std::uint32_t byte_count = 0;            ///< successful receives: the message's length
  std::optional<std::uint32_t> immediate;  ///< successful receives
  std::uint32_t vendor_error = 0;          ///< errors: the device's own code
  Endpoint* endpoint = nullptr;            ///< never one that was destroyed
};

/// Where the completions of many endpoints arrive.
class CompletionQueue {
 public:
  CompletionQueue() = default;
  CompletionQueue(const CompletionQueue&) = delete;
  CompletionQueue& operator=(const CompletionQueue&) = delete;
  virtual ~CompletionQueue() = default;

  /// Takes up to out.size() completions; never blocks. Once an endpoint's last completion was taken while it
  /// drains, its provider has the `drained` event ready.
  virtual std::size_t poll(std::span<Completion> out) noexcept = 0;

  /// Like poll(), but if nothing is there waits, in the way of the polling mode, until there is a completion,
  /// a connection event, a readable watched descriptor, or `timeout` has passed (0 returned). No wake-up is
  /// ever lost: the queue is polled once more between arming and sleeping.
  virtual std::size_t wait(std::span<Completion> out, Duration timeout) noexcept = 0;

  /// wait() also returns when this descriptor is readable. Owned by the caller; unwatch before closing it.
  virtual Status watch(int fd) = 0;
  virtual void unwatch(int fd) noexcept = 0;

  /// For other people's loops: readable when arm() was called and there may be a completion or a connection
  /// event. -1 for a provider that has none (sim).
  [[nodiscard]] virtual int wait_fd() const noexcept = 0;
  /// Asks for wait_fd() to become readable at the next completion. True: nothing is pending, it is safe to
  /// sleep. False: poll again first.
  virtual bool arm() noexcept = 0;
};

// ---- Connections
// ----------------------------------------------------------------------------------------------

struct EndpointConfig {
  ProtectionDomain* domain = nullptr;
  CompletionQueue* queue = nullptr;  ///< takes this endpoint's sends and receives
  std::uint32_t send_depth = 128;    ///< requests in flight, signalled or not
  std::uint32_t receive_depth = 128;
  std::uint8_t max_segments = 1;       ///< a request's; at most kMaxSegments
  std::uint32_t max_inline_bytes = 0;  ///< asked; Endpoint::max_inline_bytes() tells what was granted
  /// Posted before the peer can send anything, and complete exactly once like any other receive.
  std::span<const ReceiveRequest> initial_receives;
  /// Told to the peer during the handshake; what they mean is the channel's business.
  std::uint16_t advertised_credits = 0;
};

enum class EndpointState : std::uint8_t {
  connecting,  ///< nothing can be posted but receives
  connected,
  draining,  ///< failed or closed: nothing can be posted, outstanding work is being flushed
  drained,   ///< nothing is outstanding; destroying it is all that is left
};
std::string_view to_string(EndpointState state) noexcept;

/// One end of a reliable connection: a queue pair that is used for one connection and never again.
class Endpoint {
 public:
  Endpoint() = default;
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;
  /// A barrier in any state: when it returns, the device touches none of this endpoint's buffers, and no
  /// completion and no event of it will ever be delivered. To see every outcome first, close() and wait for
  /// `drained`.
  virtual ~Endpoint() = default;

  /// Posts a chain with one doorbell. On success every request of it will complete (see WorkRequest), even if
  /// the device then takes only a part: the connection fails and the rest completes as `flushed`.
  /// Errors, with nothing posted: queue_full (too little room in the send queue: try again after a
  /// completion), unavailable (not connected), invalid_argument (a request that no device could execute).
  virtual Status post(std::span<const WorkRequest> chain) noexcept = 0;

  /// Posts receives, in connecting and connected state. Errors as for post().
  virtual Status post_receives(std::span<const ReceiveRequest> receives) noexcept = 0;

  /// Ends the connection: outstanding work completes, `flushed` if it has to, then a `drained` event comes.
  /// Repeated calls are harmless. The peer sees `disconnected`.
  virtual void close() noexcept = 0;

  [[nodiscard]] virtual EndpointState state() const noexcept = 0;
  /// What ended the connection, in words: the first cause, not its consequences. Code ok while connected, and
  /// after a close() from this side.
  [[nodiscard]] virtual const Error& failure() const noexcept = 0;
  [[nodiscard]] virtual std::uint32_t max_inline_bytes() const noexcept = 0;
  /// Room in the send queue now, in requests.
  [[nodiscard]] virtual std::uint32_t send_room() const noexcept = 0;
  /// The peer's address, for logs; "unknown" before it is known.
  [[nodiscard]] virtual std::string peer() const = 0;

  /// The owner's word: never touched by the provider.
  void set_user_data(void* user_data) noexcept { user_data_ = user_data; }
  [[nodiscard]] void* user_data() const noexcept { return user_data_; }

 private:
  void* user_data_ = nullptr;
};

/// What an active side may say in connect(), and a passive one in accept() and reject(), in bytes. What
/// rdma_cm has for RDMA_PS_TCP (56, 196, 148) less the transport's own handshake header.
inline constexpr std::size_t kMaxConnectData = 48;
inline constexpr std::size_t kMaxAcceptData = 188;
inline constexpr std::size_t kMaxRejectData = 140;

/// Somebody wants to connect. Destroying it unanswered rejects, with no data.
class ConnectionRequest {
 public:
  ConnectionRequest() = default;
  ConnectionRequest(const ConnectionRequest&) = delete;
  ConnectionRequest& operator=(const ConnectionRequest&) = delete;
  virtual ~ConnectionRequest() = default;

  [[nodiscard]] virtual std::span<const std::byte> private_data() const noexcept = 0;
  [[nodiscard]] virtual std::uint16_t peer_credits() const noexcept = 0;
  [[nodiscard]] virtual std::string peer() const = 0;
};

/// Takes connections at an address. Destroying it stops that; connections made stay.
class Listener {
 public:
  Listener() = default;
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  virtual ~Listener() = default;

  /// Where it listens; the port is the real one where 0 was asked for.
  [[nodiscard]] virtual const Address& address() const noexcept = 0;
};

struct ConnectionEvent {
  enum class Kind : std::uint8_t {
    connect_request,  ///< `listener`, `request`: answer with Provider::accept or reject, or drop it
    established,      ///< `endpoint`; on the connecting side also `private_data` and `peer_credits`
    disconnected,   ///< `endpoint`, `error`: the connection failed, was refused or was closed by the peer; no
                    ///< more can be posted; outstanding completions follow, then `drained`. At most once;
                    ///< never after a close() from this side
    drained,        ///< `endpoint`: nothing is outstanding, every completion was taken. Once, and the last
    device_lost,    ///< `error`: the device is gone; every endpoint gets `disconnected` too
    listener_lost,  ///< `listener`, `error`: its address or device went; listen again
  };

  Kind kind = Kind::disconnected;
  Endpoint* endpoint = nullptr;
  Listener* listener = nullptr;
  std::unique_ptr<ConnectionRequest> request;
  std::vector<std::byte> private_data;  ///< also of a rejecting peer, with `disconnected`
  std::uint16_t peer_credits = 0;
  Error error{StatusCode::ok, {}};
};
std::string_view to_string(ConnectionEvent::Kind kind) noexcept;

// ---- Provider
// -------------------------------------------------------------------------------------------------

struct ProviderInfo {
  std::string name;                     ///< "verbs", "ofi" or "sim"
  std::string detail;                   ///< device and port, or fabric: for logs and `doctor`
  std::uint32_t max_message_bytes = 0;  ///< one SEND, WRITE or READ
  std::uint32_t max_queue_depth = 0;    ///< of an endpoint's send or receive queue
  std::uint32_t max_inline_bytes = 0;
};

/// One thread's hold on a device or fabric.
class Provider {
 public:
  Provider() = default;
  Provider(const Provider&) = delete;
  Provider& operator=(const Provider&) = delete;
  virtual ~Provider() = default;

  [[nodiscard]] virtual const ProviderInfo& info() const noexcept = 0;

  virtual Result<std::unique_ptr<ProtectionDomain>> create_protection_domain() = 0;

  /// `depth`: at least the sum of the send and receive depths of all endpoints that will use it, plus two for
  /// each: errors complete unsignalled work too. connect() and accept() refuse an endpoint that doesn't fit.
  virtual Result<std::unique_ptr<CompletionQueue>> create_completion_queue(std::uint32_t depth) = 0;

  /// Errors: address_unusable (not ours, in use), no_device.
  virtual Result<std::unique_ptr<Listener>> listen(const Address& address) = 0;

  /// Starts a connection; the outcome is an `established` or a `disconnected` event. `private_data` at most
  /// kMaxConnectData bytes. Errors, at once: invalid_argument, address_unusable, out_of_memory,
  /// limit_reached.
  virtual Result<std::unique_ptr<Endpoint>> connect(const Address& address, const EndpointConfig& config,
                                                    std::span<const std::byte> private_data) = 0;

  /// Takes a request. It is connected with its `established` event or its first receive, whichever comes
  /// first. On an error the peer is rejected.
  virtual Result<std::unique_ptr<Endpoint>> accept(std::unique_ptr<ConnectionRequest> request,
                                                   const EndpointConfig& config,
                                                   std::span<const std::byte> private_data) = 0;

  /// Refuses a request, with words for the peer: it gets them in its `disconnected` event.
  virtual void reject(std::unique_ptr<ConnectionRequest> request,
                      std::span<const std::byte> private_data) = 0;

  /// The next connection event, if there is one; never blocks. Connect and drain timeouts advance in here
  /// too.
  virtual std::optional<ConnectionEvent> next_event() = 0;
};

}  // namespace sluice::transport
