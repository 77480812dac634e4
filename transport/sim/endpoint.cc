#include "transport/sim/endpoint.h"

#include <algorithm>
#include <utility>

#include "transport/handshake.h"
#include "transport/sim/memory.h"
#include "transport/sim/words.h"

namespace sluice::transport::sim {

namespace {

/// Of a completion that belongs to no request that the device took.
constexpr std::uint64_t kRefused = ~std::uint64_t{0};

QueuePairConfig queue_pair_config(const SimProvider& provider, const EndpointConfig& config) {
  QueuePairConfig out;
  out.send_depth = config.send_depth;
  out.receive_depth = config.receive_depth;
  out.domain = static_cast<const SimProtectionDomain*>(config.domain)->number();
  out.min_rnr_timer = provider.config().min_rnr_timer;
  out.ack_timeout_exponent = provider.config().ack_timeout_exponent;
  return out;
}

bool is_depth(std::uint32_t depth, const ProviderInfo& info) {
  return depth > 0 && depth <= info.max_queue_depth;
}

}  // namespace

// ---- Opening

Result<std::unique_ptr<SimEndpoint>> SimEndpoint::create(SimProvider& provider, const EndpointConfig& config,
                                                         std::string peer) {
  const auto* domain = dynamic_cast<SimProtectionDomain*>(config.domain);
  auto* queue = dynamic_cast<SimCompletionQueue*>(config.queue);
  if (domain == nullptr || queue == nullptr || &domain->provider() != &provider ||
      &queue->provider() != &provider) {
    return fail(StatusCode::invalid_argument,
                "an endpoint needs a protection domain and completion queue of its provider");
  }
  if (!is_depth(config.send_depth, provider.info()) || !is_depth(config.receive_depth, provider.info()) ||
      config.max_segments == 0 || config.max_segments > kMaxSegments ||
      config.initial_receives.size() > config.receive_depth) {
    return fail(StatusCode::invalid_argument, "endpoint depths " + std::to_string(config.send_depth) +
                                                  " and " + std::to_string(config.receive_depth) +
                                                  ": the simulated device takes 1 to " +
                                                  std::to_string(provider.info().max_queue_depth) +
                                                  ", and 1 to " + std::to_string(kMaxSegments) + " segments");
  }
  if (injected_failure(provider.config().faults, "sim_create_queue_pair"))
    return fail(StatusCode::out_of_memory, "create a queue pair: the simulated device has no room for it");
  std::unique_ptr<SimEndpoint> endpoint(new SimEndpoint(provider, *queue, config, std::move(peer)));
  const Result<std::uint16_t> index = queue->attach(*endpoint, endpoint->queue_entries());
  if (!index) return tl::unexpected(index.error());
  endpoint->index_ = *index;
  if (Status status = endpoint->post_receives(config.initial_receives); !status)
    return tl::unexpected(status.error());
  if (!endpoint->refused_receives_.empty())
    return fail(StatusCode::out_of_memory, "the device refused the initial receives");
  return endpoint;
}

SimEndpoint::SimEndpoint(SimProvider& provider, SimCompletionQueue& queue, const EndpointConfig& config,
                         std::string peer)
    : provider_(provider),
      queue_(queue),
      peer_(std::move(peer)),
      send_depth_(config.send_depth),
      receive_depth_(config.receive_depth),
      max_segments_(config.max_segments),
      max_inline_bytes_(std::min(config.max_inline_bytes, provider.info().max_inline_bytes)),
      queue_pair_(provider.fabric().wire, *this, queue_pair_config(provider, config)) {
  refused_sends_.reserve(send_depth_);
  refused_receives_.reserve(receive_depth_);
  provider_.add_endpoint(*this);
}

SimEndpoint::~SimEndpoint() {
  if (connection_ != 0 && provider_.has_device()) provider_.fabric().connections.end(connection_);
  if (index_) queue_.detach(*this, *index_, queue_entries());
  provider_.remove_endpoint(*this);
}

// ---- Posting

bool SimEndpoint::is_valid(const WorkRequest& request) const noexcept {
  if (request.segment_count > max_segments_) return false;
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < request.segment_count; ++i)
    bytes += request.segments[i].length;
  return bytes <= provider_.info().max_message_bytes &&
         (!request.inline_data || bytes <= max_inline_bytes_) &&
         !(request.inline_data && request.opcode == Opcode::read) &&
         !(request.immediate && request.opcode != Opcode::send);
}

std::uint32_t SimEndpoint::send_room() const noexcept {
  if (state_ != EndpointState::connected) return 0;
  return send_depth_ - static_cast<std::uint32_t>(sends_posted_ - sends_retired_);
}

