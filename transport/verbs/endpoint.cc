#include "transport/verbs/endpoint.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "transport/verbs/memory.h"
#include "transport/verbs/words.h"

namespace sluice::transport::verbs {

namespace {

/// On an error a completion's opcode is not valid, so the work id itself tells receives from sends: by the
/// top bit of the endpoint's index, which is never that large.
constexpr std::uint16_t kReceiveBit = 0x8000;

WorkId stamp_send(WorkId id, std::uint16_t index) {
  return id.at_endpoint(index);
}
WorkId stamp_receive(WorkId id, std::uint16_t index) {
  return id.at_endpoint(index | kReceiveBit);
}
WorkId unstamp(WorkId id) {
  return id.at_endpoint(static_cast<std::uint16_t>(id.endpoint() & ~unsigned{kReceiveBit}));
}

ibv_wr_opcode opcode_of(const WorkRequest& request) {
  switch (request.opcode) {
    case Opcode::send:
      return request.immediate ? IBV_WR_SEND_WITH_IMM : IBV_WR_SEND;
    case Opcode::write:
      return IBV_WR_RDMA_WRITE;
    case Opcode::read:
      return IBV_WR_RDMA_READ;
  }
  check(false, "an opcode is one of the contract's");
  return IBV_WR_SEND;
}

unsigned flags_of(const WorkRequest& request) {
  unsigned flags = 0;
  if (request.signaled) flags |= IBV_SEND_SIGNALED;
  if (request.inline_data) flags |= IBV_SEND_INLINE;
  return flags;
}

ibv_sge to_sge(const LocalBuffer& buffer) {
  return {reinterpret_cast<std::uintptr_t>(buffer.data), buffer.length,
          static_cast<std::uint32_t>(buffer.key)};
}

std::uint64_t total_bytes(const WorkRequest& request) {
  std::uint64_t total = 0;
  for (const LocalBuffer& segment : std::span(request.segments).first(request.segment_count))
    total += segment.length;
  return total;
}

}  // namespace

VerbsEndpoint::VerbsEndpoint(ProviderState& state, VerbsCompletionQueue& queue, IdHandle id,
                             const EndpointConfig& config, std::string peer)
    : state_(state),
      queue_(queue),
      id_(std::move(id)),
      peer_(std::move(peer)),
      max_segments_(config.max_segments),
      sends_(config.send_depth + kMarkers),
      receives_(config.receive_depth) {
  refused_sends_.reserve(config.send_depth);
  refused_receives_.reserve(config.receive_depth);
}

std::uint32_t VerbsEndpoint::queue_entries() const noexcept {
  return sends_.capacity() + receives_.capacity();
}

Result<std::unique_ptr<VerbsEndpoint>> VerbsEndpoint::create(ProviderState& state, IdHandle id,
                                                             const EndpointConfig& config, std::string peer) {
  const auto* domain = dynamic_cast<VerbsProtectionDomain*>(config.domain);
  auto* queue = dynamic_cast<VerbsCompletionQueue*>(config.queue);
  const auto depth_limit = static_cast<std::uint32_t>(state.device.limits.max_qp_wr) - kMarkers;
  if (domain == nullptr || queue == nullptr) {
    return fail(StatusCode::invalid_argument,
                "an endpoint needs a protection domain and completion queue of its provider");
  }
  if (config.send_depth == 0 || config.send_depth > depth_limit || config.receive_depth == 0 ||
      config.receive_depth > depth_limit || config.max_segments == 0 || config.max_segments > kMaxSegments ||
      config.initial_receives.size() > config.receive_depth) {
    return fail(StatusCode::invalid_argument, "endpoint depths " + std::to_string(config.send_depth) +
                                                  " and " + std::to_string(config.receive_depth) +
                                                  ": RDMA device " + state.device.name + " takes 1 to " +
                                                  std::to_string(depth_limit) + ", and 1 to " +
                                                  std::to_string(kMaxSegments) + " segments");
  }
  std::unique_ptr<VerbsEndpoint> endpoint(
      new VerbsEndpoint(state, *queue, std::move(id), config, std::move(peer)));
  endpoint->id_->context = &endpoint->owner_;
  const Result<std::uint16_t> index = queue->attach(*endpoint, endpoint->queue_entries());
  if (!index) return tl::unexpected(index.error());
  endpoint->index_ = *index;
  endpoint->is_attached_ = true;
  if (Status status = endpoint->create_queue_pair(config); !status) return tl::unexpected(status.error());
  if (Status status = endpoint->post_receives(config.initial_receives); !status)
    return tl::unexpected(status.error());
  if (!endpoint->refused_receives_.empty()) {
    return fail(StatusCode::out_of_memory, "the device refused the initial receives");
  }
  return endpoint;
}

Status VerbsEndpoint::create_queue_pair(const EndpointConfig& config) {
  ibv_qp_init_attr wanted{};
  wanted.send_cq = queue_.handle();
  wanted.recv_cq = queue_.handle();
  wanted.qp_type = IBV_QPT_RC;
  wanted.sq_sig_all = 0;
  wanted.cap.max_send_wr = sends_.capacity();
  wanted.cap.max_recv_wr = receives_.capacity();
  wanted.cap.max_send_sge = config.max_segments;
  wanted.cap.max_recv_sge = 1;
  wanted.cap.max_inline_data = config.max_inline_bytes;
  ibv_pd* domain = static_cast<VerbsProtectionDomain*>(config.domain)->handle();
  if (injected_failure(state_.config.faults, "rdma_create_qp") ||
      rdma_create_qp(id_.get(), domain, &wanted) != 0) {
    return fail_errno(errno, "create a queue pair of depths " + std::to_string(sends_.capacity()) + " and " +
                                 std::to_string(receives_.capacity()) + " on RDMA device " +
                                 state_.device.name);
  }
  max_inline_bytes_ = wanted.cap.max_inline_data;  // what was granted
  queue_.name_queue_pair(index_, id_->qp->qp_num);
  return {};
}

VerbsEndpoint::~VerbsEndpoint() {
  state_.deadlines.clear(*this);
  if (id_) destroy_queue_pair();
  if (is_attached_) queue_.detach(index_, queue_entries());
  state_.events.forget(*this);
}

// ---- Posting
// --------------------------------------------------------------------------------------------------

Status VerbsEndpoint::check_request(const WorkRequest& request) const noexcept {
  const std::uint64_t bytes = total_bytes(request);
  const bool fits = request.segment_count <= max_segments_ && bytes <= state_.device.max_message_bytes &&
                    (!request.inline_data || bytes <= max_inline_bytes_) &&
                    !(request.inline_data && request.opcode == Opcode::read) &&
                    !(request.immediate && request.opcode != Opcode::send);
  if (!fits) return fail(StatusCode::invalid_argument);
  return {};
}

Status VerbsEndpoint::post(std::span<const WorkRequest> chain) noexcept {
  if (endpoint_state_ != EndpointState::connected) return fail(StatusCode::unavailable);
  if (chain.size() > send_room()) return fail(StatusCode::queue_full);
  for (const WorkRequest& request : chain) {
    if (Status status = check_request(request); !status) return status;
  }
  while (!chain.empty()) {
    const auto piece = chain.first(std::min(chain.size(), PostScratch::kMaxChain));
    chain = chain.subspan(piece.size());
    if (!post_sends(piece)) {
      for (const WorkRequest& request : chain)
        refused_sends_.push_back(stamp_send(request.id, index_));
      fail_connection(
          {StatusCode::system_error, "connection to " + peer_ +
                                         ": the device refused a work request (ibv_post_send, errno " +
                                         std::to_string(errno) + ")"});
      return {};
    }
  }
  return {};
}

/// False: the device took only a part, or nothing; the rest is among the refused.
bool VerbsEndpoint::post_sends(std::span<const WorkRequest> chain) noexcept {
  PostScratch& scratch = state_.scratch;
  for (std::size_t i = 0; i < chain.size(); ++i) {
    const WorkRequest& request = chain[i];
    ibv_send_wr& work =
        scratch.sends[i];  // every field that these opcodes use is set below; the others stay zero
    work.wr_id = stamp_send(request.id, index_).bits();
    work.next = i + 1 < chain.size() ? &scratch.sends[i + 1] : nullptr;
    for (std::size_t s = 0; s < request.segment_count; ++s)
      scratch.segments[i][s] = to_sge(request.segments[s]);
    work.sg_list = scratch.segments[i].data();
    work.num_sge = request.segment_count;
    work.opcode = opcode_of(request);
    work.send_flags = flags_of(request);
    work.imm_data = htonl(request.immediate.value_or(0));
    work.wr.rdma = {request.remote.address, static_cast<std::uint32_t>(request.remote.key)};
    sends_.push(WorkId::from_bits(work.wr_id));
  }
  ibv_send_wr* refused = scratch.sends.data();
  if (!injected_failure(state_.config.faults, "ibv_post_send")) {
    if (ibv_post_send(id_->qp, scratch.sends.data(), &refused) == 0) return true;
  }
  for (const ibv_send_wr* work = refused; work != nullptr; work = work->next) {
    sends_.unpush_newest();
    refused_sends_.push_back(WorkId::from_bits(work->wr_id));
  }
  return false;
}

Status VerbsEndpoint::post_receives(std::span<const ReceiveRequest> receives) noexcept {
  if (endpoint_state_ != EndpointState::connected && endpoint_state_ != EndpointState::connecting) {
    return fail(StatusCode::unavailable);
  }
  if (receives.size() > receives_.room()) return fail(StatusCode::queue_full);
  while (!receives.empty()) {
    const auto piece = receives.first(std::min(receives.size(), PostScratch::kMaxChain));
    receives = receives.subspan(piece.size());
    if (!post_receive_chain(piece)) {
      for (const ReceiveRequest& request : receives) {
        refused_receives_.push_back(stamp_receive(request.id, index_));
      }
      fail_connection({StatusCode::system_error, "connection to " + peer_ +
                                                     ": the device refused a receive (ibv_post_recv, errno " +
                                                     std::to_string(errno) + ")"});
      return {};
    }
  }
  return {};
}

bool VerbsEndpoint::post_receive_chain(std::span<const ReceiveRequest> receives) noexcept {
  PostScratch& scratch = state_.scratch;
  for (std::size_t i = 0; i < receives.size(); ++i) {
    ibv_recv_wr& work = scratch.receives[i];
    work.wr_id = stamp_receive(receives[i].id, index_).bits();
    work.next = i + 1 < receives.size() ? &scratch.receives[i + 1] : nullptr;
    scratch.segments[i][0] = to_sge(receives[i].buffer);
    work.sg_list = scratch.segments[i].data();
    work.num_sge = receives[i].buffer.length > 0 ? 1 : 0;
    receives_.push(WorkId::from_bits(work.wr_id));
  }
  ibv_recv_wr* refused = scratch.receives.data();
  if (!injected_failure(state_.config.faults, "ibv_post_recv")) {
    if (ibv_post_recv(id_->qp, scratch.receives.data(), &refused) == 0) return true;
  }
  for (const ibv_recv_wr* work = refused; work != nullptr; work = work->next) {
    receives_.unpush_newest();
    refused_receives_.push_back(WorkId::from_bits(work->wr_id));
  }
  return false;
}

// ---- Completions
// ----------------------------------------------------------------------------------------------

bool VerbsEndpoint::on_work_completion(const ibv_wc& completion, Completion& out) noexcept {
  const WorkId id = WorkId::from_bits(completion.wr_id);
  const bool is_receive = (id.endpoint() & kReceiveBit) != 0;
  check((is_receive ? receives_ : sends_).retire_through(id), "a completion is of work that is outstanding");

  const bool is_marker = id.kind() == WorkKind::drain_marker;
  if (is_marker) {
    marker_outstanding_ = false;
  } else {
    out = {};
    out.id = unstamp(id);
    out.is_receive = is_receive;
    out.endpoint = this;
    if (completion.status == IBV_WC_SUCCESS) [[likely]] {
      on_success(completion, out);
    } else {
      on_error(completion, out);
    }
  }
  if (endpoint_state_ == EndpointState::draining && is_flushed()) finish_drain();
  return !is_marker;
}

void VerbsEndpoint::on_success(const ibv_wc& completion, Completion& out) noexcept {
  if (!out.is_receive) return;
  out.byte_count = completion.byte_len;
  if ((completion.wc_flags & IBV_WC_WITH_IMM) != 0) out.immediate = ntohl(completion.imm_data);
  // The peer's "ready to use" may be lost or late: a message proves the connection just as well.
  if (endpoint_state_ == EndpointState::connecting) on_established({}, 0);
}

void VerbsEndpoint::on_error(const ibv_wc& completion, Completion& out) noexcept {
  out.status = status_of(completion.status, out.is_receive);
  out.vendor_error = completion.vendor_err;
  if (out.status == CompletionStatus::flushed) {
    fail_connection({StatusCode::unavailable, "connection to " + peer_ + " was lost"});
  } else {
    fail_connection(describe_failure(completion, out.status, out.id, peer_));
  }
}

// ---- Coming up
// ------------------------------------------------------------------------------------------------

void VerbsEndpoint::start_connect_timer() {
  state_.deadlines.set(*this, state_.clock.now() + state_.config.connect_timeout);
}

void VerbsEndpoint::on_established(std::span<const std::byte> private_data, std::uint16_t peer_credits) {
  if (endpoint_state_ != EndpointState::connecting) return;
  state_.deadlines.clear(*this);
  // rdma_cm leaves the timer code 0, which means 655.36 ms for every receiver that isn't ready.
  ibv_qp_attr attributes{};
  attributes.qp_state = IBV_QPS_RTS;
  attributes.min_rnr_timer = state_.config.min_rnr_timer;
  if (injected_failure(state_.config.faults, "ibv_modify_qp") ||
      ibv_modify_qp(id_->qp, &attributes, IBV_QP_STATE | IBV_QP_MIN_RNR_TIMER) != 0) {
    fail_connection(fail_errno(errno, "connection to " + peer_ + ": set the RNR timer").value());
    return;
  }
  endpoint_state_ = EndpointState::connected;
  ConnectionEvent event;
  event.kind = ConnectionEvent::Kind::established;
  event.endpoint = this;
  event.private_data.assign(private_data.begin(), private_data.end());
  event.peer_credits = peer_credits;
  state_.events.push(std::move(event));
}

// ---- Going down
// -----------------------------------------------------------------------------------------------

void VerbsEndpoint::fail_connection(Error cause, std::span<const std::byte> private_data) {
  if (endpoint_state_ == EndpointState::draining || endpoint_state_ == EndpointState::drained) return;
  log_line(state_.config, LogLevel::info, cause.message);
  failure_ = std::move(cause);
  ConnectionEvent event;
  event.kind = ConnectionEvent::Kind::disconnected;
  event.endpoint = this;
  event.private_data.assign(private_data.begin(), private_data.end());
  event.error = failure_;
  state_.events.push(std::move(event));
  begin_drain();
}

void VerbsEndpoint::close() noexcept {
  if (endpoint_state_ == EndpointState::draining || endpoint_state_ == EndpointState::drained) return;
  begin_drain();
}

void VerbsEndpoint::begin_drain() noexcept {
  const bool was_connected = endpoint_state_ == EndpointState::connected;
  endpoint_state_ = EndpointState::draining;
  state_.deadlines.set(*this, state_.clock.now() + state_.config.drain_timeout);

  ibv_qp_attr attributes{};
  attributes.qp_state = IBV_QPS_ERR;
  const bool in_error_state = !device_removed_ && !injected_failure(state_.config.faults, "ibv_modify_qp") &&
                              ibv_modify_qp(id_->qp, &attributes, IBV_QP_STATE) == 0;
  if (was_connected && !device_removed_)
    rdma_disconnect(id_.get());  // tells the peer; it may be gone already
  // This may run while a batch of completions is being looked at, so the queue pair isn't destroyed here: the
  // next look at the connection events does it.
  if (!in_error_state || !post_marker()) state_.deadlines.set(*this, state_.clock.now());
}

/// The send queue is in order, so a flushed marker proves that all before it are over.
bool VerbsEndpoint::post_marker() noexcept {
  ibv_send_wr marker{};
  marker.wr_id = stamp_send(WorkId(WorkKind::drain_marker, 0), index_).bits();
  marker.opcode = IBV_WR_SEND;
  marker.send_flags = IBV_SEND_SIGNALED;
  ibv_send_wr* refused = nullptr;
  if (injected_failure(state_.config.faults, "ibv_post_send") ||
      ibv_post_send(id_->qp, &marker, &refused) != 0) {
    return false;
  }
  sends_.push(WorkId::from_bits(marker.wr_id));
  marker_outstanding_ = true;
  return true;
}

void VerbsEndpoint::flush_from_here(WorkId id, bool is_receive) noexcept {
  if (id.kind() == WorkKind::drain_marker) return;
  Completion completion;
  completion.id = unstamp(id);
  completion.status = CompletionStatus::flushed;
  completion.is_receive = is_receive;
  completion.endpoint = this;
  queue_.push_synthetic(completion);
}

/// Everything is flushed, or the device can't be trusted to: then destroying the queue pair is the barrier.
void VerbsEndpoint::finish_drain() noexcept {
  if (!sends_.empty() || !receives_.empty()) destroy_queue_pair();  // may find the marker and come here again
  if (std::exchange(drain_finished_, true)) return;
  state_.deadlines.clear(*this);
  while (const auto id = sends_.pop_oldest())
    flush_from_here(*id, false);
  for (const WorkId id : refused_sends_)
    flush_from_here(id, false);
  while (const auto id = receives_.pop_oldest())
    flush_from_here(*id, true);
  for (const WorkId id : refused_receives_)
    flush_from_here(id, true);
  queue_.announce_last(index_);
}

void VerbsEndpoint::on_last_completion_taken() noexcept {
  endpoint_state_ = EndpointState::drained;
  ConnectionEvent event;
  event.kind = ConnectionEvent::Kind::drained;
  event.endpoint = this;
  state_.events.push(std::move(event));
}

/// When it returns, the device has let go of every buffer, and all that it had to say is in the completion
/// queue's own list.
void VerbsEndpoint::destroy_queue_pair() noexcept {
  if (id_->qp == nullptr) return;
  rdma_destroy_qp(id_.get());
  if (is_attached_) queue_.pull_all();
}

void VerbsEndpoint::on_deadline() {
  if (endpoint_state_ == EndpointState::connecting) {
    fail_connection({StatusCode::timed_out, "connect to " + peer_ + ": no answer within " +
                                                std::to_string(state_.config.connect_timeout.count()) +
                                                " ms: check that the address is right and the path is up"});
    return;
  }
  log_line(
      state_.config, LogLevel::warning,
      "connection to " + peer_ + ": the device didn't flush its work; its queue pair is destroyed instead");
  finish_drain();
}

void VerbsEndpoint::on_device_removed() {
  device_removed_ = true;
  fail_connection({StatusCode::no_device, "connection to " + peer_ + ": the RDMA device was removed"});
}

}  // namespace sluice::transport::verbs
