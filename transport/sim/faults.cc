#include "transport/sim/faults.h"

#include "protocol/base/check.h"

namespace sluice::transport::sim {

std::string_view to_string(FaultKind kind) noexcept {
  switch (kind) {
    case FaultKind::queue_pair_error:
      return "queue_pair_error";
    case FaultKind::partial_post:
      return "partial_post";
    case FaultKind::partial_receive_post:
      return "partial_receive_post";
    case FaultKind::receiver_not_ready:
      return "receiver_not_ready";
    case FaultKind::retry_exhaustion:
      return "retry_exhaustion";
    case FaultKind::packet_loss:
      return "packet_loss";
    case FaultKind::latency_spike:
      return "latency_spike";
    case FaultKind::completion_delay:
      return "completion_delay";
    case FaultKind::stuck_drain:
      return "stuck_drain";
    case FaultKind::connect_refused:
      return "connect_refused";
    case FaultKind::connect_lost:
      return "connect_lost";
    case FaultKind::connect_stale:
      return "connect_stale";
    case FaultKind::connect_cut:
      return "connect_cut";
    case FaultKind::ready_to_use_lost:
      return "ready_to_use_lost";
    case FaultKind::registration_failure:
      return "registration_failure";
    case FaultKind::device_removal:
      return "device_removal";
    case FaultKind::host_crash:
      return "host_crash";
    case FaultKind::host_restart:
      return "host_restart";
    case FaultKind::provider_kill:
      return "provider_kill";
    case FaultKind::provider_pause:
      return "provider_pause";
    case FaultKind::provider_resume:
      return "provider_resume";
    case FaultKind::partition:
      return "partition";
    case FaultKind::heal:
      return "heal";
    case FaultKind::path_stall:
      return "path_stall";
    case FaultKind::late_write:
      return "late_write";
  }
  return "unknown";
}

void Faults::set_rate(FaultKind kind, std::uint32_t ppm) noexcept {
  check(index(kind) < kRandomFaultKinds, "only random faults have a rate");
  rates_ppm_[index(kind)] = ppm;
}

void Faults::strike_next(FaultKind kind, std::uint32_t times) noexcept {
  check(index(kind) < kRandomFaultKinds, "only random faults have opportunities");
  next_strikes_[index(kind)] += times;
}

void Faults::calm() noexcept {
  rates_ppm_.fill(0);
  next_strikes_.fill(0);
}

}  // namespace sluice::transport::sim
