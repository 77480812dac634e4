#include "client/blocking_io.h"

#include "client/io_request_args.h"

namespace sluice::client {

using protocol::IoOp;

BlockingIo::~BlockingIo() = default;

Status BlockingIo::read(std::uint64_t offset, std::span<std::byte> into) {
  return run(read_args(offset, into));
}

Status BlockingIo::write(std::uint64_t offset, std::span<const std::byte> data, Durability durability) {
  return run(write_args(offset, data, durability));
}

Status BlockingIo::flush() {
  return run({});
}

Status BlockingIo::discard(std::uint64_t offset, std::uint64_t length, Durability durability) {
  return run(range_args(IoOp::discard, offset, length, durability));
}

Status BlockingIo::write_zeroes(std::uint64_t offset, std::uint64_t length, Durability durability) {
  return run(range_args(IoOp::write_zeroes, offset, length, durability));
}

}  // namespace sluice::client
