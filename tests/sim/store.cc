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
  if (is_dead_) return fail(StatusCode::unavailable, "the simulated process is gone");
  const bool crashes_before = medium_.strikes(StoreFault::crash_before);
  const bool crashes_after = !crashes_before && medium_.strikes(StoreFault::crash_after);
  using Commit = master::MemoryMetadataStore::Commit;
  Commit outcome = Commit::done;
  if (medium_.strikes(StoreFault::refused)) outcome = Commit::refused;
  if (crashes_before || medium_.strikes(StoreFault::lost)) outcome = Commit::lost;
  if (crashes_after || medium_.strikes(StoreFault::unheard)) outcome = Commit::unheard;
  Status status = commit(mine, body, outcome);
  if (crashes_before || crashes_after) crash();
  return status;
}

Status SimStore::commit(ManagerVersion mine, const UpdateBody& body,
                        master::MemoryMetadataStore::Commit outcome) {
  const auto before = medium_.contents().volumes;
  medium_.shared_.set_commit_hook([outcome](std::uint64_t) { return outcome; });
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