Status SimEndpoint::post(std::span<const WorkRequest> chain) noexcept {
  if (state_ != EndpointState::connected || provider_.is_dead()) return fail(StatusCode::unavailable);
  if (chain.size() > send_room()) return fail(StatusCode::queue_full);
  if (!std::ranges::all_of(chain, [this](const WorkRequest& request) { return is_valid(request); }))
    return fail(StatusCode::invalid_argument);
  if (chain.empty()) return {};

  Core& core = provider_.fabric().core;
  std::size_t taken = chain.size();
  if (injected_failure(provider_.config().faults, "sim_post_send")) {
    taken = 0;
  } else if (core.strikes(FaultKind::partial_post, queue_pair_.number())) {
    taken = core.chances.below(chain.size());
  }
  sends_posted_ += taken;
  queue_pair_.post(chain.first(taken));
  if (taken == chain.size()) return {};
  for (const WorkRequest& request : chain.subspan(taken))
    refused_sends_.push_back(request.id);
  fail_connection({StatusCode::system_error,
                   "connection to " + peer_ + ": the device refused a work request (partial post)"});
  return {};
}

Status SimEndpoint::post_receives(std::span<const ReceiveRequest> receives) noexcept {
  const bool may_post = state_ == EndpointState::connecting || state_ == EndpointState::connected;
  if (!may_post || provider_.is_dead()) return fail(StatusCode::unavailable);
  if (receives.size() > receive_depth_ - (receives_posted_ - receives_retired_))
    return fail(StatusCode::queue_full);
  if (receives.empty()) return {};

  Core& core = provider_.fabric().core;
  std::size_t taken = receives.size();
  if (injected_failure(provider_.config().faults, "sim_post_receive")) {
    taken = 0;
  } else if (core.strikes(FaultKind::partial_receive_post, queue_pair_.number())) {
    taken = core.chances.below(receives.size());
  }
  receives_posted_ += taken;
  queue_pair_.post_receives(receives.first(taken));
  if (taken == receives.size()) return {};
  for (const ReceiveRequest& receive : receives.subspan(taken))
    refused_receives_.push_back(receive.id);
  fail_connection(
      {StatusCode::system_error, "connection to " + peer_ + ": the device refused a receive (partial post)"});
  return {};
}

// ---- Completions

void SimEndpoint::on_completion(std::uint64_t number, const Completion& completion) {
  Completion out = completion;
  out.endpoint = this;
  out.id = completion.id.at_endpoint(*index_);
  ++untaken_;
  queue_.push(*this, number, out);
}

void SimEndpoint::on_taken(std::uint64_t number, const Completion& completion) noexcept {
  --untaken_;
  if (number != kRefused) {
    // Both queues complete in order: all before it have completed too.
    (completion.is_receive ? receives_retired_ : sends_retired_) = number + 1;
  }
  if (completion.status != CompletionStatus::success) {
    fail_by_cause();
  } else if (state_ == EndpointState::connecting) {
    // The peer's "ready to use" may be lost or late: a message proves the connection just as well.
    provider_.fabric().connections.mark_established(connection_);
    on_established({}, 0);
  }
  finish_if_drained();
}

// ---- Coming up

void SimEndpoint::set_deadline(Duration from_now) {
  Core& core = provider_.fabric().core;
  deadline_ = core.now() + from_now;
  core.schedule(deadline_, EventKind::deadline, queue_pair_.number());
}

void SimEndpoint::start_connect_timer() {
  set_deadline(provider_.config().connect_timeout);
}

void SimEndpoint::on_reply(const Notice& notice) {
  if (state_ != EndpointState::connecting) return;
  const Result<ParsedHandshake> handshake = parse_handshake(notice.data);
  if (!handshake) {
    fail_connection({handshake.error().code, "connect to " + peer_ + ": " + handshake.error().message});
    return;
  }
  Fabric& fabric = provider_.fabric();
  if (!fabric.connections.knows(connection_)) {
    // The peer has hung up again while this process was stopped.
    return fail_connection({StatusCode::unavailable, "connection to " + peer_ + " was closed by the peer"});
  }
  PeerParameters peer;
  peer.queue_pair = notice.parameters.queue_pair;
  peer.path = &fabric.topology.path(provider_.nic().number, fabric.connections.peer_nic(connection_));
  peer.retry_count = provider_.config().retry_count;
  peer.rnr_retry_count = notice.parameters.rnr_retry_count;
  queue_pair_.connect(peer);
  fabric.connections.send_ready_to_use(connection_);
  on_established(handshake->private_data, handshake->header.credits);
  if (fabric.core.strikes(FaultKind::connect_cut, queue_pair_.number())) {
    fabric.core.schedule_after(fabric.core.chances.up_to(fabric.core.faults.error_delay_max),
                               EventKind::queue_pair_fault, queue_pair_.number());
  }
}

