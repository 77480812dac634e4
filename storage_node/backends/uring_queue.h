#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "protocol/base/log.h"
#include "protocol/base/status.h"
#include "storage_node/backend.h"
#include "storage_node/backends/file_handle.h"

struct io_uring;
struct io_uring_sqe;

namespace sluice::storage_node {

class UringHandler;

/// One operation on its way through the kernel, perhaps in several pieces.
struct UringOperation {
  enum class Kind : std::uint8_t { read, write, sync_data, allocate };

  Kind kind = Kind::read;
  int fd = -1;
  int mode = 0;  ///< read and write: RWF_ flags; allocate: FALLOC_FL_ flags
  std::uint64_t offset = 0;
  std::uint64_t length = 0;   ///< bytes; read and write: at most 1 GiB
  std::byte* data = nullptr;  ///< read and write

  UringHandler* handler = nullptr;  ///< outlives the operation
  BackendRequest request;           ///< the handler's own, like `step`; request.tag comes back in the end
  std::uint8_t step = 0;

  UringOperation* next = nullptr;  ///< the queue's
};

/// Told how a piece of an operation ended.
class UringHandler {
 public:
  UringHandler() = default;
  UringHandler(const UringHandler&) = delete;
  UringHandler& operator=(const UringHandler&) = delete;
  virtual ~UringHandler() = default;

  /// `result` as from the system call, errors as negative errno. A status: the operation is over. None: it
  /// has been changed to its next piece, which goes out with the next submit().
  virtual std::optional<StatusCode> on_result(UringOperation& operation, int result) noexcept = 0;
};

/// One io_uring, and a queue in front of it for what it has no room for. Nothing allocates once as many
/// operations as ever have been in flight. One thread.
class UringQueue {
 public:
  /// Errors: permission_denied, unsupported, out_of_memory; each says what to change.
  static Result<std::unique_ptr<UringQueue>> create(LogSink log);

  UringQueue(const UringQueue&) = delete;
  UringQueue& operator=(const UringQueue&) = delete;
  /// Nothing may be in flight.
  ~UringQueue();

  /// Registers memory, so that the kernel needn't look up and pin its pages for each operation. What can't be
  /// registered works all the same. Once.
  void register_buffers(std::span<std::byte> buffers);
  [[nodiscard]] bool has_registered_buffers() const noexcept { return buffer_count_ > 0; }

  /// An operation to fill in and start.
  [[nodiscard]] UringOperation& take() noexcept;
  void start(UringOperation& operation) noexcept;

  /// See Backend.
  void submit() noexcept;
  std::size_t poll(std::span<BackendCompletion> out) noexcept;
  [[nodiscard]] int wait_fd() const noexcept { return event_fd_.get(); }
  bool arm() noexcept;

 private:
  UringQueue(LogSink log, std::unique_ptr<io_uring> ring, FileHandle event_fd) noexcept;

  static constexpr std::size_t kChunkOperations = 256;
  using Chunk = std::array<UringOperation, kChunkOperations>;

  void grow();
  void prepare(io_uring_sqe& entry, const UringOperation& operation) const noexcept;
  [[nodiscard]] std::optional<unsigned> registered_buffer(const UringOperation& operation) const noexcept;
  [[nodiscard]] bool has_room() const noexcept;

  LogSink log_;
  std::unique_ptr<io_uring> ring_;
  FileHandle event_fd_;

  std::span<std::byte> buffers_;
  unsigned buffer_count_ = 0;

  std::vector<std::unique_ptr<Chunk>> chunks_;
  UringOperation* free_ = nullptr;
  UringOperation* first_waiting_ = nullptr;
  UringOperation* last_waiting_ = nullptr;
  unsigned in_kernel_ = 0;  ///< in the submission queue, or under way
  std::size_t taken_ = 0;
};

}  // namespace sluice::storage_node
