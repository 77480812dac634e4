#pragma once

#include <cstdint>

namespace sluice::protocol {

/// P4, for one session: which of its changes a flush has made durable.
class UnflushedWrites {
 public:
  /// A change succeeded that isn't durable by itself.
  void on_volatile_change() noexcept { ++changes_; }

  /// A flush is handed to the backend: it covers what succeeded before.
  [[nodiscard]] std::uint64_t changes() const noexcept { return changes_; }

  /// That flush succeeded.
  void on_flushed(std::uint64_t covered_changes) noexcept {
    if (covered_changes > durable_) durable_ = covered_changes;
  }

  [[nodiscard]] bool any() const noexcept { return changes_ > durable_; }

 private:
  std::uint64_t changes_ = 0;
  std::uint64_t durable_ = 0;
};

}  // namespace sluice::protocol
