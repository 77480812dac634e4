#include "storage_node/io_memory.h"

#include <algorithm>
#include <string>
#include <utility>

#include "protocol/base/check.h"
#include "protocol/limits.h"

namespace sluice::storage_node {
namespace {

constexpr std::size_t kMiB = std::size_t{1024} * 1024;
constexpr std::size_t kMinBufferBytes = 4 * kMiB;
constexpr std::size_t kMaxBufferBytes = 64 * kMiB;

/// Sizes of buffers, and the share of the buffers' memory that each gets, in quarters.
struct Share {
  std::uint32_t bytes;
  std::uint32_t quarters;
};
constexpr std::array<Share, 3> kShares{{{4096, 1}, {64 * 1024, 1}, {protocol::kMaxDataLength, 2}}};

/// A quarter of everything, in steps that all classes divide.
std::size_t buffer_bytes_of(std::size_t limit) {
  return std::clamp(limit / 4, kMinBufferBytes, kMaxBufferBytes) / kMinBufferBytes * kMinBufferBytes;
}

}  // namespace

Result<std::unique_ptr<IoMemory>> IoMemory::create(const IoMemoryConfig& config,
                                                   const transport::LogSink& log) {
  using transport::Slab;
  if (config.limit < kMinIoMemory) {
    return fail(StatusCode::invalid_argument, "a memory limit of " + std::to_string(config.limit.value()) +
                                                  " bytes a reactor is too low: at least " +
                                                  std::to_string(kMinIoMemory.value()) + " are needed");
  }
  const auto limit = static_cast<std::size_t>(config.limit.value());
  auto slab = Slab::map(limit, config.huge_pages ? Slab::Pages::huge : Slab::Pages::plain);
  if (!slab) return tl::unexpected(slab.error());
  if (config.huge_pages && !slab->is_huge() && log) {
    log(transport::LogLevel::info, "no huge pages for " + std::to_string(limit / kMiB) +
                                       " MiB of IO memory: plain pages are used (vm.nr_hugepages)");
  }
  return std::unique_ptr<IoMemory>(new IoMemory(std::move(*slab), buffer_bytes_of(limit)));
}

IoMemory::IoMemory(transport::Slab slab, std::size_t buffer_bytes)
    : slab_(std::move(slab)),
      buffers_(slab_.memory().first(buffer_bytes)),
      staging_(ByteCount(slab_.memory().size() - buffer_bytes)) {
  std::byte* next = buffers_.data();
  for (std::size_t i = 0; i < classes_.size(); ++i) {
    classes_[i].bytes = kShares[i].bytes;
    const std::size_t count = buffer_bytes / 4 * kShares[i].quarters / kShares[i].bytes;
    for (std::size_t buffer = 0; buffer < count; ++buffer, next += kShares[i].bytes)
      classes_[i].free.push_back(next);
    std::reverse(classes_[i].free.begin(), classes_[i].free.end());  // the first one is taken first
  }
}

IoMemory::~IoMemory() {
  check(on_loan_ == 0, "every buffer has come back before its memory goes");
  check(staging_.taken() == ByteCount(0), "every path's slots have come back before their memory goes");
}

IoBuffer IoMemory::take(std::uint32_t bytes) noexcept {
  for (std::size_t i = 0; i < classes_.size(); ++i) {
    SizeClass& size_class = classes_[i];
    if (size_class.bytes < bytes || size_class.free.empty()) continue;
    std::byte* const data = size_class.free.back();
    size_class.free.pop_back();
    ++on_loan_;
    return {this, data, static_cast<std::uint8_t>(i)};
  }
  return {};
}

bool IoMemory::has(std::uint32_t bytes) const noexcept {
  return std::any_of(classes_.begin(), classes_.end(), [bytes](const SizeClass& size_class) {
    return size_class.bytes >= bytes && !size_class.free.empty();
  });
}

void IoMemory::give_back(std::byte* data, std::uint8_t size_class) noexcept {
  --on_loan_;
  classes_[size_class].free.push_back(data);  // never beyond what it held at first
}

Result<StagingRange> IoMemory::take_staging(ByteCount size) {
  const std::optional<ByteCount> offset = staging_.take(size);
  if (!offset) {
    return fail(StatusCode::limit_reached,
                "no " + std::to_string(size.value()) + " bytes are left for a path's slots (memory_limit)");
  }
  return StagingRange(this, slab_.memory().subspan(buffers_.size() + offset->value(), size.value()));
}

void IoMemory::give_back(std::span<std::byte> range) {
  const auto offset = static_cast<std::uint64_t>(range.data() - buffers_.data()) - buffers_.size();
  staging_.give_back(ByteCount(offset), ByteCount(range.size()));
}

bool IoMemory::is_on_loan_to_paths(std::span<const std::byte> bytes) const {
  const std::byte* const staging = buffers_.data() + buffers_.size();
  if (bytes.data() < staging) return false;
  return staging_.is_taken(ByteCount(static_cast<std::uint64_t>(bytes.data() - staging)),
                           ByteCount(bytes.size()));
}

// ---- Loans

IoBuffer::IoBuffer(IoBuffer&& other) noexcept
    : memory_(std::exchange(other.memory_, nullptr)), data_(other.data_), size_class_(other.size_class_) {}

IoBuffer& IoBuffer::operator=(IoBuffer&& other) noexcept {
  if (this == &other) return *this;
  reset();
  memory_ = std::exchange(other.memory_, nullptr);
  data_ = other.data_;
  size_class_ = other.size_class_;
  return *this;
}

void IoBuffer::reset() noexcept {
  if (IoMemory* const memory = std::exchange(memory_, nullptr)) memory->give_back(data_, size_class_);
}

StagingRange::StagingRange(StagingRange&& other) noexcept
    : memory_(std::exchange(other.memory_, nullptr)), bytes_(std::exchange(other.bytes_, {})) {}

StagingRange& StagingRange::operator=(StagingRange&& other) noexcept {
  if (this == &other) return *this;
  reset();
  memory_ = std::exchange(other.memory_, nullptr);
  bytes_ = std::exchange(other.bytes_, {});
  return *this;
}

void StagingRange::reset() noexcept {
  if (IoMemory* const memory = std::exchange(memory_, nullptr)) memory->give_back(bytes_);
}

}  // namespace sluice::storage_node
