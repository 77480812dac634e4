#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "transport/work_id.h"

namespace sluice::transport {

/// The requests of one queue (send or receive) that the device holds, oldest first. Both queues of a reliable
/// connection complete in order, so a completion retires its request and every one before it: those were
/// unsignalled and succeeded. What is left when the queue pair is gone was flushed. For providers.
/// Never allocates after construction.
class WorkRing {
 public:
  explicit WorkRing(std::uint32_t capacity) : entries_(capacity) {}

  [[nodiscard]] std::uint32_t capacity() const noexcept {
    return static_cast<std::uint32_t>(entries_.size());
  }
  [[nodiscard]] std::uint32_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] std::uint32_t room() const noexcept { return capacity() - size_; }

  void push(WorkId id) noexcept;

  /// Retires `id` and all before it. False, with nothing retired, if it isn't outstanding.
  bool retire_through(WorkId id) noexcept;

  /// Takes the oldest, to complete it as flushed.
  std::optional<WorkId> pop_oldest() noexcept;

  /// Takes the newest back: the device refused it.
  void unpush_newest() noexcept;

 private:
  [[nodiscard]] std::uint32_t index_of(std::uint32_t position) const noexcept;

  std::vector<WorkId> entries_;
  std::uint32_t head_ = 0;
  std::uint32_t size_ = 0;
};

}  // namespace sluice::transport
