#include "storage_node/backends/volume_file.h"

#include <cerrno>
#include <fstream>
#include <iomanip>
#include <memory>
#include <sstream>

#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>

#include "storage_node/backends/storage_errors.h"

namespace sluice::storage_node {
namespace {

/// Direct IO needs aligned memory.
struct alignas(kSuperblockSize) AlignedSuperblock {
  SuperblockBytes bytes;
};

/// "process 123 (sluice-node)" from /proc/locks; empty if it doesn't tell.
std::string lock_holder(int fd) {
  struct stat file {};
  if (fstat(fd, &file) != 0) return {};
  std::ostringstream key;  // "08:01:1234"
  key << std::hex << std::setfill('0') << std::setw(2) << major(file.st_dev) << ':' << std::setw(2)
      << minor(file.st_dev) << ':' << std::dec << file.st_ino;
  std::ifstream locks("/proc/locks");
  for (std::string line; std::getline(locks, line);) {
    std::istringstream words(line);
    std::string number, type, advisory, access, pid, where;
    words >> number >> type >> advisory >> access >> pid >> where;
    if (type != "FLOCK" || where != key.str()) continue;
    std::string holder = "process " + pid;
    std::string command;
    std::ifstream comm("/proc/" + pid + "/comm");
    if (!std::getline(comm, command)) return holder + ", which is dead but has IO that hasn't landed";
    return holder.append(" (").append(command).append(")");
  }
  return {};
}

}  // namespace

Status lock_exclusively(const VolumeFile& file) {
  while (flock(file.fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) return fail_errno(errno, file.name + ": lock it");
    const std::string holder = lock_holder(file.fd.get());
    return fail(StatusCode::busy,
                file.name + " is locked by " + (holder.empty() ? "another process" : holder));
  }
  return {};
}

Result<std::array<SuperblockBytes, 2>> read_copies(const VolumeFile& file) {
  const auto buffer = std::make_unique<AlignedSuperblock>();
  std::array<SuperblockBytes, 2> copies{};
  for (std::size_t copy = 0; copy < copies.size(); ++copy) {
    const ssize_t got = pread(file.fd.get(), buffer->bytes.data(), kSuperblockSize,
                              static_cast<off_t>(kSuperblockOffsets[copy]));
    if (got < 0) return fail_io(errno, file.name + ": read the superblock");
    // What a short file lacks stays zeroes, which no superblock is.
    if (got == static_cast<ssize_t>(kSuperblockSize)) copies[copy] = buffer->bytes;
  }
  return copies;
}

Result<SuperblockPair> read_superblocks(const VolumeFile& file) {
  const auto copies = read_copies(file);
  if (!copies) return tl::unexpected(copies.error());
  return decode_superblocks(*copies, file.name);
}

Status write_superblock(const VolumeFile& file, const Superblock& superblock, std::size_t copy) {
  const auto buffer = std::make_unique<AlignedSuperblock>();
  buffer->bytes = encode(superblock);
  const iovec piece{.iov_base = buffer->bytes.data(), .iov_len = kSuperblockSize};
  const ssize_t put =
      pwritev2(file.fd.get(), &piece, 1, static_cast<off_t>(kSuperblockOffsets[copy]), RWF_DSYNC);
  if (put < 0) return fail_io(errno, file.name + ": write the superblock");
  if (put != static_cast<ssize_t>(kSuperblockSize)) return fail_io(EIO, file.name + ": write the superblock");
  return {};
}

Status write_superblocks(const VolumeFile& file, const Superblock& superblock, std::size_t first) {
  if (auto done = write_superblock(file, superblock, first); !done) return done;
  return write_superblock(file, superblock, 1 - first);
}

Result<Superblock> read_and_repair(const VolumeFile& file, const LogSink& log) {
  auto pair = read_superblocks(file);
  if (!pair) return tl::unexpected(pair.error());
  if (!pair->same) {
    log_line(log, LogLevel::warning,
             file.name + ": copy " + (pair->stale == 0 ? "A" : "B") +
                 " of the superblock is damaged or older, as after a crash during a store; it is repaired");
    if (auto done = write_superblock(file, pair->newest, pair->stale); !done)
      return tl::unexpected(done.error());
  }
  return pair->newest;
}

Status check_direct_io(const VolumeFile& file, std::uint32_t block_size) {
  const auto buffer = std::make_unique<AlignedSuperblock>();
  // An offset that is a multiple of this size, and of no larger one.
  if (pread(file.fd.get(), buffer->bytes.data(), block_size, static_cast<off_t>(block_size)) >= 0) return {};
  if (errno != EINVAL) return fail_io(errno, file.name + ": read a block");
  return fail(StatusCode::invalid_argument,
              file.name + ": its disk can't write blocks of " + std::to_string(block_size) +
                  " bytes by themselves: make the volume with a block size of 4096, or on another disk");
}

}  // namespace sluice::storage_node
