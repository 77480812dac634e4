#include "transport/ofi/endpoint.h"

#include <algorithm>
#include <cstring>

#include <rdma/fi_rma.h>

#include "transport/handshake.h"

namespace sluice::transport::ofi {

namespace {

std::uint64_t total_bytes(const WorkRequest& request) {
  std::uint64_t total = 0;
  for (const LocalBuffer& segment : std::span(request.segments).first(request.segment_count))
    total += segment.length;
  return total;
}

void put_le64(std::span<std::byte> out, std::uint64_t value) {
  for (std::size_t i = 0; i < 8; ++i)
    out[i] = static_cast<std::byte>(value >> (8 * i));
}

std::uint64_t get_le64(std::span<const std::byte> in) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < 8; ++i)
    value |= std::to_integer<std::uint64_t>(in[i]) << (8 * i);
  return value;
}

}  // namespace

std::vector<std::byte> join(std::span<const std::byte> handshake, const GoodbyeMailbox& mailbox) {
  std::vector<std::byte> bytes(handshake.begin(), handshake.end());
  bytes.resize(handshake.size() + GoodbyeMailbox::kBytes);
  const auto tail = std::span(bytes).last(GoodbyeMailbox::kBytes);
  put_le64(tail.first(8), mailbox.at.key);
  put_le64(tail.last(8), mailbox.at.address);
  return bytes;
}

GoodbyeMailbox mailbox_behind(std::span<const std::byte> bytes, std::size_t private_data_bytes) {
  const std::size_t start = kHandshakeHeaderBytes + private_data_bytes;
  if (bytes.size() < start + GoodbyeMailbox::kBytes) return {};
  return {{get_le64(bytes.subspan(start, 8)), get_le64(bytes.subspan(start + 8, 8))}};
}

// ---- Making one
// --------------------------------------------------------------------------------------------------

OfiEndpoint::OfiEndpoint(const Fabric& fabric, EndpointHost& host, const EndpointConfig& config,
                         std::string peer)
    : fabric_(fabric),
      host_(host),
      domain_(static_cast<OfiProtectionDomain&>(*config.domain)),
      queue_(static_cast<OfiCompletionQueue&>(*config.queue)),
      peer_(std::move(peer)),
      advertised_credits_(config.advertised_credits),
      max_segments_(config.max_segments),
      max_inline_bytes_(std::min(config.max_inline_bytes, fabric.max_inline_bytes())),
      work_(*this, *this, config.send_depth, config.receive_depth) {}

Status OfiEndpoint::validate(const Fabric& fabric, const EndpointConfig& config) {
  if (dynamic_cast<OfiProtectionDomain*>(config.domain) == nullptr ||
      dynamic_cast<OfiCompletionQueue*>(config.queue) == nullptr) {
    return fail(StatusCode::invalid_argument,
                "an endpoint needs a protection domain and completion queue of its provider");
  }
  const std::uint32_t limit = fabric.max_queue_depth();
  if (config.send_depth == 0 || config.send_depth > limit || config.receive_depth == 0 ||
      config.receive_depth > limit || config.initial_receives.size() > config.receive_depth ||
      config.max_segments == 0 || config.max_segments > fabric.max_segments()) {
    return fail(StatusCode::invalid_argument,
                "endpoint depths " + std::to_string(config.send_depth) + " and " +
                    std::to_string(config.receive_depth) + ", " + std::to_string(config.max_segments) +
                    " segments: fabric \"" + fabric.config().fabric + "\" takes depths of 1 to " +
                    std::to_string(limit) + ", and 1 to " + std::to_string(fabric.max_segments()) +
                    " segments");
  }
  return {};
}

Result<std::unique_ptr<OfiEndpoint>> OfiEndpoint::create(const Fabric& fabric, EndpointHost& host,
                                                         const EndpointConfig& config, const fi_info& info,
                                                         std::string peer) {
  std::unique_ptr<OfiEndpoint> endpoint(new OfiEndpoint(fabric, host, config, std::move(peer)));
  if (Status status = endpoint->open(config, info); !status) return tl::unexpected(status.error());
  return endpoint;
}

