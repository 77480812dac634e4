#include "tests/sim/store.h"

#include <utility>

namespace sluice::sim {

std::string_view to_string(StoreFault fault) noexcept {
  static constexpr std::array<std::string_view, kStoreFaults> kNames = {
      "refused", "lost", "unheard", "crash_before", "crash_after", "unreadable", "restored"};
  return kNames[static_cast<std::size_t>(fault)];
}

void StoreMedium::calm() noexcept {
  rates_ppm_.fill(0);
  next_strikes_.fill(0);
}

bool StoreMedium::strikes(StoreFault fault) {
  const auto index = static_cast<std::size_t>(fault);
  if (next_strikes_[index] > 0) {
    --next_strikes_[index];
  } else if (!random_.chance_ppm(rates_ppm_[index])) {
    return false;
  }
  ++counts_[index];
  return true;
}

void StoreMedium::restore(const Contents& copy) {
  ++counts_[static_cast<std::size_t>(StoreFault::restored)];
  shared_.contents() = copy;
  history_.on_store_restored();
}

Result<ManagerVersion> SimStore::manager_version() {
  if (is_dead_ || medium_.strikes(StoreFault::unreadable))
    return fail(StatusCode::unavailable, "the simulated store can't be read");
  return medium_.shared_.manager_version();
}

Status SimStore::update(ManagerVersion mine, const UpdateBody& body) {
  const Error lost{StatusCode::outcome_unknown, "the simulated store failed while it committed"};
  if (is_dead_ || medium_.strikes(StoreFault::refused))
    return fail(StatusCode::unavailable, "the simulated store takes nothing now");
  if (medium_.strikes(StoreFault::crash_before)) {
    crash();
    return tl::unexpected(lost);
  }
  if (medium_.strikes(StoreFault::lost)) return tl::unexpected(lost);
  Status status = commit(mine, body);
  if (!status) return status;
  if (medium_.strikes(StoreFault::crash_after)) {
    crash();
    return tl::unexpected(lost);
  }
  if (medium_.strikes(StoreFault::unheard)) return tl::unexpected(lost);
  return status;
}

Status SimStore::commit(ManagerVersion mine, const UpdateBody& body) {
  const auto before = medium_.contents().volumes;
  Status status = medium_.shared_.update(mine, body);
  for (const auto& [id, record] : medium_.contents().volumes) {
    const auto old = before.find(id);
    if (old == before.end() || !(old->second == record)) medium_.history_.on_volume_committed(record);
  }
  return status;
}

void SimStore::crash() {
  is_dead_ = true;
  crash_();
}

}  // namespace sluice::sim
