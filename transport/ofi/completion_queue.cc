#include "transport/ofi/completion_queue.h"

#include <algorithm>

namespace sluice::transport::ofi {

namespace {

/// A libfabric queue isn't opened smaller than this if the owner asked for more, so that a domain's endpoints
/// share one.
constexpr std::uint32_t kMinCapacity = 2048;

/// Besides its requests an endpoint may be reported twice: see Provider::create_completion_queue.
constexpr std::uint32_t kSpareEntries = 2;

/// While it spins a waiter looks at descriptors and connection events this often only: they cost a system
/// call and can wait a few microseconds.
constexpr unsigned kSpinsPerLook = 64;

/// By its source the tcp fabric of libfabric 1.17 can go to sleep on a full socket: it asks for "writable"
/// before its last look at the sockets, and an answer that this look produces (to a READ, or to a WRITE) may
/// not fit. No sleep is longer than this, so that such an answer would be late, not lost. (Not seen in 2000
/// READs of 4 MiB with this set to 2 s.)
constexpr Duration kLongestSleep = std::chrono::milliseconds(10);

std::uint32_t entries_of(WorkQueues& work) {
  return work.sends().capacity() + work.receives().capacity() + kSpareEntries;
}

}  // namespace

Result<std::unique_ptr<OfiCompletionQueue>> OfiCompletionQueue::create(const Fabric& fabric,
                                                                       ConnectionEvents& events,
                                                                       std::uint32_t depth) {
  if (depth == 0) return fail(StatusCode::invalid_argument, "completion queue depth 0");
  std::unique_ptr<OfiCompletionQueue> queue(new OfiCompletionQueue(fabric, events, depth));
  Result<std::unique_ptr<WaitSet>> wait_set = WaitSet::create(fabric);
  if (!wait_set) return tl::unexpected(wait_set.error());
  queue->wait_set_ = std::move(*wait_set);
  if (Status status = events.enter_queue(*queue); !status) return tl::unexpected(status.error());
  queue->is_entered_ = true;
  return queue;
}

OfiCompletionQueue::~OfiCompletionQueue() {
  check(reserved_ == 0, "endpoints go before their completion queue");
  if (is_entered_) events_.leave_queue(*this);
}

// ---- Endpoints and domains
// ---------------------------------------------------------------------------------------

Result<OfiCompletionQueue::Attachment> OfiCompletionQueue::attach(WorkQueues& work,
                                                                  const std::shared_ptr<Domain>& domain) {
  const std::uint32_t entries = entries_of(work);
  if (entries > depth_ - reserved_) {
    return fail(StatusCode::limit_reached,
                "the completion queue has room for " + std::to_string(depth_ - reserved_) + " of " +
                    std::to_string(depth_) + " entries, the endpoint needs " + std::to_string(entries));
  }
  const auto free_index = std::ranges::find(indices_, false);
  const auto index = static_cast<std::size_t>(free_index - indices_.begin());
  if (index > 0xffff) return fail(StatusCode::limit_reached, "too many connections on one completion queue");
  const Result<FabricQueue*> queue = queue_with_room(domain, entries);
  if (!queue) return tl::unexpected(queue.error());
  if (free_index == indices_.end()) indices_.push_back(false);
  indices_[index] = true;
  (*queue)->reserved += entries;
  (*queue)->users.push_back(&work);
  reserved_ += entries;
  ready_.reserve(indices_.size());
  failed_.reserve(indices_.size());
  return Attachment{(*queue)->handle.get(), static_cast<std::uint16_t>(index)};
}

void OfiCompletionQueue::detach(WorkQueues& work, const Attachment& attachment) noexcept {
  FabricQueue& queue = find(attachment.queue);
  const std::uint32_t entries = entries_of(work);
  queue.reserved -= entries;
  std::erase(queue.users, &work);
  reserved_ -= entries;
  indices_[attachment.index] = false;
  std::erase(ready_, &work);
  std::erase(failed_, &work);
}

Result<OfiCompletionQueue::FabricQueue*> OfiCompletionQueue::queue_with_room(
    const std::shared_ptr<Domain>& domain, std::uint32_t entries) {
  for (const auto& queue : queues_) {
    if (queue->domain == domain && queue->capacity - queue->reserved >= entries && !queue->is_broken) {
      return queue.get();
    }
  }
  auto opened = open_queue(domain, std::max(entries, std::min(depth_, kMinCapacity)));
  if (!opened) return fail_while("open a completion queue", opened.error());
  queues_.push_back(std::move(*opened));
  return queues_.back().get();
}

Result<std::unique_ptr<OfiCompletionQueue::FabricQueue>> OfiCompletionQueue::open_queue(
    const std::shared_ptr<Domain>& domain, std::uint32_t capacity) {
  fi_cq_attr attributes{};
  attributes.size = capacity;
  attributes.format = FI_CQ_FORMAT_DATA;
  // A thread that never sleeps needn't pay for a descriptor: with one the tcp fabric looks at its sockets
  // with epoll_wait() instead of poll(), which for a few sockets makes a 64-byte SEND a tenth slower.
  attributes.wait_obj = never_sleeps() ? FI_WAIT_NONE : FI_WAIT_FD;
  auto handle = open_fabric<fid_cq>(fabric_.faults(), "fi_cq_open", [&](fid_cq** out) {
    return fi_cq_open(domain->handle.get(), &attributes, out, nullptr);
  });
  if (!handle) return tl::unexpected(handle.error());
  auto queue = std::make_unique<FabricQueue>();
  queue->domain = domain;
  queue->handle = std::move(*handle);
  queue->capacity = capacity;
  if (never_sleeps()) return queue;
  if (Status status = call_fabric(fabric_.faults(), "fi_control",
                                  [&] { return fi_control(&queue->handle->fid, FI_GETWAIT, &queue->fd); });
      !status) {
    return tl::unexpected(status.error());
  }
  if (Status status = wait_set_->add_fabric(&queue->handle->fid, queue->fd); !status) {
    return tl::unexpected(status.error());
  }
  return queue;
}

OfiCompletionQueue::FabricQueue& OfiCompletionQueue::find(const fid_cq* queue) noexcept {
  const auto found =
      std::ranges::find_if(queues_, [&](const auto& one) { return one->handle.get() == queue; });
  check(found != queues_.end(), "an endpoint's fabric queue lives as long as the endpoint");
  return **found;
}

void OfiCompletionQueue::drop(const Domain& domain) noexcept {
  std::erase_if(queues_, [&](const std::unique_ptr<FabricQueue>& queue) {
    if (queue->domain.get() != &domain) return false;
    check(queue->reserved == 0, "endpoints go before their protection domain");
    if (!never_sleeps()) wait_set_->remove_fabric(&queue->handle->fid, queue->fd);
    return true;
  });
}

// ---- Polling
// -----------------------------------------------------------------------------------------------------

std::size_t OfiCompletionQueue::poll(std::span<Completion> out) noexcept {
  was_polled_ = true;
  std::size_t taken = take_ready(out);
  const std::size_t first = next_queue_++;
  for (std::size_t i = 0; i < queues_.size() && taken < out.size(); ++i) {
    FabricQueue& queue = *queues_[(first + i) % queues_.size()];
    if (!read(queue, out.size() - taken) && ready_.empty()) continue;
    report_failures();
    taken += take_ready(out.subspan(taken));
  }
  return taken;
}

/// Endpoints leave the list when nothing can be taken from them.
std::size_t OfiCompletionQueue::take_ready(std::span<Completion> out) noexcept {
  std::size_t taken = 0;
  while (!ready_.empty() && taken < out.size()) {
    WorkQueues& work = *ready_.back();
    taken += work.take(out.subspan(taken));
    if (work.is_ready()) break;  // `out` is full
    ready_.pop_back();
    work.is_listed_ready = false;
    if (work.empty()) work.observer().on_work_empty();
  }
  return taken;
}

/// Hands what the fabric reports to its owners. False if there was nothing.
bool OfiCompletionQueue::read(FabricQueue& queue, std::size_t limit) noexcept {
  if (injected_failure(fabric_.faults(), "fi_cq_read")) return false;  // the next look finds it
  const ssize_t count = fi_cq_read(queue.handle.get(), batch_.data(), std::min(limit, kBatch));
  if (count == -FI_EAGAIN) return false;
  if (count == -FI_EAVAIL) {
    read_errors(queue);
    return true;
  }
  if (count < 0) {
    on_broken(queue, count);
    return false;
  }
  for (const fi_cq_data_entry& entry : std::span(batch_).first(static_cast<std::size_t>(count))) {
    auto* operation = static_cast<Operation*>(entry.op_context);
    if (operation == nullptr || operation->queues == nullptr) continue;  // none of the owner's
    if (operation->is_receive) {
      operation->byte_count = static_cast<std::uint32_t>(entry.len);
      operation->has_immediate = (entry.flags & FI_REMOTE_CQ_DATA) != 0;
      operation->immediate = static_cast<std::uint32_t>(entry.data);
    }
    operation->queues->on_success(*operation);
    list_ready(*operation->queues);
  }
  return true;
}

void OfiCompletionQueue::read_errors(FabricQueue& queue) noexcept {
  fi_cq_err_entry entry{};
  const ssize_t count = fi_cq_readerr(queue.handle.get(), &entry, 0);
  if (count < 0) {
    if (count != -FI_EAGAIN) on_broken(queue, count);
    return;
  }
  auto* operation = static_cast<Operation*>(entry.op_context);
  if (operation == nullptr || operation->queues == nullptr) return;
  operation->queues->on_failure(*operation, status_of(entry.err), static_cast<std::uint32_t>(entry.err));
  list_ready(*operation->queues);
  list_failed(*operation->queues);
}

void OfiCompletionQueue::on_broken(FabricQueue& queue, long error) noexcept {
  if (std::exchange(queue.is_broken, true)) return;
  log_line(fabric_.config(), LogLevel::error, fail_fabric(error, "read a completion queue").value().message);
  for (WorkQueues* work : queue.users)
    list_failed(*work);
}

void OfiCompletionQueue::list_ready(WorkQueues& work) noexcept {
  if (!std::exchange(work.is_listed_ready, true)) ready_.push_back(&work);
}

void OfiCompletionQueue::list_failed(WorkQueues& work) noexcept {
  if (!std::exchange(work.is_listed_failed, true)) failed_.push_back(&work);
}

/// Ends the connections on which the fabric reported errors. That settles their queues, which may bring up
/// more of them.
void OfiCompletionQueue::report_failures() noexcept {
  while (!failed_.empty()) {
    WorkQueues& work = *failed_.back();
    failed_.pop_back();
    work.is_listed_failed = false;
    work.observer().on_work_failed();
  }
}

void OfiCompletionQueue::settle(const Attachment& attachment) noexcept {
  FabricQueue& queue = find(attachment.queue);
  if (queue.is_broken) return;
  while (read(queue, kBatch)) {
  }
}

void OfiCompletionQueue::progress_if_unpolled() noexcept {
  if (std::exchange(was_polled_, false)) return;
  for (const auto& queue : queues_)
    read(*queue, kBatch);
  report_failures();
}

// ---- Waiting
// -----------------------------------------------------------------------------------------------------

bool OfiCompletionQueue::arm() noexcept {
  if (never_sleeps()) return false;
  // Armed first, then looked at: what comes in between is seen by the look, what comes later by the wake-up.
  const bool nothing_came = wait_set_->arm();
  return !events_.pump() && nothing_came && ready_.empty() && failed_.empty();
}

bool OfiCompletionQueue::has_event_or_watched(WaitSet::Wakeup wakeup) noexcept {
  return wakeup.watched || (wakeup.any && events_.pump());
}

/// Polls until `until`. 0 with something other than a completion to see leaves it to the caller's own look.
std::size_t OfiCompletionQueue::spin(std::span<Completion> out, Instant until) noexcept {
  for (unsigned turn = 1;; ++turn) {
    if (const std::size_t taken = poll(out); taken > 0) return taken;
    if (events_.has_pending()) return 0;
    if (turn % kSpinsPerLook == 0 && has_event_or_watched(wait_set_->sleep(Duration::zero()))) return 0;
    if (clock_.now() >= until) return 0;
  }
}

std::size_t OfiCompletionQueue::wait(std::span<Completion> out, Duration timeout) noexcept {
  if (const std::size_t taken = poll(out); taken > 0) return taken;
  const PollingConfig& polling = fabric_.config().polling;
  const Instant start = clock_.now();
  const Instant end = start + events_.until_deadline(timeout);
  if (polling.mode == PollingMode::busy) return spin(out, end);
  if (polling.mode == PollingMode::adaptive) {
    const Instant spin_end = std::min(end, start + Duration(polling.spin));
    if (const std::size_t taken = spin(out, spin_end); taken > 0) return taken;
  }
  for (;;) {
    WaitSet::Wakeup wakeup;
    const Duration left = end - clock_.now();
    if (arm() && left > Duration::zero()) {
      wakeup = wait_set_->sleep(std::min(left, kLongestSleep));
    } else {
      wakeup = wait_set_->sleep(Duration::zero());
    }
    if (const std::size_t taken = poll(out); taken > 0) return taken;
    if (wakeup.watched || events_.pump() || left <= Duration::zero()) return 0;
  }
}

}  // namespace sluice::transport::ofi