Status OfiEndpoint::open(const EndpointConfig& config, const fi_info& info) {
  FaultInjector* faults = fabric_.faults();
  const Result<OfiCompletionQueue::Attachment> attachment = queue_.attach(work_, domain_.domain());
  if (!attachment) return tl::unexpected(attachment.error());
  attachment_ = *attachment;
  is_attached_ = true;
  if (Status status = open_mailbox(); !status) return status;

  // libfabric's signature isn't const, but an info is only read.
  auto handle = open_fabric<fid_ep>(faults, "fi_endpoint", [&](fid_ep** out) {
    return fi_endpoint(domain_.domain()->handle.get(), const_cast<fi_info*>(&info), out, nullptr);
  });
  if (!handle) return tl::unexpected(handle.error());
  handle_ = std::move(*handle);
  const auto bind = [&](fid_t object, std::uint64_t flags) {
    return call_fabric(faults, "fi_ep_bind", [&] { return fi_ep_bind(handle_.get(), object, flags); });
  };
  if (Status status = bind(&host_.event_queue()->fid, 0); !status) return status;
  if (Status status = bind(&attachment_.queue->fid, FI_RECV); !status) return status;
  if (Status status = bind(&attachment_.queue->fid, FI_TRANSMIT | FI_SELECTIVE_COMPLETION); !status) {
    return status;
  }
  if (Status status = call_fabric(faults, "fi_enable", [&] { return fi_enable(handle_.get()); }); !status) {
    return status;
  }
  host_.enter_endpoint(*this);
  for (const ReceiveRequest& request : config.initial_receives) {
    if (const long result = submit_receive(request, push_receive(request)); result != 0) {
      return fail_fabric(result, "post the initial receives: fi_recv");
    }
  }
  return {};
}

Status OfiEndpoint::open_mailbox() {
  const auto memory = std::as_writable_bytes(std::span(&goodbye_, 1));
  Result<RegionHandle> region =
      register_with_fabric(fabric_, *domain_.domain(), memory, Access::remote_write);
  if (!region) return tl::unexpected(region.error());
  mailbox_ = std::move(*region);
  mailbox_base_ = remote_base(fabric_, memory);
  return {};
}

GoodbyeMailbox OfiEndpoint::own_mailbox() const noexcept {
  return {{fi_mr_key(mailbox_.get()), mailbox_base_}};
}

/// Without the mailbox where the fabric's connection data hasn't room for it (verbs: 56 bytes): such fabrics
/// tell a refusal from a death themselves.
std::vector<std::byte> OfiEndpoint::connection_data(std::span<const std::byte> private_data) const {
  const HandshakeMessage handshake({advertised_credits_}, private_data);
  std::size_t room = 0;
  std::size_t length = sizeof room;
  const bool is_known = fi_getopt(&handle_->fid, FI_OPT_ENDPOINT, FI_OPT_CM_DATA_SIZE, &room, &length) == 0;
  if (is_known && room >= handshake.bytes().size() + GoodbyeMailbox::kBytes) {
    return join(handshake.bytes(), own_mailbox());
  }
  return {handshake.bytes().begin(), handshake.bytes().end()};
}

OfiEndpoint::~OfiEndpoint() {
  if (handle_ && endpoint_state_ == EndpointState::connected) say_goodbye();
  sever();
  if (is_attached_) queue_.detach(work_, attachment_);
  host_.leave_endpoint(*this);
}

// ---- Posting
// -----------------------------------------------------------------------------------------------------

bool OfiEndpoint::is_executable(const WorkRequest& request) const noexcept {
  if (request.segment_count > max_segments_) return false;
  const std::uint64_t bytes = total_bytes(request);
  return bytes <= fabric_.max_message_bytes() &&
         !(request.inline_data && (request.opcode == Opcode::read || bytes > max_inline_bytes_)) &&
         !(request.immediate && request.opcode != Opcode::send);
}

Operation& OfiEndpoint::push_send(const WorkRequest& request) noexcept {
  Operation& operation = work_.sends().push();
  operation.queues = &work_;
  operation.id = request.id.at_endpoint(attachment_.index);
  operation.is_rma = request.opcode != Opcode::send;
  operation.is_signaled = request.signaled;
  operation.is_silent = !request.signaled && !operation.is_rma;
  return operation;
}

Operation& OfiEndpoint::push_receive(const ReceiveRequest& request) noexcept {
  Operation& operation = work_.receives().push();
  operation.queues = &work_;
  operation.id = request.id.at_endpoint(attachment_.index);
  operation.is_receive = true;
  operation.is_signaled = true;
  return operation;
}

