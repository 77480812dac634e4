#include "tests/contract/backend/buffers.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace sluice::storage_node::contract {

AlignedBuffer::AlignedBuffer(std::size_t bytes)
    : size_(bytes), pages_(static_cast<std::byte*>(std::aligned_alloc(4096, bytes))) {
  std::memset(pages_.get(), 0, bytes);
}

void AlignedBuffer::Free::operator()(std::byte* pages) const noexcept {
  std::free(pages);
}

void fill(std::span<std::byte> bytes, std::uint64_t seed) {
  for (std::size_t at = 0; at < bytes.size(); at += sizeof seed) {
    const std::uint64_t word = seed * 0x9e37'79b9'7f4a'7c15 + at + 1;
    std::memcpy(bytes.data() + at, &word, std::min(sizeof word, bytes.size() - at));
  }
}

std::vector<std::byte> filled(std::size_t size, std::uint64_t seed) {
  std::vector<std::byte> bytes(size);
  fill(bytes, seed);
  return bytes;
}

}  // namespace sluice::storage_node::contract
