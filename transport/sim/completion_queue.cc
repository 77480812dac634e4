#include "transport/sim/completion_queue.h"

#include <algorithm>
#include <limits>

#include "transport/sim/endpoint.h"

namespace sluice::transport::sim {

SimCompletionQueue::SimCompletionQueue(SimProvider& provider, std::uint32_t depth)
    : provider_(provider), depth_(depth) {
  provider_.add_queue(*this);
}

SimCompletionQueue::~SimCompletionQueue() {
  check(std::ranges::all_of(attached_, [](const SimEndpoint* endpoint) { return endpoint == nullptr; }),
        "endpoints are destroyed before their completion queue");
  provider_.remove_queue(*this);
}

std::size_t SimCompletionQueue::poll(std::span<Completion> out) noexcept {
  if (!provider_.runs()) return 0;
  provider_.looked();
  std::size_t count = 0;
  while (count < out.size() && !ready_.empty()) {
    const Entry entry = ready_.front();
    ready_.pop_front();
    out[count++] = entry.completion;
    entry.endpoint->on_taken(entry.number, entry.completion);
  }
  return count;
}

std::size_t SimCompletionQueue::wait(std::span<Completion> out, Duration timeout) noexcept {
  Fabric& fabric = provider_.fabric();
  const Instant deadline = fabric.core.now() + std::max(timeout, Duration::zero());
  for (;;) {
    if (const std::size_t count = poll(out); count > 0) return count;
    if (provider_.runs() && provider_.has_news()) return 0;
    const auto next = fabric.core.next_event_time();
    if (!next || *next > deadline) {
      fabric.core.advance_to(deadline);
      return 0;
    }
    fabric.step();
  }
}

Status SimCompletionQueue::watch(int fd) {
  return fail(StatusCode::unsupported, "watch descriptor " + std::to_string(fd) +
                                           ": the simulated transport lives in virtual time and waits for no "
                                           "descriptors");
}

void SimCompletionQueue::unwatch(int /*fd*/) noexcept {}

Result<std::uint16_t> SimCompletionQueue::attach(SimEndpoint& endpoint, std::uint32_t entries) {
  if (entries > depth_ - reserved_) {
    return fail(StatusCode::limit_reached,
                "the completion queue of depth " + std::to_string(depth_) + " has " +
                    std::to_string(depth_ - reserved_) + " entries left, the connection needs " +
                    std::to_string(entries) + ": make it deeper or the connections' queues shorter");
  }
  auto free = std::ranges::find(attached_, nullptr);
  if (free == attached_.end()) {
    check(attached_.size() < std::numeric_limits<std::uint16_t>::max(), "an endpoint's index fits 16 bits");
    free = attached_.insert(free, nullptr);
  }
  *free = &endpoint;
  reserved_ += entries;
  return static_cast<std::uint16_t>(free - attached_.begin());
}

void SimCompletionQueue::detach(const SimEndpoint& endpoint, std::uint16_t index,
                                std::uint32_t entries) noexcept {
  attached_[index] = nullptr;
  reserved_ -= entries;
  std::erase_if(ready_, [&](const Entry& entry) { return entry.endpoint == &endpoint; });
}

void SimCompletionQueue::push(SimEndpoint& endpoint, std::uint64_t number, const Completion& completion) {
  check(ready_.size() < depth_, "a completion queue is never overrun");
  ready_.push_back({&endpoint, number, completion});
  provider_.signal();
}

}  // namespace sluice::transport::sim
