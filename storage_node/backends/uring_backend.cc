#include "storage_node/backends/uring_backend.h"

#include <cstdint>
#include <utility>

namespace sluice::storage_node {

UringBackend::UringBackend(std::unique_ptr<UringQueue> queue) noexcept : queue_(std::move(queue)) {}

Status UringBackend::register_buffers(std::span<std::byte> buffers) {
  constexpr std::uintptr_t kAlignment = 4096;
  if (reinterpret_cast<std::uintptr_t>(buffers.data()) % kAlignment != 0) {
    return fail(StatusCode::invalid_argument,
                "IO buffers aren't aligned to 4096 bytes, as direct IO needs them");
  }
  queue_->register_buffers(buffers);
  return {};
}

}  // namespace sluice::storage_node
