#include "storage_node/backends/uring_storage.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/file.h>
#include <sys/uio.h>

#include "protocol/base/check.h"
#include "storage_node/backends/storage_errors.h"
#include "storage_node/backends/volume_states.h"

namespace sluice::storage_node {
namespace {

using protocol::IoOp;
using Kind = UringOperation::Kind;

/// What an operation is doing. The ones of several steps go through them in this order.
enum Step : std::uint8_t {
  transferring,    ///< read or write
  allocating,      ///< discard or write zeroes, by the file system or device
  writing_zeroes,  ///< where it can't
  making_durable,  ///< a flush, or behind `allocating`
};

constexpr int kPunchHole = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
constexpr int kZeroRange = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;

constexpr bool is_temporary(int result) noexcept {
  return result == -EAGAIN || result == -EINTR;
}

constexpr bool is_unsupported(int result) noexcept {
  return result == -EOPNOTSUPP || result == -ENOSYS || result == -ENODEV;
}

int durability(const BackendRequest& request) noexcept {
  return request.durable ? RWF_DSYNC : 0;
}

/// Prepares an operation's first step.
void begin(UringOperation& operation) noexcept {
  const BackendRequest& request = operation.request;
  operation.offset = kDataOffset.value() + request.offset.value();
  operation.length = request.length;
  switch (request.op) {
    case IoOp::read:
      operation.step = transferring;
      operation.kind = Kind::read;
      operation.data = request.data;
      break;
    case IoOp::write:
      operation.step = transferring;
      operation.kind = Kind::write;
      operation.data = request.data;
      operation.mode = durability(request);
      break;
    case IoOp::flush:
      operation.step = making_durable;
      operation.kind = Kind::sync_data;
      break;
    case IoOp::discard:
    case IoOp::write_zeroes:
      // A hole reads as zeroes, in a file and on a device, and takes no room.
      operation.step = allocating;
      operation.kind = Kind::allocate;
      operation.mode = kPunchHole;
      break;
  }
}

}  // namespace

UringStorage::UringStorage(UringQueue& queue, const ZeroPages& zeroes, const Resizer& resizer,
                           VolumeFile file, const Superblock& superblock)
    : queue_(queue),
      zeroes_(zeroes),
      resizer_(resizer),
      file_(std::move(file)),
      stored_(superblock),
      last_sequence_(superblock.sequence),
      store_buffer_(std::make_unique<StoreBuffer>()) {}

UringStorage::~UringStorage() {
  check(in_flight_ == 0, "a volume's storage is closed when nothing of it is in flight");
}

void UringStorage::start(const BackendRequest& request) noexcept {
  check(lies_within(request, stored_.state), "an operation lies within its volume, in whole blocks");
  UringOperation& operation = queue_.take();
  operation.fd = file_.fd.get();
  operation.handler = &data_handler_;
  operation.request = request;
  begin(operation);
  ++in_flight_;
  queue_.start(operation);
}

std::optional<StatusCode> UringStorage::DataHandler::on_result(UringOperation& operation,
                                                               int result) noexcept {
  if (is_temporary(result)) return std::nullopt;
  const auto status = storage_.next_piece(operation, result);
  if (status) --storage_.in_flight_;
  return status;
}

std::optional<StatusCode> UringStorage::next_piece(UringOperation& operation, int result) noexcept {
  switch (operation.step) {
    case transferring:
    case writing_zeroes:
      return after_transfer(operation, result);
    case allocating:
      return after_allocate(operation, result);
    default:
      return io_status(-result);
  }
}

std::optional<StatusCode> UringStorage::after_transfer(UringOperation& operation, int result) noexcept {
  if (result < 0) return io_status(-result);
  const auto done = static_cast<std::uint64_t>(result);
  // Nothing, or a part of a block, is no progress: a file that is too short, a broken device.
  if (done == 0 || done % stored_.state.block_size != 0) return StatusCode::io_error;
  operation.offset += done;
  operation.length -= done;
  if (operation.step == writing_zeroes) return write_next_zeroes(operation);
  if (operation.length == 0) return StatusCode::ok;
  operation.data += done;
  return std::nullopt;
}

std::optional<StatusCode> UringStorage::after_allocate(UringOperation& operation, int result) noexcept {
  if (is_unsupported(result)) {
    if (operation.request.op == IoOp::discard) return StatusCode::ok;  // any content will do: what was there
    if (operation.mode == kPunchHole) {
      operation.mode = kZeroRange;
      return std::nullopt;
    }
    operation.step = writing_zeroes;
    operation.kind = Kind::write;
    operation.mode = durability(operation.request);
    operation.data = zeroes_.data();
    return write_next_zeroes(operation);
  }
  if (result < 0 || !operation.request.durable) return io_status(-result);
  operation.step = making_durable;
  operation.kind = Kind::sync_data;
  return std::nullopt;
}

/// What is left is counted by the request, since `length` is the piece's.
std::optional<StatusCode> UringStorage::write_next_zeroes(UringOperation& operation) noexcept {
  const std::uint64_t end = kDataOffset.value() + operation.request.offset.value() + operation.request.length;
  if (operation.offset == end) return StatusCode::ok;
  operation.length = std::min<std::uint64_t>(ZeroPages::kBytes, end - operation.offset);
  return std::nullopt;
}

void UringStorage::start_store(const VolumeState& state, std::uint64_t tag) noexcept {
  check(!storing_, "one state is stored at a time");
  check(keeps_shape(stored_.state, state), "a store changes neither a volume's shape nor its existence");
  storing_ = true;
  being_stored_ = {.sequence = ++last_sequence_, .state = state};
  store_buffer_->bytes = encode(being_stored_);

  UringOperation& operation = queue_.take();
  operation.kind = Kind::write;
  operation.fd = file_.fd.get();
  operation.mode = RWF_DSYNC;
  operation.offset = kSuperblockOffsets[stale_copy_];
  operation.length = kSuperblockSize;
  operation.data = store_buffer_->bytes.data();
  operation.handler = &store_handler_;
  operation.request.tag = tag;
  ++in_flight_;
  queue_.start(operation);
}

std::optional<StatusCode> UringStorage::StoreHandler::on_result(UringOperation& operation,
                                                                int result) noexcept {
  if (is_temporary(result)) return std::nullopt;
  const auto status = storage_.next_copy(operation, result);
  if (status) {
    --storage_.in_flight_;
    storage_.storing_ = false;
  }
  return status;
}

std::optional<StatusCode> UringStorage::next_copy(UringOperation& operation, int result) noexcept {
  if (result < 0) return io_status(-result);
  if (static_cast<std::size_t>(result) != kSuperblockSize) return StatusCode::io_error;
  stale_copy_ = 1 - stale_copy_;
  if (operation.step++ == 0) {
    operation.offset = kSuperblockOffsets[stale_copy_];
    return std::nullopt;
  }
  stored_ = being_stored_;
  return StatusCode::ok;
}

Status UringStorage::resize(ByteCount size) {
  check(!storing_, "a volume isn't resized while its state is stored");
  VolumeState state = stored_.state;
  const ByteCount old_size = std::exchange(state.size, size);
  if (auto possible = check_shape(state); !possible) return possible;
  if (size > old_size) {
    if (auto done = resizer_.extend(file_, old_size, size); !done) return done;
  }
  if (size != old_size) {
    const Superblock resized{.sequence = ++last_sequence_, .state = state};
    if (auto done = write_superblock(file_, resized, stale_copy_); !done) return done;
    stale_copy_ = 1 - stale_copy_;
    if (auto done = write_superblock(file_, resized, stale_copy_); !done) return done;
    stored_ = resized;
  }
  // Also when it has this size already: an earlier try may have ended before this.
  return size <= old_size ? resizer_.cut(file_, old_size, size) : Status{};
}

}  // namespace sluice::storage_node
