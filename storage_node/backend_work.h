#pragma once

#include <cstdint>

#include "protocol/base/status.h"

namespace sluice::storage_node {

/// Whatever waits for a completion of the backend. Its address is the operation's tag, so that the completion
/// finds it without a look-up; it must live until then.
class BackendWork {
 public:
  BackendWork() = default;
  BackendWork(const BackendWork&) = delete;
  BackendWork& operator=(const BackendWork&) = delete;
  virtual ~BackendWork() = default;

  /// See BackendCompletion. May end its own life.
  virtual void on_backend_done(StatusCode status) = 0;

  [[nodiscard]] std::uint64_t tag() noexcept { return reinterpret_cast<std::uintptr_t>(this); }
  [[nodiscard]] static BackendWork& of(std::uint64_t tag) noexcept {
    // NOLINTNEXTLINE(performance-no-int-to-ptr): what tag() gave
    return *reinterpret_cast<BackendWork*>(static_cast<std::uintptr_t>(tag));
  }
};

}  // namespace sluice::storage_node