/// Into segments_ and descriptors_. False: a local key doesn't cover its buffer.
bool OfiEndpoint::describe_segments(const WorkRequest& request) noexcept {
  for (std::size_t i = 0; i < request.segment_count; ++i) {
    const LocalBuffer& segment = request.segments[i];
    segments_[i] = {segment.data, segment.length};
    descriptors_[i] = nullptr;
    if (request.inline_data || segment.length == 0) continue;
    const OfiRegion* region = domain_.find(segment.key);
    if (region == nullptr || !region->covers(segment, request.opcode == Opcode::read)) return false;
    descriptors_[i] = region->descriptor();
  }
  return true;
}

Status OfiEndpoint::post(std::span<const WorkRequest> chain) noexcept {
  if (endpoint_state_ != EndpointState::connected) return fail(StatusCode::unavailable);
  if (chain.size() > work_.sends().room()) return fail(StatusCode::queue_full);
  if (!std::ranges::all_of(chain, [&](const WorkRequest& request) { return is_executable(request); })) {
    return fail(StatusCode::invalid_argument);
  }
  for (std::size_t i = 0; i < chain.size(); ++i) {
    Operation& operation = push_send(chain[i]);
    const long result = submit(chain[i], operation, i + 1 == chain.size());
    if (result == 0) continue;
    if (result == -FI_EAGAIN && i == 0) {
      work_.sends().unpush();
      return fail(StatusCode::queue_full);
    }
    // The rest was never given to the fabric; it is flushed with all else that has no outcome.
    for (const WorkRequest& request : chain.subspan(i + 1))
      push_send(request);
    fail_connection(operation.is_done
                        ? Error{StatusCode::invalid_argument, "connection to " + peer_ + ": " +
                                                                  to_string(chain[i].id) +
                                                                  ": a local key doesn't cover its buffer"}
                        : fail_fabric(result, "connection to " + peer_ + ": post a request").value());
    return {};
  }
  return {};
}

long OfiEndpoint::submit(const WorkRequest& request, Operation& operation, bool is_last) noexcept {
  if (!describe_segments(request)) {
    work_.on_failure(operation, CompletionStatus::local_protection, 0);
    return -FI_EINVAL;
  }
  std::uint64_t flags = is_last ? 0 : FI_MORE;
  if (!operation.is_silent) flags |= FI_COMPLETION;
  if (request.inline_data) flags |= FI_INJECT;

  if (request.opcode == Opcode::send) {
    fi_msg message{};
    message.msg_iov = segments_.data();
    message.desc = descriptors_.data();
    message.iov_count = request.segment_count;
    message.context = &operation;
    if (request.immediate) {
      message.data = *request.immediate;
      flags |= FI_REMOTE_CQ_DATA;
    }
    if (injected_failure(fabric_.faults(), "fi_sendmsg")) return -FI_ENOMEM;
    return fi_sendmsg(handle_.get(), &message, flags);
  }

  const fi_rma_iov target{request.remote.address, total_bytes(request), request.remote.key};
  fi_msg_rma message{};
  message.msg_iov = segments_.data();
  message.desc = descriptors_.data();
  message.iov_count = request.segment_count;
  message.rma_iov = &target;
  message.rma_iov_count = 1;
  message.context = &operation;
  if (request.opcode == Opcode::write) {
    // As on a queue pair, success means that the peer has taken it. Without this it would mean that the
    // kernel has, and a WRITE that the peer refuses would succeed.
    flags |= FI_DELIVERY_COMPLETE;
    if (injected_failure(fabric_.faults(), "fi_writemsg")) return -FI_ENOMEM;
    return fi_writemsg(handle_.get(), &message, flags);
  }
  if (injected_failure(fabric_.faults(), "fi_readmsg")) return -FI_ENOMEM;
  return fi_readmsg(handle_.get(), &message, flags);
}

Status OfiEndpoint::post_receives(std::span<const ReceiveRequest> receives) noexcept {
  if (endpoint_state_ != EndpointState::connected && endpoint_state_ != EndpointState::connecting) {
    return fail(StatusCode::unavailable);
  }
  if (receives.size() > work_.receives().room()) return fail(StatusCode::queue_full);
  for (std::size_t i = 0; i < receives.size(); ++i) {
    const long result = submit_receive(receives[i], push_receive(receives[i]));
    if (result == 0) continue;
    for (const ReceiveRequest& request : receives.subspan(i + 1))
      push_receive(request);
    fail_connection(fail_fabric(result, "connection to " + peer_ + ": post a receive").value());
    return {};
  }
  return {};
}

