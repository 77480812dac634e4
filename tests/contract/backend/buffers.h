#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace sluice::storage_node::contract {

/// Memory aligned for direct IO.
class AlignedBuffer {
 public:
  explicit AlignedBuffer(std::size_t bytes);
  [[nodiscard]] std::span<std::byte> bytes() const noexcept { return {pages_.get(), size_}; }

 private:
  struct Free {
    void operator()(std::byte* pages) const noexcept;
  };
  std::size_t size_;
  std::unique_ptr<std::byte, Free> pages_;
};

/// Content that tells its place and `seed`.
void fill(std::span<std::byte> bytes, std::uint64_t seed);
[[nodiscard]] std::vector<std::byte> filled(std::size_t size, std::uint64_t seed);

}  // namespace sluice::storage_node::contract
