#include "tests/sim/stranger.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "protocol/base/check.h"
#include "protocol/base/crc32c.h"
#include "protocol/private_data.h"
#include "transport/transport_config.h"

namespace sluice::sim {

using protocol::DataPlacement;
using protocol::IoOp;
using protocol::IoRequest;
using protocol::kIoRequestSize;
using std::chrono::milliseconds;

namespace {

constexpr std::uint32_t kBlock = 4096;
constexpr std::uint16_t kDepth = 8;
constexpr runtime::Rail kRail{0};
constexpr std::size_t kCrcOffset = kIoRequestSize - sizeof(std::uint32_t);

transport::ChannelConfig channel_config() {
  transport::ChannelConfig config;
  config.max_receive_bytes = 128;
  config.max_send_head_bytes = kIoRequestSize + kBlock;
  config.receive_credits = 64;
  config.send_depth = 256;
  return config;
}

template <typename Word>
void put(std::vector<std::byte>& frame, std::size_t offset, Word word) {
  std::memcpy(frame.data() + offset, &word, sizeof word);
}

/// The sequence number that a frame carries; 0 if it was cut before it.
std::uint64_t seq_of(const std::vector<std::byte>& frame) {
  constexpr std::size_t kSeqOffset = 16;
  std::uint64_t seq = 0;
  if (frame.size() >= kSeqOffset + sizeof seq) std::memcpy(&seq, frame.data() + kSeqOffset, sizeof seq);
  return seq;
}

void seal(std::vector<std::byte>& frame) {
  put(frame, kCrcOffset, crc32c(std::span(frame).first(kCrcOffset)));
}

}  // namespace

Stranger::Stranger(Environment& environment, std::string host, History& history, const StrangerSetup& setup)
    : Process(environment, std::move(host), "stranger"),
      history_(history),
      setup_(setup),
      random_(setup.seed),
      dice_(setup.seed + 1) {
  transport::TransportConfig transport = setup.transport;
  transport.local_host = setup.local_address;
  auto provider = open_provider(transport);
  check(provider.has_value(), "the stranger's host is up");
  check(reactor_.add_rail(std::move(*provider), 4096).has_value(), "the stranger's device has a queue");
  runtime::DialerConfig config;
  config.addresses = setup.masters;
  config.backoff = {milliseconds(20), milliseconds(200)};
  dialer_ = std::unique_ptr<runtime::Dialer>(new runtime::Dialer(reactor_, kRail, config, *this));
  start(*this);
}

Stranger::~Stranger() {
  kill(false);
  path_.reset();
  control_.reset();
  dialer_.reset();
}

void Stranger::stop() {
  is_stopped_ = true;
  if (path_) path_->close();
  if (control_) control_->close();
}

bool Stranger::turn() {
  const bool any = reactor_.poll();
  const Instant now = environment().network.now();
  if (now >= tick_at_) {
    tick_at_ = now + milliseconds(5);
    dialer_->tick(now);
    if (control_) control_->tick(now);
    if (!is_stopped_) go_on();
  }
  reactor_.flush();
  return any;
}

void Stranger::go_on() {
  if (is_path_up_) {
    for (std::uint64_t i = dice_.below(4); i > 0 && is_path_up_; --i)
      misbehave();
    if (one_in(20)) lie_to_the_node();
    return;
  }
  if (environment().network.now() < ask_at_) return;
  ask_at_ = environment().network.now() + milliseconds(100);
  if (cookie_ != protocol::Cookie(0) && !path_ && !one_in(4)) return attach();
  ask_for_a_session();
}

// ---- A session, as anybody gets one

void Stranger::ask_for_a_session() {
  cookie_ = protocol::Cookie(0);
  protocol::OpenRequest open;
  open.kind = protocol::OpenKind::open;
  open.mode = one_in(4) ? protocol::AccessMode::read_only : protocol::AccessMode::read_write;
  open.steal = true;
  open.name = *protocol::VolumeName::from(setup_.volume);
  open.client = *protocol::ClientId::from("stranger");
  nonce_ = protocol::Nonce(random_.next());
  open.nonce = nonce_;
  static_cast<void>(dialer_->send({protocol::RequestId(++last_request_), open}));
}

void Stranger::on_dialed(runtime::Dialer& /*dialer*/) {}

void Stranger::on_frame(runtime::Dialer& dialer, const protocol::ControlFrame& frame) {
  const auto* const answer = std::get_if<protocol::OpenAnswer>(&frame.message);
  if (answer == nullptr) return;
  if (answer->status == StatusCode::not_master) return dialer.try_next();
  if (answer->status != StatusCode::ok || answer->addresses.empty()) return;
  opened_ = *answer;
  if (control_) {  // to wherever it is that it leads
    if (control_->is_up()) on_control_up(*control_);
    return;
  }
  const auto address = transport::parse_address(answer->addresses[0].view());
  const auto domain = reactor_.control_domain(kRail);
  if (!address || !domain) return;
  auto link = runtime::ControlLink::connect(reactor_, kRail, **domain, *address, {}, *this);
  if (link) control_ = std::move(*link);
}

void Stranger::on_hung_up(runtime::Dialer& /*dialer*/, const Error& /*why*/) {}

void Stranger::on_control_up(runtime::ControlLink& link) {
  const protocol::SessionOpen open{opened_.volume, opened_.gvn, *protocol::ClientId::from("stranger"),
                                   nonce_};
  static_cast<void>(link.send({protocol::RequestId(++last_request_), open}));
}

void Stranger::on_control(runtime::ControlLink& /*link*/, const protocol::ControlFrame& frame) {
  const auto* const answer = std::get_if<protocol::SessionAnswer>(&frame.message);
  if (answer == nullptr || answer->status != StatusCode::ok) return;
  if (answer->volume != opened_.volume)
    check(false, "nobody gives a stranger a session of a volume that isn't its own");
  cookie_ = answer->cookie;
  window_ = answer->window;
  epoch_ = 0;
  seq_ = 0;
  low_ = 1;
  misused_.clear();
  ask_at_ = {};
}

void Stranger::on_control_down(runtime::ControlLink& /*link*/, const Error& /*why*/) {}

void Stranger::on_control_drained(runtime::ControlLink& /*link*/) {
  control_.reset();
}

void Stranger::attach() {
  const auto address = transport::parse_address(opened_.addresses[0].view());
  const auto domain = reactor_.control_domain(kRail);
  if (!address || !domain) return;
  protocol::PathAttach attach;
  attach.path = protocol::PathId(0);
  attach.depth = kDepth;
  attach.epoch = protocol::PathEpoch(++epoch_);
  attach.gvn = opened_.gvn;
  attach.volume = opened_.volume;
  attach.cookie = cookie_;
  if (one_in(6)) attach.cookie = protocol::Cookie(random_.next());
  if (one_in(10) && epoch_ > 1) attach.epoch = protocol::PathEpoch(1);
  std::array<std::byte, protocol::kMaxPrivateDataSize> bytes;
  const std::size_t length = protocol::encode(protocol::PrivateData(attach), bytes);
  if (one_in(10)) bytes[dice_.below(length)] ^= std::byte{1};
  auto link =
      reactor_.connect(kRail, **domain, *address, channel_config(), std::span(bytes).first(length), *this);
  if (link) path_ = std::move(*link);
}

void Stranger::on_up(runtime::Link& /*link*/, std::span<const std::byte> /*private_data*/) {
  is_path_up_ = true;
}

void Stranger::on_message(runtime::Link& link, std::span<const std::byte> bytes,
                          transport::MessageHandle message) {
  if (const auto response = protocol::decode_response(bytes)) {
    ++marks_["stranger." + std::string(to_string(response->status))];
    if (response->repeated && misused_.contains(response->seq.value()))
      history_.violate("W5", "a number was used for two requests, and both were answered alike");
  }
  link.release(message);
}

void Stranger::on_sent(runtime::Link& /*link*/, std::uint64_t /*tag*/,
                       transport::CompletionStatus /*status*/) {}

void Stranger::on_down(runtime::Link& /*link*/, const Error& /*why*/,
                       std::span<const std::byte> /*private_data*/) {
  is_path_up_ = false;
}

void Stranger::on_drained(runtime::Link& /*link*/) {
  is_path_up_ = false;
  path_.reset();
}

// ---- And then

IoRequest Stranger::honest_request() {
  IoRequest request;
  request.op = static_cast<IoOp>(1 + dice_.below(5));
  request.gvn = opened_.gvn;
  request.seq = Seq(++seq_);
  low_ = std::max(low_, seq_ > 4 ? seq_ - 4 : 1);
  request.low = Seq(std::min(low_, seq_));
  if (seq_ - request.low.value() >= window_) request.low = Seq(seq_);
  request.offset = ByteCount(kBlock * dice_.below(4));
  request.length = kBlock;
  request.path_tag = protocol::make_path_tag(opened_.volume, opened_.gvn, cookie_, protocol::PathId(0),
                                             protocol::PathEpoch(epoch_));
  switch (request.op) {
    case IoOp::flush:
      request.offset = ByteCount(0);
      request.length = 0;
      break;
    case IoOp::read:
      request.op = IoOp::write_zeroes;  // it has no memory for answers
      break;
    case IoOp::write:
      request.placement = DataPlacement::in_capsule;
      break;
    default:
      break;
  }
  return request;
}

Stranger::Frame Stranger::encode(const IoRequest& request, std::uint32_t data_length) {
  Frame frame(kIoRequestSize + data_length, std::byte{0x77});
  IoRequest complete = request;
  if (request.op == IoOp::write) complete.data_crc = crc32c(std::span(frame).subspan(kIoRequestSize));
  protocol::encode(complete, std::span(frame).first<kIoRequestSize>());
  return frame;
}

void Stranger::misbehave() {
  if (one_in(40)) return send_more_than_allowed();
  const IoRequest request = honest_request();
  Frame frame = encode(request, request.op == IoOp::write ? request.length : 0);
  if (one_in(3)) return send(std::move(frame));
  poke(frame);
  send(std::move(frame));
}

/// Never mind how many requests the path may have unanswered.
void Stranger::send_more_than_allowed() {
  for (std::uint32_t i = 0; i < 4U * kDepth; ++i) {
    const IoRequest request = honest_request();
    send(encode(request, request.op == IoOp::write ? request.length : 0));
  }
}

/// One thing is wrong with it, and its checksum is right (but where that is what's wrong).
void Stranger::poke(Frame& frame) {
  const auto op = static_cast<IoOp>(frame[2]);
  switch (dice_.below(16)) {
    case 0:  // damaged
      frame[dice_.below(kIoRequestSize)] ^= std::byte{0x10};
      return;
    case 1:  // cut short
      frame.resize(dice_.below(frame.size()));
      return;
    case 2:  // anything
      for (std::byte& byte : frame)
        byte = static_cast<std::byte>(dice_.below(256));
      return;
    case 3:  // another protocol version
      put(frame, 1, std::uint8_t{9});
      break;
    case 4:  // somebody else's session
      put(frame, 8, opened_.gvn.value() - (one_in(2) ? 1 : 0) + (one_in(2) ? 1 : 0));
      break;
    case 5:
      put(frame, 8, one_in(2) ? std::uint64_t{0} : UINT64_MAX);
      break;
    case 6:  // no number, and the last
      put(frame, 16, one_in(2) ? std::uint64_t{0} : UINT64_MAX);
      break;
    case 7:  // beyond the window
      put(frame, 16, seq_ + window_ * (1 + dice_.below(3)));
      break;
    case 8:  // low further below than the window reaches
      put(frame, 6, static_cast<std::uint16_t>(window_ + dice_.below(3) - 1));
      break;
    case 9:  // low passes what may be executing
      put(frame, 6, std::uint16_t{0});
      break;
    case 10:  // a used number for something else
      if ((op != IoOp::discard && op != IoOp::write_zeroes) || seq_ < 2) break;
      put(frame, 6, std::uint16_t{0});
      put(frame, 16, seq_ - 1);
      put(frame, 24, std::uint64_t{0});
      put(frame, 32, 2 * kBlock);
      misused_.insert(seq_ - 1);
      break;
    case 11:  // nothing, or behind the end
      if (op == IoOp::flush) return;
      if (one_in(2)) {
        put(frame, 24, opened_.size.value() + kBlock * dice_.below(2));
      } else {
        put(frame, 24, std::uint64_t{1} + dice_.below(kBlock));
      }
      break;
    case 12:  // the payload isn't what it says
      if (op == IoOp::write) put(frame, 36, std::uint32_t{12345});
      break;
    case 13:  // a slot that it hasn't
      if (op != IoOp::write) break;
      frame.resize(kIoRequestSize);
      put(frame, 3, std::uint8_t{2U << 1U});
      put(frame, 4, static_cast<std::uint16_t>(dice_.below(5000)));
      break;
    case 14:  // another path's
      put(frame, 56, std::uint32_t{0xdeadbeef});
      break;
    default:  // sent before, on this connection or an older one
      if (!sent_.empty()) frame = sent_[dice_.below(sent_.size())];
      // What was misused may have been the first that the node saw of its number: then this is its
      // repetition.
      misused_.erase(seq_of(frame));
      return;
  }
  seal(frame);
}

void Stranger::send(Frame frame) {
  if (!path_ || !path_->is_connected() || frame.size() > kIoRequestSize + kBlock) return;
  transport::OutgoingMessage message;
  message.head = frame;
  static_cast<void>(path_->send(message));
  sent_.push_back(std::move(frame));
  if (sent_.size() > 64) sent_.pop_front();
}

/// Asks for the sessions of others: every volume that there may be, at versions that it can guess.
void Stranger::lie_to_the_node() {
  if (!control_ || !control_->is_up()) return;
  const protocol::SessionOpen open{VolumeId(1 + dice_.below(3)), Gvn(opened_.gvn.value() + dice_.below(4)),
                                   *protocol::ClientId::from(one_in(2) ? "c0" : "stranger"),
                                   protocol::Nonce(random_.next())};
  if (open.volume == opened_.volume) return;
  static_cast<void>(control_->send({protocol::RequestId(++last_request_), open}));
}

}  // namespace sluice::sim
