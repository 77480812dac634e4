#include "storage_node/path.h"

#include <algorithm>
#include <array>
#include <utility>
#include <variant>

#include "protocol/base/check.h"
#include "protocol/control_messages.h"
#include "protocol/limits.h"

namespace sluice::storage_node {
namespace {

using protocol::IoResponse;
using protocol::kIoResponseSize;

/// Receives beyond those for requests: keepalives come on paths too.
constexpr std::uint16_t kControlCredits = 4;
/// Answers with data take two requests of the send queue, answers without one; more wait in the backlog.
constexpr std::uint32_t kSendDepth = 256;
constexpr std::uint32_t kSignalInterval = 16;
/// What the channel keeps back for its credit messages.
constexpr std::uint32_t kChannelReserve = 2;

constexpr std::size_t kKeepaliveSize =
    protocol::wire::kControlHeaderSize + protocol::wire::max_size<protocol::Keepalive>();
constexpr std::size_t kMaxHeadSize = std::max(kIoResponseSize, kKeepaliveSize);

}  // namespace

ByteCount slot_bytes(const PathConfig& config) noexcept {
  std::uint64_t bytes = 0;
  for (const protocol::SlotClass& slots : config.slots)
    bytes += std::uint64_t{slots.slot_size} * slots.count;
  return ByteCount(bytes);
}

Path::Path(const protocol::PathKey& key, std::uint16_t depth, const PathConfig& config, PathHandler& handler)
    : key_(key),
      depth_(depth),
      config_(config),
      handler_(handler),
      leaving_(kSendDepth),
      backlog_(std::size_t{depth} + kControlCredits) {
  kept_.reserve(std::size_t{depth} + kControlCredits);
}

// ---- Connecting

Status Path::accept(runtime::Reactor& reactor, runtime::Incoming incoming,
                    std::shared_ptr<SessionDomain> domain, StagingRange staging) {
  rail_ = incoming.rail;
  staging_ = std::move(staging);
  domain_ = std::move(domain);
  auto slots = domain_->domain().register_memory(staging_.memory(), transport::Access::remote_write);
  if (!slots) return tl::unexpected(slots.error());
  slots_ = std::move(*slots);
  const transport::ChannelConfig config = channel_config(reactor.provider(*rail_));
  auto link = reactor.accept(std::move(incoming), domain_->domain(), config, acceptance(), *this);
  if (!link) return tl::unexpected(link.error());
  link_ = std::move(*link);
  return {};
}

transport::ChannelConfig Path::channel_config(const transport::Provider& provider) const {
  transport::ChannelConfig config;
  config.max_receive_bytes = protocol::kMaxCapsuleSize;
  config.max_send_head_bytes = kMaxHeadSize;
  config.receive_credits = static_cast<std::uint16_t>(depth_ + kControlCredits);
  config.send_depth = std::min(kSendDepth, provider.info().max_queue_depth - kChannelReserve);
  config.signal_interval = std::min(kSignalInterval, config.send_depth / 2);
  config.max_inline_bytes = kMaxHeadSize;
  return config;
}

std::vector<std::byte> Path::acceptance() const {
  protocol::PathAccept accept;
  accept.path = key_.path;
  accept.depth = depth_;
  accept.epoch = key_.epoch;
  accept.gvn = key_.gvn;
  accept.in_capsule_limit = config_.in_capsule_limit;
  accept.region_key = slots_->remote(0).key;
  accept.region_base = slots_->remote(0).address;
  accept.slots = config_.slots;
  std::array<std::byte, protocol::kMaxPrivateDataSize> bytes;
  const std::size_t length = protocol::encode(protocol::PrivateData(accept), bytes);
  return {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length)};
}

void Path::disconnect() {
  is_closing_ = true;
  if (link_) return link_->close();
  handler_.on_path_disconnected(*this);
}

// ---- Requests

std::byte* Path::slot(protocol::SlotIndex slot, std::uint32_t length) const noexcept {
  const auto place = protocol::find_slot(config_.slots, slot);
  if (!place || place->size < length) return nullptr;
  return staging_.memory().data() + place->offset;
}

void Path::on_message(runtime::Link& link, std::span<const std::byte> bytes,
                      transport::MessageHandle message) {
  heard_ = true;
  if (protocol::classify(bytes) == protocol::FrameKind::control && take_keepalive(bytes)) {
    return link.release(message);
  }
  arriving_ = Capsule{Seq(0), bytes, message};
  handler_.on_path_request(*this, bytes);
  if (arriving_) link.release(message);
  arriving_.reset();
}

