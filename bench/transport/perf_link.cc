#include "bench/transport/perf_link.h"

#include <algorithm>
#include <cstring>

namespace sluice::bench {

namespace {

using transport::Completion;
using transport::CompletionStatus;
using transport::ConnectionEvent;
using transport::Opcode;
using transport::WorkId;
using transport::WorkKind;

constexpr auto kReceiveKind = WorkKind::first_user;
constexpr auto kSendKind = static_cast<WorkKind>(static_cast<int>(WorkKind::first_user) + 1);
constexpr std::uint32_t kSignalEvery = 16;
constexpr std::uint32_t kInlineBytes = 128;
constexpr std::uint32_t kMaxReceiveBytes = 64U << 10U;
constexpr auto kTick = std::chrono::milliseconds(100);

std::vector<std::byte> encode_target(const transport::RemoteBuffer& target) {
  std::vector<std::byte> bytes(sizeof(target));
  std::memcpy(bytes.data(), &target, sizeof(target));
  return bytes;
}

}  // namespace

Status PerfLink::prepare_memory(std::uint32_t half_bytes) {
  const std::size_t half_size = std::max<std::size_t>(half_bytes, 4096);
  memory_.assign(2 * half_size, std::byte{0});
  receive_bytes_ = std::clamp<std::uint32_t>(plan_.test == PerfTest::send_latency ? plan_.size_bytes : 64, 64,
                                             kMaxReceiveBytes);
  receive_memory_.assign(std::size_t{kReceives} * receive_bytes_, std::byte{0});
  auto queue = provider_.create_completion_queue(4 * kPerfDepth);
  if (!queue) return tl::unexpected(queue.error());
  queue_ = std::move(*queue);
  auto domain = provider_.create_protection_domain();
  if (!domain) return tl::unexpected(domain.error());
  domain_ = std::move(*domain);
  auto region = domain_->register_memory(memory_, transport::Access::remote_write);
  if (!region) return tl::unexpected(region.error());
  region_ = std::move(*region);
  outgoing_ = region_->local(0, static_cast<std::uint32_t>(half_size));
  auto receive_region = domain_->register_memory(receive_memory_, transport::Access::local_write);
  if (!receive_region) return tl::unexpected(receive_region.error());
  receive_region_ = std::move(*receive_region);
  for (std::uint32_t slot = 0; slot < kReceives; ++slot) {
    initial_receives_.push_back(
        {WorkId(kReceiveKind, slot),
         receive_region_->local(std::uint64_t{slot} * receive_bytes_, receive_bytes_)});
  }
  return {};
}

transport::EndpointConfig PerfLink::endpoint_config() const {
  transport::EndpointConfig config;
  config.domain = domain_.get();
  config.queue = queue_.get();
  config.send_depth = kPerfDepth;
  config.receive_depth = kReceives;
  config.max_inline_bytes = kInlineBytes;
  config.initial_receives = initial_receives_;
  return config;
}

Result<std::unique_ptr<PerfLink>> PerfLink::serve(transport::Provider& provider,
                                                  const transport::Address& address,
                                                  void (*announce)(const transport::Address&)) {
  auto listener = provider.listen(address);
  if (!listener) return tl::unexpected(listener.error());
  announce((*listener)->address());
  std::unique_ptr<PerfLink> link(new PerfLink(provider));
  // Only waits in here until somebody comes; the measured queue is made when the plan is known.
  auto waiting = provider.create_completion_queue(1);
  if (!waiting) return tl::unexpected(waiting.error());
  for (;;) {
    auto event = provider.next_event();
    if (!event) {
      std::array<Completion, 1> none;
      (*waiting)->wait(none, kTick);
      continue;
    }
    if (event->kind == ConnectionEvent::Kind::listener_lost) return tl::unexpected(event->error);
    if (event->kind != ConnectionEvent::Kind::connect_request) continue;
    const Result<PerfPlan> plan = decode_plan(event->request->private_data());
    if (!plan) {
      const std::string_view why = plan.error().message;
      provider.reject(std::move(event->request), std::as_bytes(std::span(why)));
      continue;
    }
    link->plan_ = *plan;
    link->peer_target_ = plan->target;
    if (Status status = link->prepare_memory(plan->size_bytes); !status)
      return tl::unexpected(status.error());
    const auto reply = encode_target(link->region_->remote(link->half()));
    auto endpoint = provider.accept(std::move(event->request), link->endpoint_config(), reply);
    if (!endpoint) return tl::unexpected(endpoint.error());
    link->endpoint_ = std::move(*endpoint);
    if (Status status = link->wait_until_established(); !status) return tl::unexpected(status.error());
    return link;
  }
}

Result<std::unique_ptr<PerfLink>> PerfLink::connect(transport::Provider& provider,
                                                    const transport::Address& address, PerfPlan plan) {
  std::unique_ptr<PerfLink> link(new PerfLink(provider));
  link->plan_ = plan;
  if (Status status = link->prepare_memory(plan.size_bytes); !status) return tl::unexpected(status.error());
  link->plan_.target = link->region_->remote(link->half());
  auto endpoint = provider.connect(address, link->endpoint_config(), encode(link->plan_));
  if (!endpoint) return tl::unexpected(endpoint.error());
  link->endpoint_ = std::move(*endpoint);
  if (Status status = link->wait_until_established(); !status) return tl::unexpected(status.error());
  return link;
}

Status PerfLink::wait_until_established() {
  inline_bytes_ = endpoint_->max_inline_bytes();
  std::array<Completion, 1> first;
  for (;;) {
    while (auto event = provider_.next_event()) {
      if (event->kind == ConnectionEvent::Kind::disconnected) {
        Error error = event->error;
        const auto words = std::span(event->private_data);
        if (!words.empty())
          error.message.append(": ").append(reinterpret_cast<const char*>(words.data()), words.size());
        return tl::unexpected(error);
      }
      if (event->kind != ConnectionEvent::Kind::established) continue;
      if (event->private_data.size() == sizeof(peer_target_)) {
        std::memcpy(&peer_target_, event->private_data.data(), sizeof(peer_target_));
      }
      return {};
    }
    // Nothing of ours is posted, and the peer waits for us or for this event: no completion can come yet,
    // except the first message of a client that knew before us.
    if (queue_->wait(first, kTick) > 0) {
      if (first[0].status != CompletionStatus::success) continue;  // the event tells why
      ++received_;
      if (Status status = repost(first[0].id.slot()); !status) return status;
    }
  }
}

Status PerfLink::repost(std::uint32_t slot) {
  return endpoint_->post_receives(std::span(&initial_receives_[slot], 1));
}

/// The request in `work`, filled in where one use differs from the next.
void PerfLink::prepare(transport::WorkRequest& work, Opcode opcode, std::uint32_t length, bool signaled) {
  work.id = WorkId(kSendKind, next_slot_++ % WorkId::kMaxSlot);
  work.opcode = opcode;
  ++unsignaled_run_;
  work.signaled = signaled || unsignaled_run_ >= kSignalEvery;
  if (work.signaled) unsignaled_run_ = 0;
  work.inline_data = length <= inline_bytes_;
  work.segment_count = 1;
  work.segments[0] = {outgoing_.data, length, outgoing_.key};
  work.remote = peer_target_;
}

Status PerfLink::send(std::uint32_t length) {
  prepare(chain_[0], Opcode::send, length, false);
  return endpoint_->post(std::span(chain_).first(1));
}

Status PerfLink::write(std::uint32_t length, bool signaled) {
  prepare(chain_[0], Opcode::write, length, signaled);
  return endpoint_->post(std::span(chain_).first(1));
}

Status PerfLink::write_then_send(std::uint32_t write_length, std::uint32_t send_length) {
  prepare(chain_[0], Opcode::write, write_length, false);
  prepare(chain_[1], Opcode::send, send_length, true);
  return endpoint_->post(chain_);
}

Status PerfLink::poll() {
  const std::size_t count = queue_->poll(batch_);
  for (const Completion& completion : std::span(batch_).first(count)) {
    if (completion.status != CompletionStatus::success) {
      return tl::unexpected(endpoint_->failure().code == StatusCode::ok
                                ? Error{StatusCode::unavailable, "the connection was closed"}
                                : endpoint_->failure());
    }
    if (completion.is_receive) {
      ++received_;
      if (Status status = repost(completion.id.slot()); !status) return status;
    } else {
      ++completed_;
    }
  }
  // A look at the connection reads the clock, which is dear beside a poll.
  constexpr unsigned kEmptyPollsPerLook = 1024;
  empty_polls_ = count == 0 ? empty_polls_ + 1 : 0;
  if (empty_polls_ % kEmptyPollsPerLook == kEmptyPollsPerLook - 1) {
    if (auto event = provider_.next_event(); event && event->kind == ConnectionEvent::Kind::disconnected) {
      return tl::unexpected(event->error);
    }
  }
  return {};
}

Status PerfLink::wait_for_receives(std::uint64_t total) {
  while (received_ < total) {
    if (Status status = poll(); !status) return status;
  }
  return {};
}

Status PerfLink::wait_for_sends() {
  while (endpoint_->send_room() < kPerfDepth) {
    if (Status status = poll(); !status) return status;
  }
  return {};
}

Status PerfLink::finish() {
  endpoint_->close();
  std::array<Completion, 16> rest;
  while (endpoint_->state() != transport::EndpointState::drained) {
    queue_->wait(rest, kTick);
    provider_.next_event();
  }
  return {};
}

}  // namespace sluice::bench
