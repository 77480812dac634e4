#pragma once

#include <algorithm>
#include <cstdint>

namespace sluice::protocol {

/// P4 for a write_back volume: any session change with unflushed acknowledged writes makes the next flush
/// fail, because the node that acknowledged them from volatile memory may have lost it.
///
/// A loss is told by every flush that covers it until one of them has told the caller: flushes complete in
/// any order, and none of them may hide it.
class FlushLedger {
 public:
  /// What one flush will have made durable once it is done.
  struct Mark {
    std::uint64_t covers = 0;  ///< writes acknowledged before it was submitted
    bool lossy = false;        ///< some of them may be lost: it fails whatever the node says
  };

  void acknowledged() noexcept { ++acknowledged_; }
  [[nodiscard]] Mark flush_submitted() const noexcept { return {acknowledged_, loss_untold_}; }
  void flush_succeeded(const Mark& mark) noexcept { durable_ = std::max(durable_, mark.covers); }
  void loss_told() noexcept { loss_untold_ = false; }

  /// Whether a flush that is outstanding as the session changes covers writes that may be lost by it.
  /// To be asked before session_changed().
  [[nodiscard]] bool would_lose(const Mark& mark) const noexcept { return mark.covers > durable_; }
  void session_changed() noexcept {
    loss_untold_ = loss_untold_ || acknowledged_ > durable_;
    durable_ = acknowledged_;
  }

 private:
  std::uint64_t acknowledged_ = 0;
  std::uint64_t durable_ = 0;
  bool loss_untold_ = false;
};

}  // namespace sluice::protocol