/// The only control message that belongs on a path.
bool Path::take_keepalive(std::span<const std::byte> message) {
  const auto frame = protocol::decode_control(message);
  if (!frame) return false;
  const auto* const asked = std::get_if<protocol::Keepalive>(&frame->message);
  if (asked == nullptr) return false;
  if (asked->reply) return true;
  std::array<std::byte, protocol::kMaxControlSize> bytes;
  const std::size_t length =
      protocol::encode({frame->request_id, protocol::Keepalive{true, asked->count}}, bytes);
  // One that finds no room isn't missed: what fills the queue are signs of life too.
  static_cast<void>(link_->send({.head = std::span(bytes).first(length)}));
  return true;
}

std::span<const std::byte> Path::capsule(Seq seq) const noexcept {
  const auto kept =
      std::find_if(kept_.begin(), kept_.end(), [seq](const Capsule& each) { return each.seq == seq; });
  if (kept != kept_.end()) return protocol::in_capsule_data(kept->message);
  return arriving_ ? protocol::in_capsule_data(arriving_->message) : std::span<const std::byte>();
}

void Path::keep_capsule(Seq seq) noexcept {
  if (!arriving_) return;  // it is kept already
  check(kept_.size() < kept_.capacity(), "a path keeps no more messages than it has receives");
  kept_.push_back({seq, arriving_->message, arriving_->handle});
  arriving_.reset();
}

void Path::release_capsule(Seq seq) noexcept {
  const auto kept =
      std::find_if(kept_.begin(), kept_.end(), [seq](const Capsule& each) { return each.seq == seq; });
  if (kept == kept_.end()) return;  // what is just arriving is released once it is handled
  link_->release(kept->handle);
  kept_.erase(kept);
}

// ---- Answers

void Path::respond(const IoResponse& response, const protocol::RemoteBuffer& target, std::uint32_t length,
                   IoBuffer data) noexcept {
  if (!is_open()) return;
  Answer answer{response, target, length, std::move(data)};
  if (backlog_.empty() && post(answer)) return;
  // More answers than requests that a path may have: a peer that asks on without taking its answers.
  if (backlog_.full()) {
    is_overrun_ = true;
    return;
  }
  backlog_.push(std::move(answer));
}

void Path::send_backlog() noexcept {
  while (!backlog_.empty() && post(backlog_.front()))
    static_cast<void>(backlog_.pop());
}

/// True if it is on its way, or never will be.
bool Path::post(Answer& answer) noexcept {
  std::array<std::byte, kIoResponseSize> head;
  protocol::encode(answer.response, head);
  transport::OutgoingMessage message;
  message.head = head;
  transport::WorkRequest write;
  if (answer.data) {
    if (leaving_.full()) return false;
    write.opcode = transport::Opcode::write;
    write.segment_count = 1;
    write.segments[0] = domain_->local(answer.data, answer.length);
    write.remote = {answer.target.key, answer.target.address};
    message.before = std::span(&write, 1);
    message.notify = true;
  }
  const Status sent = link_->send(message);
  if (!sent) return sent.error().code != StatusCode::queue_full;
  if (answer.data) leaving_.push(std::move(answer.data));
  progress_ = true;
  return true;
}

/// Completions of one connection's sends come in order.
void Path::on_sent(runtime::Link& /*link*/, std::uint64_t /*tag*/, transport::CompletionStatus /*status*/) {
  static_cast<void>(leaving_.pop());
  progress_ = true;
}

// ---- Ending

void Path::on_up(runtime::Link& /*link*/, std::span<const std::byte> /*private_data*/) {
  heard_ = true;
}

void Path::on_down(runtime::Link& /*link*/, const Error& why, std::span<const std::byte> /*private_data*/) {
  is_closing_ = true;
  handler_.on_path_lost(*this, why);
}

void Path::on_drained(runtime::Link& /*link*/) {
  link_.reset();
  leaving_.clear();
  backlog_.clear();
  kept_.clear();
  const bool was_expected = std::exchange(is_closing_, true);
  if (was_expected) return handler_.on_path_disconnected(*this);
  handler_.on_path_lost(*this, {StatusCode::malformed, "the client broke the rules of the channel"});
}

void Path::tick(Instant now) {
  if (!is_open()) return;
  if (std::exchange(heard_, false)) last_heard_ = now;
  if (std::exchange(progress_, false) || (leaving_.empty() && backlog_.empty())) last_progress_ = now;
  if (is_overrun_) {
    give_up(StatusCode::malformed, "the client asks on without taking its answers");
  } else if (now - last_heard_ >= config_.silence_limit) {
    give_up(StatusCode::timed_out, "the client gives no sign of life");
  } else if (now - last_progress_ >= config_.stall_limit) {
    give_up(StatusCode::timed_out, "the client doesn't take its answers");
  }
}

void Path::give_up(StatusCode code, const char* why) {
  handler_.on_path_lost(*this, {code, why});
}

}  // namespace sluice::storage_node