void SimEndpoint::on_established(std::span<const std::byte> private_data, std::uint16_t peer_credits) {
  if (state_ != EndpointState::connecting) return;
  state_ = EndpointState::connected;
  ConnectionEvent event;
  event.kind = ConnectionEvent::Kind::established;
  event.endpoint = this;
  event.private_data.assign(private_data.begin(), private_data.end());
  event.peer_credits = peer_credits;
  provider_.push_event(std::move(event));
}

void SimEndpoint::on_rejected(const Notice& notice) {
  Error error = describe_rejection(notice.reason, peer_);
  std::span<const std::byte> private_data;
  if (notice.reason == RejectReason::consumer) {
    // A rejection of the kernel's own making carries no handshake: then there is nothing more to tell.
    const Result<ParsedHandshake> handshake = parse_handshake(notice.data);
    if (handshake) private_data = handshake->private_data;
  }
  fail_connection(std::move(error), private_data);
}

// ---- Going down

void SimEndpoint::on_queue_pair_error() {
  Notice notice;
  notice.kind = Notice::Kind::queue_pair_failed;
  notice.endpoint = queue_pair_.number();
  provider_.on_notice(std::move(notice));
}

void SimEndpoint::fail_by_cause() {
  fail_connection(describe(queue_pair_.cause(), peer_));
}

void SimEndpoint::fail_connection(Error cause, std::span<const std::byte> private_data) {
  if (state_ == EndpointState::draining || state_ == EndpointState::drained) return;
  log_line(provider_.config(), LogLevel::info, cause.message);
  failure_ = std::move(cause);
  ConnectionEvent event;
  event.kind = ConnectionEvent::Kind::disconnected;
  event.endpoint = this;
  event.private_data.assign(private_data.begin(), private_data.end());
  event.error = failure_;
  provider_.push_event(std::move(event));
  begin_drain();
}

void SimEndpoint::close() noexcept {
  if (state_ == EndpointState::draining || state_ == EndpointState::drained || provider_.is_dead()) return;
  begin_drain();
}

void SimEndpoint::begin_drain() noexcept {
  state_ = EndpointState::draining;
  Fabric& fabric = provider_.fabric();
  if (!provider_.has_device()) {
    force_flush();
    return;
  }
  fabric.connections.end(connection_);
  if (fabric.core.strikes(FaultKind::stuck_drain, queue_pair_.number())) queue_pair_.hold_flushes();
  if (injected_failure(provider_.config().faults, "sim_modify_queue_pair")) {
    set_deadline(Duration::zero());
    return;
  }
  queue_pair_.enter_error();
  set_deadline(provider_.config().drain_timeout);
  finish_if_drained();
}

void SimEndpoint::on_deadline() {
  const bool is_waiting = state_ == EndpointState::connecting || state_ == EndpointState::draining;
  if (!is_waiting || provider_.fabric().core.now() < deadline_) return;
  Notice notice;
  notice.kind = Notice::Kind::deadline;
  notice.endpoint = queue_pair_.number();
  provider_.on_notice(std::move(notice));
}

void SimEndpoint::on_deadline_passed() {
  if (provider_.fabric().core.now() < deadline_) return;
  if (state_ == EndpointState::connecting) {
    fail_connection({StatusCode::timed_out, "connect to " + peer_ + ": no answer within " +
                                                std::to_string(provider_.config().connect_timeout.count()) +
                                                " ms: check that the address is right and the path is up"});
  } else if (state_ == EndpointState::draining && !queue_pair_.is_flushed()) {
    log_line(
        provider_.config(), LogLevel::warning,
        "connection to " + peer_ + ": the device didn't flush its work; its queue pair is destroyed instead");
    force_flush();
  }
}

void SimEndpoint::force_flush() noexcept {
  queue_pair_.destroy_and_flush();
  finish_if_drained();
}

void SimEndpoint::flush_from_here(WorkId id, bool is_receive) noexcept {
  Completion completion;
  completion.id = id;
  completion.status = CompletionStatus::flushed;
  completion.is_receive = is_receive;
  on_completion(kRefused, completion);
}

void SimEndpoint::finish_if_drained() noexcept {
  if (state_ != EndpointState::draining || !queue_pair_.is_flushed()) return;
  if (!std::exchange(refused_are_flushed_, true)) {
    for (const WorkId id : refused_sends_)
      flush_from_here(id, false);
    for (const WorkId id : refused_receives_)
      flush_from_here(id, true);
  }
  if (untaken_ > 0) return;
  state_ = EndpointState::drained;
  ConnectionEvent event;
  event.kind = ConnectionEvent::Kind::drained;
  event.endpoint = this;
  provider_.push_event(std::move(event));
}

void SimEndpoint::on_device_removed() {
  fail_connection({StatusCode::no_device, "connection to " + peer_ + ": the simulated device was removed"});
  if (state_ == EndpointState::draining) force_flush();
}

void SimEndpoint::on_death() noexcept {
  provider_.fabric().wire.strike_off(queue_pair_.number());
  untaken_ = 0;
}

}  // namespace sluice::transport::sim
