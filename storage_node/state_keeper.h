#pragma once

#include "storage_node/backend.h"
#include "storage_node/backend_work.h"

namespace sluice::storage_node {

/// Makes a volume's state durable, one version after the other: what is asked for while a store is on its way
/// goes out in the next one. One thread.
class StateKeeper final : private BackendWork {
 public:
  class Handler {
   public:
    Handler() = default;
    Handler(const Handler&) = delete;
    Handler& operator=(const Handler&) = delete;
    virtual ~Handler() = default;

    /// `state` is durable, or (any other status than ok) may be.
    virtual void on_state_stored(const VolumeState& state, StatusCode status) = 0;
  };

  explicit StateKeeper(Handler& handler) : handler_(handler) {}

  /// `storage` outlives what is asked for.
  void attach(VolumeStorage& storage);

  /// As it is, or is about to be.
  [[nodiscard]] const VolumeState& wanted() const noexcept { return wanted_; }
  void store(const VolumeState& state);
  [[nodiscard]] bool is_busy() const noexcept { return is_storing_; }

 private:
  void start();
  void on_backend_done(StatusCode status) override;

  Handler& handler_;
  VolumeStorage* storage_ = nullptr;
  VolumeState wanted_;
  VolumeState storing_;
  bool is_storing_ = false;
  bool is_newer_wanted_ = false;
};

}  // namespace sluice::storage_node
