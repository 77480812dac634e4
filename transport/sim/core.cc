#include "transport/sim/core.h"

#include <algorithm>

#include "protocol/base/check.h"

namespace sluice::transport::sim {

namespace {

/// The heap's top is the earliest.
bool is_later(const Event& a, const Event& b) noexcept {
  return a.when != b.when ? a.when > b.when : a.order > b.order;
}

}  // namespace

Core::Core(std::uint64_t seed, const NetworkConfig& network_config)
    : config(network_config), latencies(seed), chances(~seed) {
  check(config.mtu_bytes > 0 && config.bytes_per_us > 0, "packets and bandwidth have a size");
}

void Core::schedule(Instant when, EventKind kind, std::uint64_t target) {
  heap_.push_back({std::max(when, now_), next_order_++, target, kind});
  std::push_heap(heap_.begin(), heap_.end(), is_later);
}

std::optional<Instant> Core::next_event_time() const noexcept {
  if (heap_.empty()) return std::nullopt;
  return heap_.front().when;
}

Event Core::take_event() {
  check(!heap_.empty(), "an event is taken when there is one");
  std::pop_heap(heap_.begin(), heap_.end(), is_later);
  const Event event = heap_.back();
  heap_.pop_back();
  now_ = event.when;
  return event;
}

void Core::advance_to(Instant when) noexcept {
  check(heap_.empty() || heap_.front().when >= when, "no event is skipped");
  now_ = std::max(now_, when);
}

bool Core::strikes(FaultKind kind, std::uint64_t struck) {
  const std::size_t index = Faults::index(kind);
  if (faults.next_strikes_[index] > 0) {
    --faults.next_strikes_[index];
  } else if (!chances.chance_ppm(faults.rates_ppm_[index])) {
    return false;
  }
  count_fault(kind, struck);
  return true;
}

void Core::count_fault(FaultKind kind, std::uint64_t struck) {
  ++faults.counts_[Faults::index(kind)];
  note(TraceKind::fault, static_cast<std::uint64_t>(kind), struck);
}

}  // namespace sluice::transport::sim
