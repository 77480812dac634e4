#pragma once

#include "protocol/base/status.h"
#include "protocol/base/units.h"

namespace sluice::protocol {

/// The open version after `last`, or `exhausted` at the maximum: an open version is never given twice, so it
/// never wraps and never starts again.
[[nodiscard]] Result<OpenVersion> next_open_version(OpenVersion last);

/// The manager version of a master that takes over where `highest_seen` is the highest that it, its store
/// or any node has ever known; `exhausted` at the maximum (P1).
[[nodiscard]] Result<ManagerVersion> next_manager_version(ManagerVersion highest_seen);

/// The highest GVN that a node has accepted for a volume: it never falls and never expires. What makes it
/// durable is the node's business; it must be so before the session is acknowledged (P3).
class Fence {
 public:
  constexpr Fence() noexcept = default;
  constexpr explicit Fence(Gvn accepted) noexcept : accepted_(accepted) {}

  /// The highest GVN accepted; 0 if none ever was.
  [[nodiscard]] constexpr Gvn value() const noexcept { return accepted_; }

  /// Whether a session of `gvn` is newer than all that were accepted before.
  [[nodiscard]] constexpr bool is_below(Gvn gvn) const noexcept { return accepted_ < gvn; }

  /// Accepts `gvn`, which must lie above the fence.
  void raise(Gvn gvn) noexcept;

  constexpr auto operator<=>(const Fence&) const noexcept = default;

 private:
  Gvn accepted_;
};

}  // namespace sluice::protocol
