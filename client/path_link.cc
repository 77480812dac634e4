#include "client/path_link.h"

#include <algorithm>
#include <array>
#include <utility>
#include <variant>

#include "client/volume_client_config.h"
#include "protocol/base/check.h"
#include "protocol/control_messages.h"

namespace sluice::client {
namespace {

using protocol::DataPlacement;
using protocol::IoRequest;
using protocol::PathAccept;
using protocol::PathReject;

transport::WorkRequest write_request(const transport::LocalBuffer& source,
                                     const transport::RemoteBuffer& target) noexcept {
  transport::WorkRequest request;
  request.opcode = transport::Opcode::write;
  request.segment_count = 1;
  request.segments[0] = source;
  request.remote = target;
  return request;
}

}  // namespace

PathLink::PathLink(protocol::PathId id, runtime::Reactor& reactor, runtime::Rail rail,
                   transport::ProtectionDomain& domain, PathHandler& handler)
    : id_(id), reactor_(reactor), rail_(rail), domain_(domain), handler_(handler) {}

// ---- The connection

Status PathLink::connect(const transport::Address& address, const protocol::PathAttach& attach) {
  check(!link_, "a path connects again once its last queue pair is destroyed");
  epoch_ = attach.epoch;
  address_ = address;
  depth_ = attach.depth;
  refusal_ = StatusCode::connection_refused;
  is_up_ = false;
  is_closing_ = false;
  waiting_.clear();
  waiting_.reserve(attach.depth);
  std::array<std::byte, protocol::kMaxPrivateDataSize> bytes;
  const std::size_t length = protocol::encode(protocol::PrivateData(attach), bytes);
  const auto config = path_channel_config(attach.depth, reactor_.provider(rail_).info().max_queue_depth);
  auto link = reactor_.connect(rail_, domain_, address, config, std::span(bytes).first(length), *this);
  if (!link) return tl::unexpected(link.error());
  link_ = std::move(*link);
  return {};
}

void PathLink::close() noexcept {
  is_closing_ = true;
  refusal_ = StatusCode::ok;
  waiting_.clear();
  if (link_) link_->close();
}

void PathLink::on_up(runtime::Link& /*link*/, std::span<const std::byte> private_data) {
  if (is_closing_) return;
  is_up_ = true;
  refusal_ = StatusCode::ok;
  const Result<protocol::PrivateData> answer = protocol::decode_private_data(private_data);
  const auto* const grant = answer ? std::get_if<PathAccept>(&*answer) : nullptr;
  if (grant == nullptr || grant->path != id_ || grant->epoch != epoch_) {
    return failed({StatusCode::malformed, "it was accepted with words that are no acceptance"});
  }
  grant_ = *grant;
  grant_.depth = std::min(grant_.depth, depth_);  // no more than the queues were made for
  handler_.on_path_up(*this, grant_);
}

void PathLink::on_down(runtime::Link& /*link*/, const Error& why, std::span<const std::byte> private_data) {
  if (is_closing_) return;
  if (is_up_) return failed(why);
  // Refused, or nobody there: the session learns of it when nothing of the attempt is left.
  refusal_ = why.code == StatusCode::ok ? StatusCode::connection_refused : why.code;
  const Result<protocol::PrivateData> answer = protocol::decode_private_data(private_data);
  const auto* const reject = answer ? std::get_if<PathReject>(&*answer) : nullptr;
  if (reject != nullptr && reject->path == id_) refusal_ = reject->status;
  handler_.on_path_failed(
      *this,
      reject == nullptr ? why : Error{refusal_, "the node refused it: " + std::string(to_string(refusal_))});
}

void PathLink::on_drained(runtime::Link& /*link*/) {
  link_.reset();
  waiting_.clear();
  handler_.on_path_gone(*this, refusal_);
}

void PathLink::failed(const Error& why) {
  handler_.on_path_failed(*this, why);
}

// ---- Requests

void PathLink::post(const IoRequest& request, const Piece& piece) noexcept {
  if (is_closing_) return;
  if (waiting_.empty() && try_post(request, piece)) return;
  check(waiting_.size() < waiting_.capacity(), "no more requests wait than the path has room for");
  waiting_.push_back({request, &piece});
  ++stalls_;
}

/// True: it was sent, or the connection is over, which is told by its own event.
bool PathLink::try_post(const IoRequest& request, const Piece& piece) noexcept {
  IoRequest complete = request;
  transport::OutgoingMessage message;
  transport::WorkRequest write;
  switch (request.placement) {
    case DataPlacement::none:
      break;
    case DataPlacement::in_capsule:
      message.payload = piece.range->local(rail_, piece.data, request.length);
      break;
    case DataPlacement::slot: {
      const auto place = protocol::find_slot(grant_.slots, request.slot);
      check(place.has_value() && place->size >= request.length, "a write's slot was granted and holds it");
      write = write_request(piece.range->local(rail_, piece.data, request.length),
                            {grant_.region_key, grant_.region_base + place->offset});
      message.before = {&write, 1};
      break;
    }
    case DataPlacement::remote: {
      const transport::RemoteBuffer target = piece.range->remote(rail_, piece.data);
      complete.target = {target.key, target.address};
      break;
    }
  }
  std::array<std::byte, protocol::kIoRequestSize> head;
  protocol::encode(complete, head);
  message.head = head;
  const Status sent = link_->send(message);
  if (sent) return true;
  check(sent.error().code != StatusCode::invalid_argument, "a request fits its path's channel");
  return sent.error().code != StatusCode::queue_full;
}

void PathLink::post_waiting() noexcept {
  if (waiting_.empty()) return;
  std::size_t posted = 0;
  while (posted < waiting_.size() && try_post(waiting_[posted].request, *waiting_[posted].piece))
    ++posted;
  waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(posted));
}

/// One that finds no room is dropped: a full queue is a sign of life too.
void PathLink::post(const protocol::Keepalive& message) noexcept {
  if (is_closing_ || !link_) return;
  std::array<std::byte, protocol::kMaxControlSize> bytes;
  const std::size_t length = protocol::encode({protocol::RequestId(0), message}, bytes);
  transport::OutgoingMessage outgoing;
  outgoing.head = std::span(bytes).first(length);
  static_cast<void>(link_->send(outgoing));
}

void PathLink::on_sent(runtime::Link& /*link*/, std::uint64_t /*tag*/,
                       transport::CompletionStatus /*status*/) {}

// ---- Answers

void PathLink::on_message(runtime::Link& link, std::span<const std::byte> bytes,
                          transport::MessageHandle message) {
  std::array<std::byte, kLongestPathMessage> copy;
  const std::size_t length = std::min(bytes.size(), copy.size());
  std::copy_n(bytes.begin(), length, copy.begin());
  link.release(message);
  if (is_closing_ || !is_up_) return;
  take(std::span(copy).first(length));
}

void PathLink::take(std::span<const std::byte> bytes) {
  if (protocol::classify(bytes) == protocol::FrameKind::io_response) {
    const Result<protocol::IoResponse> response = protocol::decode_response(bytes);
    if (response) return handler_.on_path_response(*this, *response);
    return failed({response.error().code, "it sent a damaged response"});
  }
  const Result<protocol::ControlFrame> frame = protocol::decode_control(bytes);
  const auto* const keepalive = frame ? std::get_if<protocol::Keepalive>(&frame->message) : nullptr;
  if (keepalive != nullptr) return handler_.on_path_keepalive(*this, *keepalive);
  failed({StatusCode::malformed, "it sent what is no answer"});
}

}  // namespace sluice::client
