#include "storage_node/backends/file_backend.h"

#include <algorithm>
#include <cerrno>
#include <string>

#include <sys/stat.h>
#include <sys/statvfs.h>

#include "protocol/base/check.h"
#include "storage_node/backends/storage_errors.h"

namespace sluice::storage_node {
namespace {

Status set_volume_size(const VolumeFile& file, ByteCount size) {
  const auto bytes = static_cast<off_t>(kDataOffset.value() + size.value());
  if (ftruncate(file.fd.get(), bytes) == 0) return {};
  return fail_io(errno, file.name + ": make it " + std::to_string(bytes) + " bytes long");
}

Status sync_file(const VolumeFile& file) {
  if (fsync(file.fd.get()) == 0) return {};
  return fail_io(errno, file.name + ": sync");
}

Status check_length(const VolumeFile& file, const VolumeState& state) {
  struct stat info {};
  if (fstat(file.fd.get(), &info) != 0) return fail_io(errno, file.name + ": look at it");
  const std::uint64_t needed = kDataOffset.value() + state.size.value();
  if (static_cast<std::uint64_t>(info.st_size) >= needed) return {};
  return fail(StatusCode::malformed, file.name + " is " + std::to_string(info.st_size) +
                                         " bytes long instead of " + std::to_string(needed) +
                                         ": a part of the volume is lost");
}

}  // namespace

Result<std::unique_ptr<FileBackend>> FileBackend::open(const DataDirectory& directory, ByteCount reserve,
                                                       ReactorShare share, const LogSink& log) {
  auto volumes = VolumeDirectory::open(directory, share, log);
  if (!volumes) return tl::unexpected(volumes.error());
  auto queue = UringQueue::create(log);
  if (!queue) return tl::unexpected(queue.error());
  return std::unique_ptr<FileBackend>(new FileBackend(std::move(*queue), std::move(*volumes), reserve));
}

Status FileBackend::create(const VolumeState& state) {
  if (auto possible = check_shape(state); !possible) return possible;
  const auto existing = volumes_.find(state.volume);
  if (!existing) return tl::unexpected(existing.error());
  if (!*existing) return volumes_.create(state);
  if ((*existing)->removed) {
    const auto tombstone = volumes_.open_locked(state.volume);
    if (!tombstone) return tl::unexpected(tombstone.error());
    return volumes_.revive(*tombstone, state);
  }
  return check_same_shape(**existing, state);
}

Result<std::unique_ptr<VolumeStorage>> FileBackend::open(VolumeId volume) {
  auto opened = volumes_.open_locked(volume);
  if (!opened) return tl::unexpected(opened.error());
  const VolumeState& state = opened->superblock.state;
  if (state.removed) return fail(StatusCode::not_found, opened->file.name + ": the volume was removed");
  if (auto whole = check_length(opened->file, state); !whole) return tl::unexpected(whole.error());
  if (auto direct = check_direct_io(opened->file, state.block_size); !direct)
    return tl::unexpected(direct.error());
  return std::make_unique<UringStorage>(queue(), zeroes(), resizer_, std::move(opened->file),
                                        opened->superblock);
}

Status FileBackend::remove(VolumeId volume) {
  const auto opened = volumes_.open_locked(volume);
  if (!opened && opened.error().code == StatusCode::not_found) return {};
  if (!opened) return tl::unexpected(opened.error());
  return volumes_.bury(*opened);
}

Result<BackendSpace> FileBackend::space() {
  struct statvfs info {};
  if (fstatvfs(volumes_.fd(), &info) != 0)
    return fail_io(errno, "look at the file system of " + volumes_.path());
  const std::uint64_t free = std::uint64_t{info.f_bavail} * info.f_frsize;
  return BackendSpace{.capacity = ByteCount(std::uint64_t{info.f_blocks} * info.f_frsize),
                      .free = ByteCount(free - std::min(free, reserve_.value()))};
}

Status FileBackend::FileResizer::extend(const VolumeFile& file, ByteCount from, ByteCount to) const {
  // Cuts off what an unfinished resize may have left there, so that what is added reads as zeroes.
  if (auto done = set_volume_size(file, from); !done) return done;
  if (auto done = set_volume_size(file, to); !done) return done;
  return sync_file(file);
}

Status FileBackend::FileResizer::cut(const VolumeFile& file, ByteCount /*from*/, ByteCount to) const {
  if (auto done = set_volume_size(file, to); !done) return done;
  return sync_file(file);
}

}  // namespace sluice::storage_node