long OfiEndpoint::submit_receive(const ReceiveRequest& request, Operation& operation) noexcept {
  void* descriptor = nullptr;
  if (request.buffer.length > 0) {
    const OfiRegion* region = domain_.find(request.buffer.key);
    if (region == nullptr || !region->covers(request.buffer, true)) {
      work_.on_failure(operation, CompletionStatus::local_protection, 0);
      return -FI_EINVAL;
    }
    descriptor = region->descriptor();
  }
  if (injected_failure(fabric_.faults(), "fi_recv")) return -FI_ENOMEM;
  return fi_recv(handle_.get(), request.buffer.data, request.buffer.length, descriptor, FI_ADDR_UNSPEC,
                 &operation);
}

// ---- Coming up
// ---------------------------------------------------------------------------------------------------

Status OfiEndpoint::start_connect(const SocketAddress& destination, std::span<const std::byte> private_data) {
  is_active_ = true;
  connect_deadline_ = SteadyClock().now() + fabric_.config().connect_timeout;
  const std::vector<std::byte> data = connection_data(private_data);
  const long result = injected_failure(fabric_.faults(), "fi_connect")
                          ? -FI_ENOMEM
                          : fi_connect(handle_.get(), destination.get(), data.data(), data.size());
  if (result == 0) return {};
  if (result == -FI_ECONNREFUSED) {  // known at once, but the contract tells it with an event
    on_connect_error(FI_ECONNREFUSED, {});
    return {};
  }
  return tl::unexpected(describe_connect_failure(static_cast<int>(result), peer_));
}

Status OfiEndpoint::start_accept(std::span<const std::byte> private_data,
                                 const GoodbyeMailbox& peer_mailbox) {
  peer_mailbox_ = peer_mailbox;
  connect_deadline_ = SteadyClock().now() + fabric_.config().connect_timeout;
  const std::vector<std::byte> data = connection_data(private_data);
  return call_fabric(fabric_.faults(), "fi_accept",
                     [&] { return fi_accept(handle_.get(), data.data(), data.size()); });
}

void OfiEndpoint::on_connected(std::span<const std::byte> data) {
  if (!is_active_) {
    establish({}, 0);
    return;
  }
  const Result<ParsedHandshake> handshake = parse_handshake(data);
  if (!handshake) {
    fail_connection(fail_while("connect to " + peer_, handshake.error()).value());
    return;
  }
  peer_mailbox_ = mailbox_behind(data, handshake->private_data.size());
  establish({handshake->private_data.begin(), handshake->private_data.end()}, handshake->header.credits);
}

void OfiEndpoint::on_first_receive() noexcept {
  if (endpoint_state_ == EndpointState::connecting) establish({}, 0);
}

void OfiEndpoint::establish(std::vector<std::byte> private_data, std::uint16_t peer_credits) {
  if (is_announced_ || endpoint_state_ != EndpointState::connecting) return;
  is_announced_ = true;
  endpoint_state_ = EndpointState::connected;
  ConnectionEvent event;
  event.kind = ConnectionEvent::Kind::established;
  event.endpoint = this;
  event.private_data = std::move(private_data);
  event.peer_credits = peer_credits;
  host_.publish(std::move(event));
}

void OfiEndpoint::on_connect_timeout() {
  fail_connection({StatusCode::timed_out, "connect to " + peer_ + ": no answer within " +
                                              std::to_string(fabric_.config().connect_timeout.count()) +
                                              " ms: check that the address is right and the path is up"});
}

void OfiEndpoint::on_connect_error(int error, std::span<const std::byte> data) {
  if (!is_active_ || endpoint_state_ != EndpointState::connecting) {
    on_shutdown();
    return;
  }
  // Only a peer's own rejection carries data.
  if (!data.empty()) {
    const Result<ParsedHandshake> handshake = parse_handshake(data);
    if (!handshake) {
      fail_connection(fail_while("connect to " + peer_, handshake.error()).value());
      return;
    }
    fail_connection({StatusCode::connection_refused, "connect to " + peer_ + ": the peer rejected it"},
                    {handshake->private_data.begin(), handshake->private_data.end()});
    return;
  }
  fail_connection(describe_connect_failure(error, peer_));
}

// ---- Going down
// --------------------------------------------------------------------------------------------------

