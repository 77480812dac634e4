#pragma once

#include <cstdint>

#include "protocol/base/units.h"
#include "protocol/io_frame.h"

namespace sluice::protocol {

/// What a caller wants done. `tag` is its own, and comes back with the completion.
struct IoSubmission {
  std::uint64_t tag = 0;
  IoOp op = IoOp::flush;
  bool fua = false;            ///< durable before completion; not for read and flush
  ByteCount offset;            ///< a multiple of the block size; 0 for flush
  std::uint32_t length = 0;    ///< bytes, a multiple of the block size; 0 for flush
  std::uint32_t data_crc = 0;  ///< CRC32C of a write's data, which mustn't change until completion; else 0
};

/// A volume's shape as far as a submission must fit it.
struct VolumeShape {
  ByteCount size;
  std::uint32_t block_size = 0;       ///< bytes, a power of two
  std::uint32_t max_data_length = 0;  ///< bytes of one read or write
};

/// Whether length, alignment, range and flags are what the node will accept.
[[nodiscard]] bool is_valid(const IoSubmission& io, const VolumeShape& shape) noexcept;

}  // namespace sluice::protocol
