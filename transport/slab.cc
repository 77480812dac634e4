#include "transport/slab.h"

#include <cerrno>
#include <string>
#include <utility>

#include <sys/mman.h>
#include <unistd.h>

namespace sluice::transport {

namespace {

constexpr std::size_t kHugePageBytes = std::size_t{2} * 1024 * 1024;

std::size_t rounded_up(std::size_t bytes, std::size_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

std::byte* map_pages(std::size_t bytes, int extra_flags) {
  void* const start =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | extra_flags, -1, 0);
  return start == MAP_FAILED ? nullptr : static_cast<std::byte*>(start);
}

}  // namespace

Result<Slab> Slab::map(std::size_t bytes, Pages pages) {
  if (bytes == 0) return fail(StatusCode::invalid_argument, "a slab needs at least one byte");
  if (pages == Pages::huge) {
    const std::size_t huge_bytes = rounded_up(bytes, kHugePageBytes);
    // MAP_POPULATE: a huge page that turns out to be missing would be a SIGBUS later.
    if (std::byte* const start = map_pages(huge_bytes, MAP_HUGETLB | MAP_POPULATE)) {
      return Slab({start, huge_bytes}, true);
    }
  }
  const std::size_t plain_bytes = rounded_up(bytes, static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)));
  std::byte* const start = map_pages(plain_bytes, 0);
  if (start == nullptr) return fail_errno(errno, "mmap of " + std::to_string(plain_bytes) + " bytes");
  return Slab({start, plain_bytes}, false);
}

Slab::Slab(Slab&& other) noexcept
    : memory_(std::exchange(other.memory_, {})), is_huge_(std::exchange(other.is_huge_, false)) {}

Slab& Slab::operator=(Slab&& other) noexcept {
  std::swap(memory_, other.memory_);
  std::swap(is_huge_, other.is_huge_);
  return *this;
}

Slab::~Slab() {
  if (!memory_.empty()) ::munmap(memory_.data(), memory_.size());
}

}  // namespace sluice::transport
