#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "protocol/base/status.h"
#include "protocol/base/units.h"
#include "protocol/io_frame.h"

/// Where a storage node keeps its volumes: files, block devices, memory; later a shared engine such as Ceph
/// RADOS. One Backend for each reactor, used by its thread alone.
namespace sluice::storage_node {

/// Offsets and sizes stay far from overflow, and fit a signed file offset with the superblocks.
inline constexpr ByteCount kMaxVolumeSize{std::uint64_t{1} << 60U};

/// What a volume's storage says of itself, durable.
struct VolumeState {
  VolumeId volume{};
  ByteCount size{};
  std::uint32_t block_size = 0;      ///< bytes
  Gvn fence{};                       ///< the highest GVN accepted here; 0: never had a session
  ManagerVersion manager_version{};  ///< the highest seen when the fence was stored
  bool write_back_open = false;      ///< P4: acknowledged writes may be in volatile memory
  bool incomplete = false;           ///< a copy into it hasn't finished: it holds no usable data
  bool removed = false;  ///< a tombstone: only the volume's fence is left, size and block size are 0

  friend constexpr bool operator==(const VolumeState&, const VolumeState&) = default;
};

/// Whether a volume can be created so: an id, blocks of 512 or 4096 bytes, at least one of them, no part of
/// one. Errors: invalid_argument, saying what is wrong.
[[nodiscard]] Status check_shape(const VolumeState& state);

/// For a volume that is to be created and is there: ok if size and block size are the same. Errors:
/// already_exists.
[[nodiscard]] Status check_same_shape(const VolumeState& existing, const VolumeState& wanted);

/// One operation of a volume, in its bounds.
struct BackendRequest {
  protocol::IoOp op = protocol::IoOp::flush;
  /// Stable before the completion. Always asked for in a write_through volume (P4).
  bool durable = false;
  ByteCount offset;           ///< a multiple of the block size
  std::uint32_t length = 0;   ///< bytes, a multiple of the block size
  std::byte* data = nullptr;  ///< read and write: inside the registered buffers, aligned to 4096 bytes
  std::uint64_t tag = 0;      ///< comes back with the completion
};

/// `status`: ok, io_error or no_space. Definitive: nothing of the operation happens any more.
struct BackendCompletion {
  std::uint64_t tag = 0;
  StatusCode status = StatusCode::ok;
};

/// One volume's storage, open and locked: all of its IO goes through one open file description under an
/// exclusive lock (F2). Nothing may be in flight when it is destroyed.
class VolumeStorage {
 public:
  VolumeStorage() = default;
  VolumeStorage(const VolumeStorage&) = delete;
  VolumeStorage& operator=(const VolumeStorage&) = delete;
  virtual ~VolumeStorage() = default;

  /// As it was opened, or last stored or resized with success.
  [[nodiscard]] virtual const VolumeState& state() const noexcept = 0;

  /// Starts an operation; it leaves with the backend's next submit(). There is always room: what the kernel
  /// has no room for waits inside. A short read or write counts as io_error.
  virtual void start(const BackendRequest& request) noexcept = 0;

  /// Starts to make `state` durable: after a completion with ok it is what the next open() finds, after
  /// another one or a crash it is that or the one before. One at a time. Only `fence`, `manager_version` and
  /// the flags but `removed` may change.
  virtual void start_store(const VolumeState& state, std::uint64_t tag) noexcept = 0;

  /// Changes the size, durably; what is added reads as zeroes. A smaller size gives the space back: nothing
  /// may be in flight beyond it. Not while a state is being stored. May take a few system calls.
  /// Errors: no_space, io_error, invalid_argument (this storage can't be of that size).
  virtual Status resize(ByteCount size) = 0;
};

struct BackendSpace {
  ByteCount capacity;
  ByteCount free;
};

class Backend {
 public:
  Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;
  virtual ~Backend() = default;

  // ---- Volumes. These may take a few system calls.

  /// The volumes of this reactor that the storage holds, whoever has them locked, and the tombstones of those
  /// it held, in the order of their ids. Errors: io_error, malformed, version_mismatch or unsupported
  /// (written by a later version), naming the file: a node that can't tell its fences doesn't start.
  virtual Result<std::vector<VolumeState>> list() = 0;
  /// Makes storage for a volume, durably, all zeroes. `state` has its size, block size, `incomplete`, and a
  /// fence if it moves here; a tombstone's higher fence stays. ok if it is there already with the same size
  /// and block size, whatever its state. Errors: no_space, already_exists (with another shape), busy,
  /// io_error, invalid_argument (a shape that this storage can't have).
  virtual Status create(const VolumeState& state) = 0;
  /// Errors: busy (another process has its lock, or a dead one whose IO hasn't landed; names it where it can:
  /// try again later), not_found (also for a tombstone), io_error, malformed.
  virtual Result<std::unique_ptr<VolumeStorage>> open(VolumeId volume) = 0;
  /// Gives a volume's storage back and leaves a tombstone with its fence, durably. It isn't open. ok if there
  /// is none. Errors: busy (as with open), no_space, io_error, malformed.
  virtual Status remove(VolumeId volume) = 0;
  /// The whole node's, whichever reactor asks.
  virtual Result<BackendSpace> space() = 0;

  // ---- The data path

  /// The data of requests lies in `buffers` from now on. Once, before the first request. Where the system
  /// refuses to pin them, IO goes on without and a line is logged that says why. Errors: invalid_argument
  /// (not aligned to 4096 bytes).
  virtual Status register_buffers(std::span<std::byte> buffers) = 0;
  /// Hands what was started to the kernel, in one call.
  virtual void submit() noexcept = 0;
  /// Takes completions of all volumes; never waits.
  virtual std::size_t poll(std::span<BackendCompletion> out) noexcept = 0;

  /// Readable when arm() was called and there is a completion. -1: it has none, poll.
  [[nodiscard]] virtual int wait_fd() const noexcept = 0;
  /// False: there is a completion already.
  virtual bool arm() noexcept = 0;
};

}  // namespace sluice::storage_node
