#pragma once

#include <cstddef>
#include <span>

#include "protocol/base/status.h"

namespace sluice::transport {

/// Zeroed memory of whole pages, for registration. Whole pages because a registered page may be missing in a
/// child process (ibv_fork_init(3)), and nothing else may live there.
class Slab {
 public:
  enum class Pages : unsigned char {
    plain,
    huge,  ///< 2 MiB pages where the system grants them, else plain ones: see is_huge()
  };

  /// Errors: invalid_argument (no bytes), out_of_memory.
  static Result<Slab> map(std::size_t bytes, Pages pages);

  Slab() = default;
  Slab(Slab&& other) noexcept;
  Slab& operator=(Slab&& other) noexcept;
  ~Slab();

  /// At least the bytes asked for, rounded up to pages.
  [[nodiscard]] std::span<std::byte> memory() const noexcept { return memory_; }
  [[nodiscard]] bool is_huge() const noexcept { return is_huge_; }

 private:
  Slab(std::span<std::byte> memory, bool is_huge) : memory_(memory), is_huge_(is_huge) {}

  std::span<std::byte> memory_;
  bool is_huge_ = false;
};

}  // namespace sluice::transport