void OfiEndpoint::on_shutdown() {
  if (is_active_ && endpoint_state_ == EndpointState::connecting) {
    fail_connection(describe_connect_failure(FI_ECONNRESET, peer_));
  } else {
    fail_connection({StatusCode::unavailable, {}});
  }
}

/// A cause without words is found out once the fabric has said all: see explain_loss().
void OfiEndpoint::fail_connection(Error cause, std::vector<std::byte> private_data) noexcept {
  if (endpoint_state_ == EndpointState::draining || endpoint_state_ == EndpointState::drained) return;
  host_.pump();  // what the fabric says of this connection's beginning comes before its end
  if (endpoint_state_ == EndpointState::draining || endpoint_state_ == EndpointState::drained) return;
  failure_ = std::move(cause);
  begin_drain();
  log_line(fabric_.config(), LogLevel::info, failure_.message);
  ConnectionEvent event;
  event.kind = ConnectionEvent::Kind::disconnected;
  event.endpoint = this;
  event.private_data = std::move(private_data);
  event.error = failure_;
  host_.publish(std::move(event));
  finish_if_empty();
}

void OfiEndpoint::close() noexcept {
  if (endpoint_state_ == EndpointState::drained) return;
  host_.retract(*this, ConnectionEvent::Kind::disconnected);
  if (endpoint_state_ == EndpointState::draining) return;
  if (endpoint_state_ == EndpointState::connected) say_goodbye();
  begin_drain();
  finish_if_empty();
}

/// The fabric lets go of everything; whatever has no outcome by then has none for good.
void OfiEndpoint::begin_drain() noexcept {
  endpoint_state_ = EndpointState::draining;
  sever();
  if (failure_.code != StatusCode::ok && failure_.message.empty()) explain_loss();
  work_.flush();
  queue_.list_ready(work_);
}

/// The fabric says that the connection ended; why is to be found in what became of the work.
void OfiEndpoint::explain_loss() noexcept {
  const std::string what = "connection to " + peer_;
  const WorkQueues::Failure& failure = work_.failure();
  if (failure.status != CompletionStatus::flushed) {
    failure_.message = what + " failed: " + (failure.is_receive ? "receive " : "request ") +
                       to_string(failure.id) + ": " + std::string(to_string(failure.status)) + " (" +
                       fi_strerror(static_cast<int>(failure.vendor_error)) + ")";
  } else if (goodbye_ != 0) {
    failure_.message = what + " was closed by the peer";
  } else if (Operation* rma = work_.oldest_unanswered_rma(); rma != nullptr) {
    failure_.message = what + " was dropped by the peer while it had " + to_string(rma->id) +
                       " to answer: it refused the key, bounds or rights, or its process died";
    work_.on_failure(*rma, CompletionStatus::remote_access, 0);
  } else {
    failure_.message = what + " was lost: the peer's process ended, or it refused what this side sent";
  }
}

/// When it returns the fabric touches none of this endpoint's buffers, and what it had to say about them is
/// in work_.
void OfiEndpoint::sever() noexcept {
  if (!handle_) return;
  queue_.settle(attachment_);
  handle_.reset();
  queue_.settle(attachment_);
}

/// A closed connection looks to the peer like one that broke, and then an unanswered WRITE or READ like one
/// that we refused. So a word in the peer's memory says that this is on purpose. It is lost if the socket is
/// full, and then the peer takes the worse view.
void OfiEndpoint::say_goodbye() noexcept {
  if (peer_mailbox_.at.key == 0 || injected_failure(fabric_.faults(), "fi_writemsg")) return;
  static constexpr std::uint64_t kGoodbye = 1;
  std::uint64_t word = kGoodbye;
  const iovec source{&word, sizeof word};
  const fi_rma_iov target{peer_mailbox_.at.address, sizeof word, peer_mailbox_.at.key};
  fi_msg_rma message{};
  message.msg_iov = &source;
  message.iov_count = 1;
  message.rma_iov = &target;
  message.rma_iov_count = 1;
  message.context = &goodbye_operation_;
  (void)fi_writemsg(handle_.get(), &message, FI_INJECT);
}

void OfiEndpoint::finish_if_empty() noexcept {
  if (endpoint_state_ != EndpointState::draining || !work_.empty()) return;
  endpoint_state_ = EndpointState::drained;
  ConnectionEvent event;
  event.kind = ConnectionEvent::Kind::drained;
  event.endpoint = this;
  host_.publish(std::move(event));
}

}  // namespace sluice::transport::ofi
