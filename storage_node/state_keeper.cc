#include "storage_node/state_keeper.h"

#include "protocol/base/check.h"

namespace sluice::storage_node {

void StateKeeper::attach(VolumeStorage& storage) {
  check(!is_storing_, "a volume's storage isn't replaced while its state is being stored");
  storage_ = &storage;
  wanted_ = storage.state();
}

void StateKeeper::store(const VolumeState& state) {
  check(storage_ != nullptr, "state is stored in a volume that is open");
  check(state.fence >= wanted_.fence, "a fence never falls");
  wanted_ = state;
  if (is_storing_) {
    is_newer_wanted_ = true;
    return;
  }
  start();
}

void StateKeeper::start() {
  is_storing_ = true;
  is_newer_wanted_ = false;
  storing_ = wanted_;
  storage_->start_store(storing_, tag());
}

void StateKeeper::on_backend_done(StatusCode status) {
  is_storing_ = false;
  const VolumeState stored = storing_;
  if (is_newer_wanted_) start();
  handler_.on_state_stored(stored, status);
}

}  // namespace sluice::storage_node
