#include "storage_node/backends/volume_directory.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <memory>
#include <string_view>
#include <utility>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "storage_node/backends/storage_errors.h"

namespace sluice::storage_node {
namespace {

constexpr mode_t kFileMode = 0600;
constexpr std::string_view kVolumeSuffix = ".volume";
constexpr std::string_view kNewSuffix = ".new";

std::string file_name(VolumeId volume, std::string_view suffix) {
  return std::to_string(volume.value()) + std::string(suffix);
}

/// The volume whose file with this suffix has this name.
std::optional<VolumeId> volume_of(std::string_view name, std::string_view suffix) {
  if (!name.ends_with(suffix)) return std::nullopt;
  name.remove_suffix(suffix.size());
  std::uint64_t id = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), id);
  if (error != std::errc() || end != name.data() + name.size() || id == 0) return std::nullopt;
  // "012.volume" is nobody's: each volume has one name.
  if (std::to_string(id) != name) return std::nullopt;
  return VolumeId(id);
}

off_t file_size(ByteCount volume_size) {
  return static_cast<off_t>(kDataOffset.value() + volume_size.value());
}

Status set_size(const VolumeFile& file, off_t size) {
  if (ftruncate(file.fd.get(), size) != 0) {
    return fail_io(errno, file.name + ": make it " + std::to_string(size) + " bytes long");
  }
  if (fsync(file.fd.get()) != 0) return fail_io(errno, file.name + ": sync");
  return {};
}

Status check_name(const VolumeFile& file, VolumeId volume, const VolumeState& state) {
  if (state.volume == volume) return {};
  return fail(StatusCode::malformed, file.name + " holds volume " + std::to_string(state.volume.value()) +
                                         ": it was copied or renamed; move it away");
}

}  // namespace

