#pragma once

#include <memory>
#include <span>

#include "storage_node/backend.h"
#include "storage_node/backends/uring_queue.h"
#include "storage_node/backends/zero_pages.h"

namespace sluice::storage_node {

/// The data path that files and block devices have in common.
class UringBackend : public Backend {
 public:
  Status register_buffers(std::span<std::byte> buffers) final;
  void submit() noexcept final { queue_->submit(); }
  std::size_t poll(std::span<BackendCompletion> out) noexcept final { return queue_->poll(out); }
  [[nodiscard]] int wait_fd() const noexcept final { return queue_->wait_fd(); }
  bool arm() noexcept final { return queue_->arm(); }

 protected:
  explicit UringBackend(std::unique_ptr<UringQueue> queue) noexcept;

  [[nodiscard]] UringQueue& queue() noexcept { return *queue_; }
  [[nodiscard]] const ZeroPages& zeroes() const noexcept { return zeroes_; }

 private:
  std::unique_ptr<UringQueue> queue_;
  ZeroPages zeroes_;
};

}  // namespace sluice::storage_node
