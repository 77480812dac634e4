#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "client/blocking_io.h"
#include "protocol/base/status.h"
#include "protocol/io_submission.h"

namespace sluice::client {

/// Where the outcome of a request goes that somebody waits for.
struct IoWaiter {
  bool is_done = false;
  StatusCode status = StatusCode::ok;
};

/// A caller's request, of any length.
struct IoRequestArgs {
  std::uint64_t tag = 0;
  protocol::IoOp op = protocol::IoOp::flush;
  bool fua = false;
  std::uint64_t offset = 0;     ///< bytes
  std::uint64_t length = 0;     ///< bytes; 0 for flush alone
  std::byte* memory = nullptr;  ///< read and write: `length` bytes; of a write never written to
  IoWaiter* waiter = nullptr;   ///< told of the outcome instead of take(); stays until then
};

[[nodiscard]] inline IoRequestArgs read_args(std::uint64_t offset, std::span<std::byte> into) noexcept {
  IoRequestArgs args;
  args.op = protocol::IoOp::read;
  args.offset = offset;
  args.length = into.size();
  args.memory = into.data();
  return args;
}

[[nodiscard]] inline IoRequestArgs write_args(std::uint64_t offset, std::span<const std::byte> data,
                                              Durability durability) noexcept {
  IoRequestArgs args;
  args.op = protocol::IoOp::write;
  args.fua = durability == Durability::stable;
  args.offset = offset;
  args.length = data.size();
  // One place for the memory of reads and writes: that of a write is never written to.
  args.memory = const_cast<std::byte*>(data.data());
  return args;
}

/// Discard or write of zeroes.
[[nodiscard]] inline IoRequestArgs range_args(protocol::IoOp op, std::uint64_t offset, std::uint64_t length,
                                              Durability durability) noexcept {
  IoRequestArgs args;
  args.op = op;
  args.fua = durability == Durability::stable;
  args.offset = offset;
  args.length = length;
  return args;
}

/// The outcome of a request that somebody waited for, in words.
[[nodiscard]] inline Status to_status(const IoRequestArgs& args, StatusCode code, const std::string& volume) {
  if (code == StatusCode::ok) return {};
  std::string what(to_string(args.op));
  if (args.op != protocol::IoOp::flush) {
    what += " of " + std::to_string(args.length) + " bytes at " + std::to_string(args.offset);
  }
  return fail(code, what + ", volume \"" + volume + "\"");
}

}  // namespace sluice::client
