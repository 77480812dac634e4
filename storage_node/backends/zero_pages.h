#pragma once

#include <array>
#include <cstddef>
#include <memory>

namespace sluice::storage_node {

/// Zeroes to write from, aligned for direct IO.
class ZeroPages {
 public:
  static constexpr std::size_t kBytes = std::size_t{1} << 20U;

  ZeroPages() : pages_(std::make_unique<Pages>()) {}
  /// For writing from only: an operation takes plain pointers.
  [[nodiscard]] std::byte* data() const noexcept { return pages_->bytes.data(); }

 private:
  struct alignas(4096) Pages {
    std::array<std::byte, kBytes> bytes{};
  };
  std::unique_ptr<Pages> pages_;
};

}  // namespace sluice::storage_node
