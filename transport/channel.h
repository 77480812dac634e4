#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "transport/provider.h"
#include "transport/slab.h"

namespace sluice::transport {

struct ChannelConfig {
  /// The longest message that may be received, in bytes.
  std::uint32_t max_receive_bytes = 8192;
  /// The longest head of a message that is sent (what is copied), in bytes; a payload comes on top.
  std::uint32_t max_send_head_bytes = 256;
  /// Messages that the peer may have on the way to us or waiting for their release() here: C, at least 1.
  std::uint16_t receive_credits = 64;
  /// Requests in the send queue, leading ones included, beside those kept back for credit messages.
  std::uint32_t send_depth = 128;
  /// Every so many requests one is signalled; at most send_depth / 2.
  std::uint32_t signal_interval = 16;
  /// Inline bytes asked of the device.
  std::uint32_t max_inline_bytes = 64;
};

/// A message to send. What it refers to is read by the device until the message has left (`notify`), but
/// `head` and `before` are copied by send().
struct OutgoingMessage {
  /// Requests to execute before the message, in order: WRITEs, READs. Their ids and signalling are the
  /// channel's business.
  std::span<const WorkRequest> before{};
  std::span<const std::byte> head{};  ///< copied; at most max_send_head_bytes
  LocalBuffer payload{};  ///< registered memory that follows the head in the message; length 0: none
  /// Report `sent` or `failed` with this tag once the device is done with all of the buffers. In order.
  bool notify = false;
  std::uint64_t tag = 0;
};

/// Names a received message until its release().
struct MessageHandle {
  std::uint32_t slot = 0;
  std::uint32_t generation = 0;
};

struct ChannelEvent {
  enum class Kind : std::uint8_t {
    none,     ///< nothing for the caller: credits, a completion that nobody asked for
    message,  ///< `bytes`, `message`: a message came; give it back with release()
    sent,     ///< `tag`: the message and what came before it in its chain have executed
    failed,   ///< `tag`: a message with `notify` ended with `status`; outcome unknown unless the status says
              ///< more
  };

  Kind kind = Kind::none;
  CompletionStatus status = CompletionStatus::success;
  std::span<const std::byte> bytes{};  ///< valid until release()
  MessageHandle message{};
  std::uint64_t tag = 0;
};

struct ChannelCounts {
  std::uint64_t messages_sent = 0;
  std::uint64_t messages_received = 0;
  std::uint64_t credit_messages_sent = 0;
  std::uint64_t credit_messages_received = 0;
  std::uint64_t credit_stalls = 0;  ///< send() refused for lack of a credit
  std::uint64_t queue_stalls = 0;   ///< send() refused for lack of room in the send queue
  std::uint64_t doorbells = 0;      ///< post() calls
};

/// Messages over an endpoint, with credits so exact that a SEND always meets a posted receive: with
/// `rnr_retry_count` 0 the connection never fails for want of one.
///
/// Why this can't run into RNR. A side that advertises C credits posts C + 2 receives. A message takes a
/// credit; a receive is reposted *before* its credit is granted, in the immediate data of the next SEND; so
/// at most C messages can be on the way or unreleased, and C receives are theirs. The other two are for
/// credit messages, which take no credit. A side with nothing to send sends one when it owes T = ceil(C / 2)
/// or more, or owes anything to a peer that has nothing left. At most two of them are ever on the way or not
/// yet reposted by their receiver:
///   Each of the C credits that we advertised is in exactly one place: usable at the peer, in a message of
///   the peer's (not yet here, or not yet released), owed by us, or in a grant on the way to the peer. The
///   peer reposts the receive of a credit message before it sends anything with the credits that it brought
///   (flush() does one, then the other), so the grant of a credit message that isn't reposted counts as on
///   the way. A peer that has nothing left has used every grant: none is on the way, and the message sent for
///   that reason is the only one. So of those on the way only the oldest can carry less than T, if at
///   least 1. Two of them carry T + 1 or more, which is more than C - T, and C - T is all that can be on the
///   way when we owe T or more: a message sent for that reason finds at most one before it, and makes two.
/// A credit message that finds no room in the send queue waits for the next completion: completions of sends
/// need no credits, so they always come.
///
/// Threads: its provider's thread only. It doesn't allocate, lock or log after it was made.
/// Lifetime: goes before its completion queue, protection domain and provider; destroying it is a barrier
/// like destroying its endpoint. Buffers of messages without a `sent` or `failed` are the caller's again with
/// the endpoint's `drained` event or the channel's destruction.
class Channel {
 public:
  /// Starts a connection. Pass the endpoint's `established` event to on_established(). Errors: as
  /// Provider::connect(), and invalid_argument for a configuration that makes no sense.
  static Result<std::unique_ptr<Channel>> connect(Provider& provider, ProtectionDomain& domain,
                                                  CompletionQueue& queue, const Address& address,
                                                  const ChannelConfig& config,
                                                  std::span<const std::byte> private_data);

  /// Takes a request; the peer must be a channel too. On an error the peer is rejected.
  static Result<std::unique_ptr<Channel>> accept(Provider& provider, ProtectionDomain& domain,
                                                 CompletionQueue& queue,
                                                 std::unique_ptr<ConnectionRequest> request,
                                                 const ChannelConfig& config,
                                                 std::span<const std::byte> private_data);

  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;
  ~Channel();

  /// The channel of an endpoint that a completion or event names (its user data).
  static Channel& of(const Endpoint& endpoint) noexcept {
    return *static_cast<Channel*>(endpoint.user_data());
  }

