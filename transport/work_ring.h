#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "protocol/base/check.h"
#include "transport/work_id.h"

namespace sluice::transport {

/// The requests of one queue (send or receive) that the device holds, oldest first. Both queues of a reliable
/// connection complete in order, so a completion retires its request and every one before it: those were
/// unsignalled and succeeded. What is left when the queue pair is gone was flushed. For providers.
/// Never allocates after construction. The calls of the data path are inline: they run for each request.
class WorkRing {
 public:
  explicit WorkRing(std::uint32_t capacity) : entries_(capacity) {}

  [[nodiscard]] std::uint32_t capacity() const noexcept {
    return static_cast<std::uint32_t>(entries_.size());
  }
  [[nodiscard]] std::uint32_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] std::uint32_t room() const noexcept { return capacity() - size_; }

  void push(WorkId id) noexcept {
    check(room() > 0, "a work ring has room for what its owner posts");
    entries_[index_of(size_)] = id;
    ++size_;
  }

  /// Retires `id` and all before it. False, with nothing retired, if it isn't outstanding.
  bool retire_through(WorkId id) noexcept {
    for (std::uint32_t position = 0; position < size_; ++position) {
      if (entries_[index_of(position)] == id) {
        head_ = index_of(position + 1);
        size_ -= position + 1;
        return true;
      }
    }
    return false;
  }

  /// Takes the oldest, to complete it as flushed.
  std::optional<WorkId> pop_oldest() noexcept;

  /// Takes the newest back: the device refused it.
  void unpush_newest() noexcept;

 private:
  [[nodiscard]] std::uint32_t index_of(std::uint32_t position) const noexcept {
    const std::uint32_t index = head_ + position;
    return index < capacity() ? index : index - capacity();
  }

  std::vector<WorkId> entries_;
  std::uint32_t head_ = 0;
  std::uint32_t size_ = 0;
};

}  // namespace sluice::transport
