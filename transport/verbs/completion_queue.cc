#include "transport/verbs/completion_queue.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <limits>

#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

namespace sluice::transport::verbs {

namespace {

constexpr std::size_t kPollBatch = 32;
/// Acknowledging takes a lock in libibverbs, so it is done for many notifications at once
/// (ibv_get_cq_event(3)).
constexpr unsigned kAcknowledgeBatch = 64;
/// While spinning, how many empty polls go between two looks at the clock and the descriptors.
constexpr unsigned kPollsPerLook = 256;
constexpr std::size_t kMaxSinks = 1U << 15U;

bool add_to_epoll(int epoll_fd, int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

void set_non_blocking(int fd) {
  const int flags = fcntl(fd, F_GETFL);
  check(flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0,
        "a descriptor of our own takes O_NONBLOCK");
}

}  // namespace

VerbsCompletionQueue::VerbsCompletionQueue(ProviderState& state, std::uint32_t depth, int epoll_fd) noexcept
    : state_(state), epoll_fd_(epoll_fd), depth_(depth) {}

Result<std::unique_ptr<VerbsCompletionQueue>> VerbsCompletionQueue::create(ProviderState& state,
                                                                           std::uint32_t depth) {
  FaultInjector* faults = state.config.faults;
  const auto limit = static_cast<std::uint32_t>(state.device.limits.max_cqe);
  if (depth == 0 || depth > limit) {
    return fail(StatusCode::invalid_argument, "completion queue depth " + std::to_string(depth) +
                                                  ": RDMA device " + state.device.name + " takes 1 to " +
                                                  std::to_string(limit));
  }
  const int epoll_fd = injected_failure(faults, "epoll_create1") ? -1 : epoll_create1(EPOLL_CLOEXEC);
  if (epoll_fd < 0) return fail_errno(errno, "create an epoll set");
  std::unique_ptr<VerbsCompletionQueue> queue(new VerbsCompletionQueue(state, depth, epoll_fd));
  queue->channel_.reset(injected_failure(faults, "ibv_create_comp_channel")
                            ? nullptr
                            : ibv_create_comp_channel(state.device.context));
  if (!queue->channel_) return fail_errno(errno, "create a completion channel");
  set_non_blocking(queue->channel_->fd);
  queue->queue_.reset(
      injected_failure(faults, "ibv_create_cq")
          ? nullptr
          : ibv_create_cq(state.device.context, static_cast<int>(depth), nullptr, queue->channel_.get(), 0));
  if (!queue->queue_) return fail_errno(errno, "create a completion queue of depth " + std::to_string(depth));
  if (injected_failure(faults, "epoll_ctl") || !add_to_epoll(epoll_fd, queue->channel_->fd) ||
      !add_to_epoll(epoll_fd, state.channel->fd)) {
    return fail_errno(errno, "watch the RDMA event channels");
  }
  queue->queued_.resize(std::size_t{depth} + kPollBatch);
  return queue;
}

VerbsCompletionQueue::~VerbsCompletionQueue() {
  check(std::ranges::all_of(sinks_, [](const Attached& attached) { return attached.sink == nullptr; }),
        "endpoints are destroyed before their completion queue");
  if (queue_) {
    consume_notifications();
    // ibv_destroy_cq waits until every notification was acknowledged.
    if (unacknowledged_notifications_ > 0) ibv_ack_cq_events(queue_.get(), unacknowledged_notifications_);
  }
  if (epoll_fd_ >= 0) ::close(epoll_fd_);
}

Result<std::uint16_t> VerbsCompletionQueue::attach(CompletionSink& sink, std::uint32_t entries) {
  if (entries > depth_ - reserved_) {
    return fail(StatusCode::limit_reached,
                "the completion queue of depth " + std::to_string(depth_) + " has " +
                    std::to_string(depth_ - reserved_) + " entries left, the connection needs " +
                    std::to_string(entries) + ": make it deeper or the connections' queues shorter");
  }
  auto free = std::ranges::find(sinks_, nullptr, &Attached::sink);
  if (free == sinks_.end()) {
    if (sinks_.size() == kMaxSinks)
      return fail(StatusCode::limit_reached, "too many connections on one thread");
    free = sinks_.insert(sinks_.end(), Attached{});
  }
  free->sink = &sink;
  finished_.reserve(sinks_.size());
  reserved_ += entries;
  return static_cast<std::uint16_t>(free - sinks_.begin());
}

void VerbsCompletionQueue::detach(std::uint16_t index, std::uint32_t entries) noexcept {
  // An entry of a destroyed queue pair can still sit in the device's queue, and its number can be given
  // again: take everything out now, while the number tells whose it is.
  pull_all();
  check(sinks_[index].sink != nullptr, "an endpoint is detached once");
  std::erase(finished_, index);
  std::size_t kept = 0;
  for (std::size_t i = 0; i < queued_size_; ++i) {
    const Completion& completion = queued_[(queued_head_ + i) % queued_.size()];
    if (completion.id.endpoint() == index) continue;
    queued_[(queued_head_ + kept) % queued_.size()] = completion;
    ++kept;
  }
  queued_size_ = kept;
  sinks_[index] = {};
  reserved_ -= entries;
}

void VerbsCompletionQueue::push_synthetic(const Completion& completion) noexcept {
  if (queued_size_ == queued_.size()) {
    // Only when endpoints are destroyed again and again while nobody polls: not on the data path.
    std::rotate(queued_.begin(), queued_.begin() + static_cast<std::ptrdiff_t>(queued_head_), queued_.end());
    queued_head_ = 0;
    queued_.resize(queued_.size() * 2);
  }
  queued_[(queued_head_ + queued_size_) % queued_.size()] = completion;
  ++queued_size_;
}

void VerbsCompletionQueue::tell_finished() noexcept {
  while (!finished_.empty()) {
    CompletionSink* sink = sinks_[finished_.back()].sink;
    finished_.pop_back();
    sink->on_last_completion_taken();
  }
}

void VerbsCompletionQueue::pull_all() noexcept {
  std::array<Completion, kPollBatch> batch;
  for (;;) {
    const std::size_t count = take_from_device(batch);
    for (std::size_t i = 0; i < count; ++i)
      push_synthetic(batch[i]);
    if (count == 0) return;
  }
}

std::size_t VerbsCompletionQueue::take_queued(std::span<Completion> out) noexcept {
  std::size_t count = 0;
  while (count < out.size() && queued_size_ > 0) {
    out[count++] = queued_[queued_head_];
    queued_head_ = (queued_head_ + 1) % queued_.size();
    --queued_size_;
  }
  return count;
}

/// 0 means that the device's queue is empty: batches that hold nothing for the user are passed over.
std::size_t VerbsCompletionQueue::take_from_device(std::span<Completion> out) noexcept {
  std::array<ibv_wc, kPollBatch> batch;
  std::size_t count = 0;
  while (count == 0) {
    const std::size_t wanted = std::min(out.size(), batch.size());
    const int taken = ibv_poll_cq(queue_.get(), static_cast<int>(wanted), batch.data());
    check(taken >= 0, "a completion queue can be polled");
    if (taken == 0) break;
    for (int i = 0; i < taken; ++i) {
      const ibv_wc& completion = batch[static_cast<std::size_t>(i)];
      const std::uint16_t index = WorkId::from_bits(completion.wr_id).endpoint() & (kMaxSinks - 1);
      const bool is_known = index < sinks_.size() && sinks_[index].sink != nullptr &&
                            sinks_[index].queue_pair == completion.qp_num;
      check(is_known, "a completion belongs to a live queue pair: those of destroyed ones were taken out");
      if (sinks_[index].sink->on_work_completion(completion, out[count])) ++count;
    }
  }
  return count;
}

std::size_t VerbsCompletionQueue::poll(std::span<Completion> out) noexcept {
  if (out.empty()) return 0;
  if (queued_size_ > 0) [[unlikely]] {
    return take_queued(out);
  }
  if (!finished_.empty()) [[unlikely]] {
    tell_finished();
  }
  return take_from_device(out);
}

bool VerbsCompletionQueue::something_queued() const noexcept {
  return queued_size_ > 0 || !finished_.empty() || !state_.events.empty();
}

void VerbsCompletionQueue::consume_notifications() noexcept {
  ibv_cq* queue = nullptr;
  void* context = nullptr;
  while (ibv_get_cq_event(channel_.get(), &queue, &context) == 0) {
    armed_ = false;
    if (++unacknowledged_notifications_ >= kAcknowledgeBatch) {
      ibv_ack_cq_events(queue_.get(), unacknowledged_notifications_);
      unacknowledged_notifications_ = 0;
    }
  }
}

bool VerbsCompletionQueue::arm() noexcept {
  if (something_queued()) return false;
  consume_notifications();
  if (!armed_) {
    check(ibv_req_notify_cq(queue_.get(), 0) == 0, "a completion queue can be armed");
    armed_ = true;
  }
  // A completion that came before the arming made no notification: look once more.
  pull_all();
  return !something_queued();
}

bool VerbsCompletionQueue::sleep(Duration timeout) noexcept {
  std::array<epoll_event, 8> ready;
  const auto timeout_ms = std::chrono::ceil<std::chrono::milliseconds>(timeout).count();
  const int count =
      epoll_wait(epoll_fd_, ready.data(), static_cast<int>(ready.size()),
                 static_cast<int>(std::min<std::int64_t>(timeout_ms, std::numeric_limits<int>::max())));
  bool others_ready = false;
  for (int i = 0; i < count; ++i) {
    const int fd = ready[static_cast<std::size_t>(i)].data.fd;
    if (fd == channel_->fd) continue;
    if (fd == state_.channel->fd) state_.channel_readable = true;
    others_ready = true;
  }
  return others_ready;
}

std::size_t VerbsCompletionQueue::wait(std::span<Completion> out, Duration timeout) noexcept {
  if (const std::size_t count = poll(out); count > 0) return count;
  const Instant start = state_.clock.now();
  Instant end = start + timeout;
  // Connects and drains under way end by a deadline of their own, which next_event() must get to see.
  if (const auto earliest = state_.deadlines.earliest()) end = std::min(end, *earliest);

  const PollingConfig& polling = state_.config.polling;
  const bool spins_only = polling.mode == PollingMode::busy;
  const Instant spin_end = polling.mode == PollingMode::event ? start : std::min(end, start + polling.spin);
  for (;;) {
    if (something_queued()) return poll(out);
    const Instant now = state_.clock.now();
    if (now >= end) return poll(out);
    if (spins_only || now < spin_end) {
      for (unsigned i = 0; i < kPollsPerLook; ++i) {
        if (const std::size_t count = poll(out); count > 0) return count;
      }
      if (spins_only && sleep(Duration(0))) return poll(out);
      continue;
    }
    if (!arm()) return poll(out);
    const bool others_ready = sleep(end - now);
    const std::size_t count = poll(out);
    if (count > 0 || others_ready) return count;
  }
}

Status VerbsCompletionQueue::watch(int fd) {
  if (!add_to_epoll(epoll_fd_, fd)) return fail_errno(errno, "watch descriptor " + std::to_string(fd));
  return {};
}

void VerbsCompletionQueue::unwatch(int fd) noexcept {
  epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, fd, nullptr);  // one that isn't watched is no harm
}

}  // namespace sluice::transport::verbs