  /// On the connecting side, with the `established` event's `peer_credits`.
  void on_established(std::uint16_t peer_credits) noexcept;

  /// Adds a message to this turn's chain; nothing leaves before flush(). Errors, with nothing added:
  /// queue_full (no credit or no room in the send queue: try again after a completion), unavailable (not
  /// connected), invalid_argument (too long, too many segments).
  Status send(const OutgoingMessage& message) noexcept;

  /// Ends a turn: reposts the receives that were released, all in one call, then posts the chain with one
  /// doorbell. With nothing to send, sends a credit message if it owes enough. Call it once a turn, also when
  /// nothing was sent. Error: unavailable: the connection ended, and the turn's messages never left.
  Status flush() noexcept;

  /// What a completion of this channel's endpoint means. After one of a send, more_sent() until it says
  /// `none`; after that, flush().
  ChannelEvent on_completion(const Completion& completion) noexcept;
  /// The next message with `notify` that the last completion tells of: those of one chain share one.
  ChannelEvent more_sent() noexcept;

  /// Gives a message's receive back; it is reposted by the next flush(). Any order; once for each message.
  void release(MessageHandle message) noexcept;

  /// Messages that send() would take now, as far as credits go.
  [[nodiscard]] std::uint32_t credits() const noexcept { return credits_; }
  /// Requests that send() would take now, as far as the send queue goes.
  [[nodiscard]] std::uint32_t send_room() const noexcept;
  [[nodiscard]] std::uint32_t max_inline_bytes() const noexcept;
  [[nodiscard]] const ChannelCounts& counts() const noexcept { return counts_; }
  [[nodiscard]] Endpoint& endpoint() noexcept { return *endpoint_; }
  [[nodiscard]] const Endpoint& endpoint() const noexcept { return *endpoint_; }
  /// The peer broke the rules of the channel (granted what it didn't have); the connection was closed for it.
  [[nodiscard]] bool peer_misbehaved() const noexcept { return peer_misbehaved_; }

  void close() noexcept { endpoint_->close(); }

  /// The owner's word: never touched by the channel.
  void set_owner(void* owner) noexcept { owner_ = owner; }
  [[nodiscard]] void* owner() const noexcept { return owner_; }

 private:
  /// One request in the send queue; its head's bytes are at the same index of the send ring.
  struct SendRecord {
    std::uint64_t tag = 0;
    bool notify = false;
  };
  struct ReceiveSlot {
    std::uint32_t generation = 0;
    bool held = false;  ///< the caller has its message
  };

  explicit Channel(const ChannelConfig& config);
  Status prepare(ProtectionDomain& domain);
  [[nodiscard]] EndpointConfig endpoint_config(ProtectionDomain& domain,
                                               CompletionQueue& queue) const noexcept;
  void attach(std::unique_ptr<Endpoint> endpoint) noexcept;

  [[nodiscard]] std::uint32_t in_queue() const noexcept {
    return static_cast<std::uint32_t>(appended_ - retired_);
  }
  [[nodiscard]] ReceiveRequest receive_request(std::uint32_t slot) const noexcept;
  void repost(std::uint32_t slot) noexcept;
  [[nodiscard]] bool owes_enough() const noexcept;
  Status post_released() noexcept;
  void append(const WorkRequest& request, const SendRecord& record) noexcept;
  void append_message(const OutgoingMessage& message) noexcept;
  void append_credit_message() noexcept;
  void choose_signals() noexcept;
  void abandon_turn() noexcept;
  ChannelEvent on_receive(const Completion& completion) noexcept;
  ChannelEvent on_send(const Completion& completion) noexcept;
  void take_grant(std::uint32_t granted) noexcept;
  void end_for_misbehaviour() noexcept;

  ChannelConfig config_;
  std::uint32_t receive_stride_;  ///< bytes from one receive slot to the next
  std::uint32_t head_stride_;     ///< bytes from one send head to the next
  std::uint32_t receive_count_;   ///< receive_credits and those for credit messages
  std::uint32_t ring_size_;       ///< send_depth and what is kept back for credit messages
  std::uint32_t threshold_;       ///< T: owing this much, we send a credit message

  Slab slab_;  ///< receive slots, then send heads
  std::unique_ptr<Region> region_;

  std::vector<ReceiveSlot> receives_;
  std::vector<ReceiveRequest> to_repost_;
  std::uint32_t credits_to_repost_ = 0;  ///< how many of to_repost_ held messages: owed once they are posted
  std::uint32_t owed_ = 0;               ///< reposted but not granted
  std::uint32_t peer_allowance_;         ///< messages that the peer may send before we grant more

  std::vector<SendRecord> sends_;
  std::vector<WorkRequest> chain_;
  std::uint64_t appended_ = 0;   ///< requests ever added; the next one's index is this modulo ring_size_
  std::uint64_t completed_ = 0;  ///< requests whose completion, or a later one, has come
  CompletionStatus last_status_ = CompletionStatus::success;  ///< of the last of them; those before succeeded
  std::uint64_t retired_ = 0;                                 ///< of those, the ones that are dealt with
  std::uint32_t unsignaled_ = 0;

  std::uint32_t credits_ = 0;
  std::uint32_t peer_credits_ = 0;  ///< all that the peer ever has; 0 until it is known
  bool peer_misbehaved_ = false;
  void* owner_ = nullptr;
  ChannelCounts counts_;
  std::unique_ptr<Endpoint> endpoint_;  ///< last: it goes before the memory that it uses
};

}  // namespace sluice::transport
