#include "storage_node/backends/memory_volume.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

#include <sys/mman.h>

#include "protocol/base/check.h"

namespace sluice::storage_node {
namespace {

/// Addresses without memory; empty if there is no such range.
std::span<std::byte> map_addresses(std::uint64_t bytes) noexcept {
  void* const address =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (address == MAP_FAILED) return {};
  return {static_cast<std::byte*>(address), bytes};
}

tl::unexpected<Error> no_addresses(const VolumeState& state, ByteCount size) {
  return fail(StatusCode::no_space, "volume " + std::to_string(state.volume.value()) + ": no range of " +
                                        std::to_string(size.value()) + " bytes of addresses is left");
}

constexpr std::uint64_t round_up(std::uint64_t bytes, std::uint64_t unit) noexcept {
  return (bytes + unit - 1) / unit * unit;
}

}  // namespace

Result<std::unique_ptr<MemoryVolume>> MemoryVolume::create(const VolumeState& state, MemoryBudget& budget) {
  std::span<std::byte> memory;
  if (!state.removed) {
    memory = map_addresses(round_up(state.size.value(), kPieceBytes));
    if (memory.empty()) return no_addresses(state, state.size);
  }
  return std::unique_ptr<MemoryVolume>(new MemoryVolume(state, budget, memory));
}

MemoryVolume::MemoryVolume(const VolumeState& initial, MemoryBudget& budget, std::span<std::byte> memory)
    : state(initial), budget_(budget), memory_(memory), has_memory_(memory.size() / kPieceBytes) {}

MemoryVolume::~MemoryVolume() {
  const auto pieces = std::count(has_memory_.begin(), has_memory_.end(), true);
  budget_.give_back(static_cast<std::uint64_t>(pieces) * kPieceBytes);
  if (!memory_.empty()) munmap(memory_.data(), memory_.size());
}

StatusCode MemoryVolume::execute(const BackendRequest& request) noexcept {
  const std::uint64_t begin = request.offset.value();
  const std::uint64_t end = begin + request.length;
  switch (request.op) {
    case protocol::IoOp::read:
      // What has no memory reads as the kernel's page of zeroes.
      std::memcpy(request.data, memory_.data() + begin, request.length);
      return StatusCode::ok;
    case protocol::IoOp::write:
      return write(request);
    case protocol::IoOp::discard:
    case protocol::IoOp::write_zeroes:
      zero(begin, end);
      return StatusCode::ok;
    case protocol::IoOp::flush:
      return StatusCode::ok;
  }
  return StatusCode::io_error;
}

StatusCode MemoryVolume::write(const BackendRequest& request) noexcept {
  const std::uint64_t begin = request.offset.value();
  if (!take_pieces(begin, begin + request.length)) return StatusCode::no_space;
  std::memcpy(memory_.data() + begin, request.data, request.length);
  return StatusCode::ok;
}

bool MemoryVolume::take_pieces(std::uint64_t begin, std::uint64_t end) noexcept {
  for (std::uint64_t piece = begin / kPieceBytes; piece * kPieceBytes < end; ++piece) {
    if (has_memory_[piece]) continue;
    if (!budget_.take(kPieceBytes)) return false;
    has_memory_[piece] = true;
  }
  return true;
}

void MemoryVolume::zero(std::uint64_t begin, std::uint64_t end) noexcept {
  for (std::uint64_t piece = begin / kPieceBytes; piece * kPieceBytes < end; ++piece) {
    if (!has_memory_[piece]) continue;
    const std::uint64_t from = std::max(begin, piece * kPieceBytes);
    const std::uint64_t to = std::min(end, (piece + 1) * kPieceBytes);
    if (to - from == kPieceBytes) {
      give_back_piece(piece);
    } else {
      std::memset(memory_.data() + from, 0, to - from);
    }
  }
}

void MemoryVolume::give_back_piece(std::uint64_t piece) noexcept {
  // Private anonymous pages read as zeroes afterwards.
  const int result = madvise(memory_.data() + piece * kPieceBytes, kPieceBytes, MADV_DONTNEED);
  check(result == 0, "whole mapped pages can be given back");
  has_memory_[piece] = false;
  budget_.give_back(kPieceBytes);
}

Status MemoryVolume::resize(ByteCount size) {
  VolumeState resized = state;
  resized.size = size;
  if (auto possible = check_shape(resized); !possible) return possible;
  const std::uint64_t bytes = round_up(size.value(), kPieceBytes);
  if (size < state.size) {
    zero(size.value(), round_up(size.value(), kPieceBytes));  // the last piece stays, its rest as zeroes
    for (std::uint64_t piece = bytes / kPieceBytes; piece < has_memory_.size(); ++piece) {
      if (has_memory_[piece]) give_back_piece(piece);
    }
  }
  if (bytes != memory_.size()) {
    void* const moved = mremap(memory_.data(), memory_.size(), bytes, MREMAP_MAYMOVE);
    if (moved == MAP_FAILED) return no_addresses(state, size);
    memory_ = {static_cast<std::byte*>(moved), bytes};
    has_memory_.resize(bytes / kPieceBytes);
  }
  state = resized;
  return {};
}

}  // namespace sluice::storage_node
