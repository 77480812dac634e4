#include "protocol/io_submission.h"

#include <limits>

#include <catch2/catch.hpp>

#include "protocol/limits.h"

namespace sluice::protocol {
namespace {

constexpr VolumeShape kShape{ByteCount(std::uint64_t{2} << 30U), 4096, 65536};

IoSubmission make(IoOp op, std::uint64_t offset, std::uint32_t length) {
  IoSubmission io;
  io.op = op;
  io.offset = ByteCount(offset);
  io.length = length;
  return io;
}

}  // namespace

TEST_CASE("attack 34: length 0, the last block + 1 and offsets that overflow are no valid submissions",
          "[attack]") {
  const std::uint64_t size = kShape.size.value();
  CHECK(is_valid(make(IoOp::write, 0, 4096), kShape));
  CHECK(is_valid(make(IoOp::read, size - 4096, 4096), kShape));
  CHECK_FALSE(is_valid(make(IoOp::read, 0, 0), kShape));
  CHECK_FALSE(is_valid(make(IoOp::read, size, 4096), kShape));
  CHECK_FALSE(is_valid(make(IoOp::read, size - 4096, 8192), kShape));
  CHECK_FALSE(is_valid(make(IoOp::read, std::numeric_limits<std::uint64_t>::max() - 4095, 4096), kShape));
  CHECK_FALSE(is_valid(make(IoOp::read, 512, 4096), kShape));
  CHECK_FALSE(is_valid(make(IoOp::read, 0, 512), kShape));
  CHECK_FALSE(is_valid(make(IoOp::write, 0, 65536 + 4096), kShape));
  CHECK_FALSE(is_valid(make(IoOp::write, 0, 8192), {ByteCount(4096), 4096, 65536}));
  CHECK_FALSE(is_valid(make(static_cast<IoOp>(77), 0, 4096), kShape));
}

TEST_CASE("discard and write zeroes may be longer than data, up to their own bound", "[io_submission]") {
  CHECK(is_valid(make(IoOp::discard, 0, kMaxRangeLength), kShape));
  CHECK(is_valid(make(IoOp::write_zeroes, 0, kMaxRangeLength), kShape));
  CHECK_FALSE(is_valid(make(IoOp::discard, 0, kMaxRangeLength + 4096), kShape));
}

TEST_CASE("a flush has no range, a checksum is a write's, FUA is for what changes data", "[io_submission]") {
  CHECK(is_valid(make(IoOp::flush, 0, 0), kShape));
  CHECK_FALSE(is_valid(make(IoOp::flush, 4096, 0), kShape));
  CHECK_FALSE(is_valid(make(IoOp::flush, 0, 4096), kShape));
  for (const IoOp op : {IoOp::write, IoOp::discard, IoOp::write_zeroes, IoOp::read}) {
    IoSubmission io = make(op, 0, 4096);
    io.fua = true;
    CHECK(is_valid(io, kShape) == changes_data(op));
    io = make(op, 0, 4096);
    io.data_crc = 5;
    CHECK(is_valid(io, kShape) == (op == IoOp::write));
  }
}

}  // namespace sluice::protocol
