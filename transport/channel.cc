#include "transport/channel.h"

#include <algorithm>
#include <string>
#include <utility>

#include "protocol/base/check.h"

namespace sluice::transport {

namespace {

/// Receives, and room in the send queue, kept back for credit messages: see the proof in channel.h.
constexpr std::uint32_t kCreditMessages = 2;

// A message's immediate data: the credits granted, and whether it is nothing but a grant.
constexpr std::uint32_t kGrantMask = 0xffff;
constexpr std::uint32_t kCreditMessageFlag = 0x8000'0000U;

constexpr std::uint32_t kCacheLineBytes = 64;

constexpr std::uint32_t rounded_up_to_lines(std::uint32_t bytes) {
  return std::max(kCacheLineBytes, (bytes + kCacheLineBytes - 1) / kCacheLineBytes * kCacheLineBytes);
}

Status checked(const ChannelConfig& config) {
  if (config.receive_credits == 0) {
    return fail(StatusCode::invalid_argument, "a channel needs at least one receive credit");
  }
  if (config.send_depth == 0 || config.signal_interval == 0 ||
      config.signal_interval > std::max(1U, config.send_depth / 2)) {
    return fail(StatusCode::invalid_argument, "a channel's signal interval (" +
                                                  std::to_string(config.signal_interval) +
                                                  ") must lie between 1 and half its send depth (" +
                                                  std::to_string(config.send_depth) + ")");
  }
  if (config.send_depth + kCreditMessages > WorkId::kMaxSlot) {
    return fail(StatusCode::invalid_argument, "a channel's send depth (" + std::to_string(config.send_depth) +
                                                  ") exceeds " +
                                                  std::to_string(WorkId::kMaxSlot - kCreditMessages));
  }
  return {};
}

}  // namespace

// ---- Set-up

Channel::Channel(const ChannelConfig& config)
    : config_(config),
      receive_stride_(rounded_up_to_lines(config.max_receive_bytes)),
      head_stride_(rounded_up_to_lines(config.max_send_head_bytes)),
      receive_count_(config.receive_credits + kCreditMessages),
      ring_size_(config.send_depth + kCreditMessages),
      threshold_((std::uint32_t{config.receive_credits} + 1) / 2),
      receives_(receive_count_),
      peer_allowance_(config.receive_credits),
      sends_(ring_size_) {
  to_repost_.reserve(receive_count_);
  chain_.reserve(ring_size_);
}

Channel::~Channel() = default;

Status Channel::prepare(ProtectionDomain& domain) {
  auto slab =
      Slab::map(std::size_t{receive_count_} * receive_stride_ + std::size_t{ring_size_} * head_stride_,
                Slab::Pages::plain);
  if (!slab) return tl::unexpected(slab.error());
  slab_ = std::move(*slab);
  auto region = domain.register_memory(slab_.memory(), Access::local_write);
  if (!region) return tl::unexpected(region.error());
  region_ = std::move(*region);
  for (std::uint32_t slot = 0; slot < receive_count_; ++slot)
    to_repost_.push_back(receive_request(slot));
  return {};
}

EndpointConfig Channel::endpoint_config(ProtectionDomain& domain, CompletionQueue& queue) const noexcept {
  EndpointConfig config;
  config.domain = &domain;
  config.queue = &queue;
  config.send_depth = ring_size_;
  config.receive_depth = receive_count_;
  config.max_segments = kMaxSegments;
  config.max_inline_bytes = config_.max_inline_bytes;
  config.initial_receives = to_repost_;
  config.advertised_credits = config_.receive_credits;
  return config;
}

void Channel::attach(std::unique_ptr<Endpoint> endpoint) noexcept {
  endpoint_ = std::move(endpoint);
  endpoint_->set_user_data(this);
  to_repost_.clear();
}

Result<std::unique_ptr<Channel>> Channel::connect(Provider& provider, ProtectionDomain& domain,
                                                  CompletionQueue& queue, const Address& address,
                                                  const ChannelConfig& config,
                                                  std::span<const std::byte> private_data) {
  if (auto status = checked(config); !status) return tl::unexpected(status.error());
  std::unique_ptr<Channel> channel(new Channel(config));
  if (auto status = channel->prepare(domain); !status) return tl::unexpected(status.error());
  auto endpoint = provider.connect(address, channel->endpoint_config(domain, queue), private_data);
  if (!endpoint) return tl::unexpected(endpoint.error());
  channel->attach(std::move(*endpoint));
  return channel;
}

Result<std::unique_ptr<Channel>> Channel::accept(Provider& provider, ProtectionDomain& domain,
                                                 CompletionQueue& queue,
                                                 std::unique_ptr<ConnectionRequest> request,
                                                 const ChannelConfig& config,
                                                 std::span<const std::byte> private_data) {
  if (auto status = checked(config); !status) return tl::unexpected(status.error());
  if (request->peer_credits() == 0) {
    return fail(StatusCode::malformed, request->peer() + " grants no credits: it is no channel");
  }
  std::unique_ptr<Channel> channel(new Channel(config));
  if (auto status = channel->prepare(domain); !status) return tl::unexpected(status.error());
  const std::uint16_t peer_credits = request->peer_credits();
  auto endpoint = provider.accept(std::move(request), channel->endpoint_config(domain, queue), private_data);
  if (!endpoint) return tl::unexpected(endpoint.error());
  channel->attach(std::move(*endpoint));
  channel->on_established(peer_credits);
  return channel;
}

void Channel::on_established(std::uint16_t peer_credits) noexcept {
  if (peer_credits_ != 0) return;  // the accepting side knows since the request
  peer_credits_ = peer_credits;
  credits_ = peer_credits;
  if (peer_credits == 0) end_for_misbehaviour();
}

// ---- Sending

std::uint32_t Channel::send_room() const noexcept {
  return in_queue() < config_.send_depth ? config_.send_depth - in_queue() : 0;
}

std::uint32_t Channel::max_inline_bytes() const noexcept {
  return endpoint_->max_inline_bytes();
}

Status Channel::send(const OutgoingMessage& message) noexcept {
  const std::size_t requests = message.before.size() + 1;
  if (endpoint_->state() != EndpointState::connected) return fail(StatusCode::unavailable);
  if (message.head.size() > config_.max_send_head_bytes ||
      requests + config_.signal_interval > config_.send_depth + 1) {
    return fail(StatusCode::invalid_argument);
  }
  if (credits_ == 0) {
    ++counts_.credit_stalls;
    return fail(StatusCode::queue_full);
  }
  if (requests > send_room()) {
    ++counts_.queue_stalls;
    return fail(StatusCode::queue_full);
  }
  --credits_;
  ++counts_.messages_sent;
  for (const WorkRequest& request : message.before)
    append(request, {});
  append_message(message);
  return {};
}

void Channel::append(const WorkRequest& request, const SendRecord& record) noexcept {
  const auto index = static_cast<std::uint32_t>(appended_ % ring_size_);
  sends_[index] = record;
  chain_.push_back(request);
  WorkRequest& added = chain_.back();
  const bool is_credit_message = added.immediate.has_value() && (*added.immediate & kCreditMessageFlag) != 0;
  added.id = WorkId(is_credit_message ? WorkKind::channel_credit : WorkKind::channel_send, index,
                    static_cast<std::uint32_t>(appended_ / ring_size_));
  ++appended_;
}

void Channel::append_message(const OutgoingMessage& message) noexcept {
  const auto index = static_cast<std::uint32_t>(appended_ % ring_size_);
  const auto head_bytes = static_cast<std::uint32_t>(message.head.size());
  WorkRequest request;
  request.opcode = Opcode::send;
  if (head_bytes > 0) {
    const std::uint64_t heads_at = std::uint64_t{receive_count_} * receive_stride_;
    LocalBuffer head = region_->local(heads_at + std::uint64_t{index} * head_stride_, head_bytes);
    std::ranges::copy(message.head, head.data);
    request.segments[request.segment_count++] = head;
  }
  if (message.payload.length > 0) request.segments[request.segment_count++] = message.payload;
  request.inline_data = std::uint64_t{head_bytes} + message.payload.length <= endpoint_->max_inline_bytes();
  append(request, {.tag = message.tag, .notify = message.notify});
}

void Channel::append_credit_message() noexcept {
  WorkRequest request;
  request.opcode = Opcode::send;
  request.immediate = kCreditMessageFlag;
  append(request, {});
  ++counts_.credit_messages_sent;
}

Status Channel::flush() noexcept {
  // The receives first: what the next SEND grants must be posted, and what a credit message brought may be
  // spent only once its own receive is posted again.
  if (auto status = post_released(); !status) {
    abandon_turn();
    return status;
  }
  if (chain_.empty() && owes_enough() && in_queue() < ring_size_ &&
      endpoint_->state() == EndpointState::connected) {
    append_credit_message();
  }
  if (chain_.empty()) return {};
  if (owed_ > 0) {
    WorkRequest& carrier =
        *std::ranges::find_if(chain_, [](const WorkRequest& r) { return r.opcode == Opcode::send; });
    carrier.immediate = carrier.immediate.value_or(0) | owed_;
    peer_allowance_ += owed_;
    owed_ = 0;
  }
  choose_signals();
  ++counts_.doorbells;
  if (auto status = endpoint_->post(chain_); !status) {
    check(status.error().code == StatusCode::unavailable, "a channel posts only what its endpoint takes");
    abandon_turn();
    return status;
  }
  chain_.clear();
  return {};
}

/// Requests complete in order: the completion of the chain's last message that somebody waits for tells of
/// the others too.
void Channel::choose_signals() noexcept {
  const std::uint64_t first = appended_ - chain_.size();
  const auto is_notified = [&](std::size_t i) { return sends_[(first + i) % ring_size_].notify; };
  std::size_t last_notified = chain_.size();
  while (last_notified > 0 && !is_notified(last_notified - 1))
    --last_notified;
  for (std::size_t i = 0; i < chain_.size(); ++i) {
    WorkRequest& request = chain_[i];
    const bool is_credit_message = request.id.kind() == WorkKind::channel_credit;
    request.signaled =
        i + 1 == last_notified || is_credit_message || unsignaled_ + 1 >= config_.signal_interval;
    unsignaled_ = request.signaled ? 0 : unsignaled_ + 1;
  }
}

bool Channel::owes_enough() const noexcept {
  const bool peer_has_nothing_left = peer_allowance_ == 0;
  return owed_ >= threshold_ || (owed_ > 0 && peer_has_nothing_left);
}

Status Channel::post_released() noexcept {
  if (to_repost_.empty()) return {};
  if (auto status = endpoint_->post_receives(to_repost_); !status) {
    check(status.error().code == StatusCode::unavailable, "a channel reposts only receives that completed");
    return status;
  }
  to_repost_.clear();
  owed_ += std::exchange(credits_to_repost_, 0);
  return {};
}

/// The connection ended before this turn's work was posted. None of it will complete.
void Channel::abandon_turn() noexcept {
  appended_ -= chain_.size();
  chain_.clear();
  to_repost_.clear();
  credits_to_repost_ = 0;
}

// ---- Completions

ChannelEvent Channel::on_completion(const Completion& completion) noexcept {
  return completion.is_receive ? on_receive(completion) : on_send(completion);
}

ChannelEvent Channel::on_send(const Completion& completion) noexcept {
  const std::uint32_t index = completion.id.slot();
  const auto oldest = static_cast<std::uint32_t>(retired_ % ring_size_);
  const std::uint32_t distance = index >= oldest ? index - oldest : index + ring_size_ - oldest;
  check(distance < in_queue(), "a completion belongs to a request that is outstanding");
  const std::uint64_t position = retired_ + distance;
  check(completion.id.generation() == ((position / ring_size_) & WorkId::kGenerationMask),
        "a completion belongs to the latest use of its place in the send ring");
  completed_ = position + 1;
  last_status_ = completion.status;
  return more_sent();
}

ChannelEvent Channel::more_sent() noexcept {
  while (retired_ < completed_) {
    const SendRecord& record = sends_[retired_ % ring_size_];
    ++retired_;
    if (!record.notify) continue;
    ChannelEvent event;
    event.status = retired_ == completed_ ? last_status_ : CompletionStatus::success;
    event.kind =
        event.status == CompletionStatus::success ? ChannelEvent::Kind::sent : ChannelEvent::Kind::failed;
    event.tag = record.tag;
    return event;
  }
  return {};
}

ChannelEvent Channel::on_receive(const Completion& completion) noexcept {
  // A failed receive is never reposted: its connection is over.
  if (completion.status != CompletionStatus::success || peer_misbehaved_) return {};
  const std::uint32_t index = completion.id.slot();
  check(index < receive_count_, "a receive completion belongs to a slot");
  ReceiveSlot& slot = receives_[index];
  check(!slot.held, "a receive completes once");
  const std::uint32_t immediate = completion.immediate.value_or(0);
  take_grant(immediate & kGrantMask);
  if ((immediate & kCreditMessageFlag) != 0) {
    ++counts_.credit_messages_received;
    repost(index);
    return {};
  }
  if (peer_allowance_ == 0) end_for_misbehaviour();
  if (peer_misbehaved_) return {};
  --peer_allowance_;
  ++counts_.messages_received;
  slot.held = true;
  ++slot.generation;
  ChannelEvent event;
  event.kind = ChannelEvent::Kind::message;
  event.bytes = slab_.memory().subspan(std::size_t{index} * receive_stride_, completion.byte_count);
  event.message = {index, slot.generation};
  return event;
}

void Channel::release(MessageHandle message) noexcept {
  check(message.slot < receive_count_, "a message handle names a slot");
  ReceiveSlot& slot = receives_[message.slot];
  check(slot.held && slot.generation == message.generation, "a message is released once");
  slot.held = false;
  ++credits_to_repost_;
  repost(message.slot);
}

void Channel::repost(std::uint32_t slot) noexcept {
  to_repost_.push_back(receive_request(slot));
}

ReceiveRequest Channel::receive_request(std::uint32_t slot) const noexcept {
  return {WorkId(WorkKind::channel_receive, slot, receives_[slot].generation),
          region_->local(std::uint64_t{slot} * receive_stride_, config_.max_receive_bytes)};
}

void Channel::take_grant(std::uint32_t granted) noexcept {
  if (granted > peer_credits_ - credits_) {
    end_for_misbehaviour();
    return;
  }
  credits_ += granted;
}

void Channel::end_for_misbehaviour() noexcept {
  peer_misbehaved_ = true;
  endpoint_->close();
}

}  // namespace sluice::transport