Result<VolumeDirectory> VolumeDirectory::open(const DataDirectory& directory, ReactorShare share,
                                              LogSink log) {
  std::string path = directory.path() + "/volumes";
  FileHandle fd(openat(directory.fd(), "volumes", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail_errno(errno, "open " + path);
  return VolumeDirectory(std::move(path), std::move(fd), share, std::move(log));
}

VolumeDirectory::VolumeDirectory(std::string path, FileHandle directory, ReactorShare share,
                                 LogSink log) noexcept
    : path_(std::move(path)), directory_(std::move(directory)), share_(share), log_(std::move(log)) {}

Result<VolumeFile> VolumeDirectory::open_file(const std::string& name, int flags) const {
  const std::string path = path_ + "/" + name;
  FileHandle fd(
      openat(directory_.get(), name.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC | O_NOFOLLOW | flags, kFileMode));
  if (fd) return VolumeFile{.fd = std::move(fd), .name = path};
  if (errno == ENOENT) return fail(StatusCode::not_found, path + " doesn't exist");
  if (errno == EINVAL) {
    return fail(StatusCode::invalid_argument,
                path +
                    ": its file system has no direct IO (O_DIRECT), as tmpfs and some network file systems "
                    "haven't: put the data directory on ext4 or XFS");
  }
  return fail_io(errno, "open " + path);
}

Result<std::vector<VolumeId>> VolumeDirectory::scan() const {
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(opendir(path_.c_str()), closedir);
  if (stream == nullptr) return fail_io(errno, "list " + path_);
  std::vector<VolumeId> volumes;
  for (errno = 0; const dirent* entry = readdir(stream.get()); errno = 0) {
    const std::string name = entry->d_name;
    if (const auto volume = volume_of(name, kVolumeSuffix)) {
      if (share_.has(*volume)) volumes.push_back(*volume);
    } else if (const auto unfinished = volume_of(name, kNewSuffix)) {
      if (share_.has(*unfinished)) unlinkat(directory_.get(), name.c_str(), 0);
    } else if (name != "." && name != ".." && share_.index == 0) {
      log_line(log_, LogLevel::warning, path_ + "/" + name + " isn't a volume's file; it is ignored");
    }
  }
  if (errno != 0) return fail_io(errno, "list " + path_);
  std::sort(volumes.begin(), volumes.end());
  return volumes;
}

Result<std::vector<VolumeState>> VolumeDirectory::list() const {
  const auto volumes = scan();
  if (!volumes) return tl::unexpected(volumes.error());
  std::vector<VolumeState> states;
  for (const VolumeId volume : *volumes) {
    auto state = find(volume);
    if (!state) return tl::unexpected(state.error());
    if (*state) states.push_back(**state);
  }
  return states;
}

Result<std::optional<VolumeState>> VolumeDirectory::find(VolumeId volume) const {
  auto file = open_file(file_name(volume, kVolumeSuffix), 0);
  if (!file && file.error().code == StatusCode::not_found) return std::optional<VolumeState>();
  if (!file) return tl::unexpected(file.error());
  const auto pair = read_superblocks(*file);
  if (!pair) return tl::unexpected(pair.error());
  const VolumeState& state = pair->newest.state;
  if (auto named = check_name(*file, volume, state); !named) return tl::unexpected(named.error());
  return std::optional<VolumeState>(state);
}

Result<VolumeDirectory::Opened> VolumeDirectory::open_locked(VolumeId volume) const {
  auto file = open_file(file_name(volume, kVolumeSuffix), 0);
  if (!file) return tl::unexpected(file.error());
  if (auto locked = lock_exclusively(*file); !locked) return tl::unexpected(locked.error());
  auto superblock = read_and_repair(*file, log_);
  if (!superblock) return tl::unexpected(superblock.error());
  if (auto named = check_name(*file, volume, superblock->state); !named) return tl::unexpected(named.error());
  return Opened{.file = std::move(*file), .superblock = *superblock};
}

Status VolumeDirectory::create(const VolumeState& state) const {
  const std::string temporary = file_name(state.volume, kNewSuffix);
  auto file = open_file(temporary, O_CREAT | O_TRUNC);
  if (!file) return tl::unexpected(file.error());
  Status made = fill_new_file(*file, state);
  if (made && renameat(directory_.get(), temporary.c_str(), directory_.get(),
                       file_name(state.volume, kVolumeSuffix).c_str()) != 0) {
    made = fail_io(errno, "rename " + file->name);
  }
  if (!made) {
    unlinkat(directory_.get(), temporary.c_str(), 0);
    return made;
  }
  return sync_directory(directory_.get(), path_);
}

Status VolumeDirectory::fill_new_file(const VolumeFile& file, const VolumeState& state) const {
  // Each superblock whole and allocated, so that a later store needs no room.
  if (auto done = write_superblocks(file, {.sequence = 1, .state = state}, 0); !done) return done;
  if (auto done = set_size(file, file_size(state.size)); !done) return done;
  return state.removed ? Status{} : check_direct_io(file, state.block_size);
}

Status VolumeDirectory::revive(const Opened& tombstone, const VolumeState& state) const {
  if (auto done = set_size(tombstone.file, file_size(state.size)); !done) return done;
  if (auto done = check_direct_io(tombstone.file, state.block_size); !done) return done;
  return write_superblocks(tombstone.file,
                           {.sequence = tombstone.superblock.sequence + 1,
                            .state = with_fence_of(state, tombstone.superblock.state)},
                           0);
}

Status VolumeDirectory::bury(const Opened& volume) const {
  const Superblock superblock{.sequence = volume.superblock.sequence + 1,
                              .state = tombstone_of(volume.superblock.state)};
  if (auto done = write_superblocks(volume.file, superblock, 0); !done) return done;
  return set_size(volume.file, file_size(ByteCount(0)));
}

Status VolumeDirectory::forget(VolumeId volume) const {
  if (unlinkat(directory_.get(), file_name(volume, kVolumeSuffix).c_str(), 0) != 0) {
    if (errno == ENOENT) return {};
    return fail_io(errno,
                   "remove the tombstone of volume " + std::to_string(volume.value()) + " in " + path_);
  }
  return sync_directory(directory_.get(), path_);
}

}  // namespace sluice::storage_node
