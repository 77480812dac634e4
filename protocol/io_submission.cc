#include "protocol/io_submission.h"

#include "protocol/limits.h"

namespace sluice::protocol {

bool is_valid(const IoSubmission& io, const VolumeShape& shape) noexcept {
  if (!is_valid(io.op)) return false;
  if (io.op != IoOp::write && io.data_crc != 0) return false;
  if (!changes_data(io.op) && io.fua) return false;
  if (io.op == IoOp::flush) return io.offset == ByteCount(0) && io.length == 0;
  const bool carries_data = io.op == IoOp::read || io.op == IoOp::write;
  if (io.length == 0 || io.length > (carries_data ? shape.max_data_length : kMaxRangeLength)) return false;
  if (io.length % shape.block_size != 0 || io.offset.value() % shape.block_size != 0) return false;
  // Written so that offset + length can't overflow.
  return io.length <= shape.size.value() && io.offset.value() <= shape.size.value() - io.length;
}

}  // namespace sluice::protocol
