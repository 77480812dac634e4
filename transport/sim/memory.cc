#include "transport/sim/memory.h"

namespace sluice::transport::sim {

SimRegion::SimRegion(SimProvider& provider, std::span<std::byte> memory, const MemoryTable::Grant& grant)
    : provider_(provider), memory_(memory), grant_(grant) {
  provider_.add_region(grant_.local_key);
}

SimRegion::~SimRegion() {
  provider_.remove_region(grant_.local_key);
}

Result<std::unique_ptr<Region>> SimProtectionDomain::register_memory(std::span<std::byte> memory,
                                                                     Access access) {
  if (Status usable = provider_.check_usable("register memory"); !usable)
    return tl::unexpected(usable.error());
  if (memory.empty())
    return fail(StatusCode::invalid_argument, "register memory: an empty range can't be registered");
  Core& core = provider_.fabric().core;
  if (injected_failure(provider_.config().faults, "sim_register_memory") ||
      core.strikes(FaultKind::registration_failure, number_)) {
    return fail(StatusCode::out_of_memory, "register memory: " + std::to_string(memory.size()) +
                                               " bytes are more than the simulated device has left");
  }
  const MemoryTable::Grant grant = provider_.fabric().wire.memory.add(memory, access, number_);
  return std::make_unique<SimRegion>(provider_, memory, grant);
}

}  // namespace sluice::transport::sim
