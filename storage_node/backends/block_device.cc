#include "storage_node/backends/block_device.h"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <set>
#include <utility>

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "storage_node/backends/storage_errors.h"
#include "storage_node/backends/zero_pages.h"

namespace sluice::storage_node {
namespace {

/// Longer ranges are cut, so that no system call lasts for minutes.
constexpr std::uint64_t kLongestRange = std::uint64_t{1} << 30U;

Result<VolumeFile> open_with(const std::string& path, int flags) {
  FileHandle fd(open(path.c_str(), O_DIRECT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | flags));
  if (!fd && errno == EBUSY) {
    return fail(StatusCode::busy,
                "device " + path + " is mounted or claimed by the system or another process");
  }
  if (!fd && errno == ENOENT) return fail(StatusCode::not_found, "device " + path + " doesn't exist");
  if (!fd && errno == EINVAL) return fail(StatusCode::invalid_argument, path + " isn't a block device");
  if (!fd) return fail_errno(errno, "open device " + path);
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) return fail_io(errno, "look at device " + path);
  if (!S_ISBLK(info.st_mode)) return fail(StatusCode::invalid_argument, path + " isn't a block device");
  return VolumeFile{.fd = std::move(fd), .name = path};
}

bool is_zero(std::span<const std::byte> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte byte) { return byte == std::byte{0}; });
}

/// Whether the whole of what lies before the data is zeroes.
Result<bool> starts_with_zeroes(const VolumeFile& device) {
  const ZeroPages buffer;  // overwritten by the read: it has the size and the alignment
  static_assert(ZeroPages::kBytes == kDataOffset.value());
  const ssize_t got = pread(device.fd.get(), buffer.data(), ZeroPages::kBytes, 0);
  if (got < 0) return fail_io(errno, "read device " + device.name);
  return is_zero({buffer.data(), static_cast<std::size_t>(got)});
}

bool is_unsupported(int errno_value) {
  return errno_value == EOPNOTSUPP || errno_value == ENOSYS || errno_value == ENODEV;
}

bool change_range(const VolumeFile& device, int mode, std::uint64_t offset, std::uint64_t length) {
  return fallocate(device.fd.get(), mode | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                   static_cast<off_t>(length)) == 0;
}

Status zero_piece(const VolumeFile& device, std::uint64_t offset, std::uint64_t length) {
  if (change_range(device, FALLOC_FL_PUNCH_HOLE, offset, length)) return {};
  if (is_unsupported(errno) && change_range(device, FALLOC_FL_ZERO_RANGE, offset, length)) return {};
  return fail_io(errno, "zero a part of device " + device.name);
}

Status check_room(const VolumeFile& device) {
  const auto size = device_size(device);
  if (!size) return tl::unexpected(size.error());
  if (*size > kDataOffset) return {};
  return fail(StatusCode::invalid_argument,
              "device " + device.name + " has " + std::to_string(size->value()) +
                  " bytes: the first MiB is for the superblock, and nothing is left");
}

Status wipe_device(const std::string& path, const LogSink& log) {
  const auto device = claim_device(path);
  if (!device) return tl::unexpected(device.error());
  log_line(log, LogLevel::warning, "device " + path + " is wiped, as the configuration asks");
  return zero_durably(*device, 0, kDataOffset.value());
}

Status prepare_device(const std::string& path, bool may_wipe, std::set<dev_t>& seen, const LogSink& log) {
  const auto device = open_device(path);
  if (!device) return tl::unexpected(device.error());
  struct stat info {};
  if (fstat(device->fd.get(), &info) != 0) return fail_io(errno, "look at device " + path);
  if (!seen.insert(info.st_rdev).second) {
    return fail(StatusCode::invalid_argument,
                "device " + path + " is listed twice, perhaps under another name");
  }
  if (auto room = check_room(*device); !room) return room;
  const auto content = look_at(*device);
  if (!content) return tl::unexpected(content.error());
  if (*content == DeviceContent::volume) return {};
  const auto blank = starts_with_zeroes(*device);
  if (!blank) return tl::unexpected(blank.error());
  if (*blank) return {};
  if (may_wipe) return wipe_device(path, log);
  return fail(
      StatusCode::malformed,
      "device " + path +
          " holds neither a volume with an intact superblock nor zeroes in its first MiB: it is somebody "
          "else's, or a damaged volume. If its content may be destroyed, list it under `wipe`, too");
}

}  // namespace

Result<VolumeFile> open_device(const std::string& path) {
  return open_with(path, O_RDONLY);
}

Result<VolumeFile> claim_device(const std::string& path) {
  auto device = open_with(path, O_RDWR | O_EXCL);
  if (!device) return device;
  if (auto locked = lock_exclusively(*device); !locked) return tl::unexpected(locked.error());
  return device;
}

Result<ByteCount> device_size(const VolumeFile& device) {
  std::uint64_t bytes = 0;
  if (ioctl(device.fd.get(), BLKGETSIZE64, &bytes) != 0)
    return fail_io(errno, "size of device " + device.name);
  return ByteCount(bytes);
}

Result<DeviceContent> look_at(const VolumeFile& device) {
  const auto copies = read_copies(device);
  if (!copies) return tl::unexpected(copies.error());
  if (is_intact((*copies)[0]) || is_intact((*copies)[1])) return DeviceContent::volume;
  return is_zero((*copies)[0]) && is_zero((*copies)[1]) ? DeviceContent::blank : DeviceContent::unknown;
}

Status zero_durably(const VolumeFile& device, std::uint64_t offset, std::uint64_t length) {
  for (const std::uint64_t end = offset + length; offset < end;) {
    const std::uint64_t piece = std::min(kLongestRange, end - offset);
    if (auto done = zero_piece(device, offset, piece); !done) return done;
    offset += piece;
  }
  if (fsync(device.fd.get()) != 0) return fail_io(errno, "sync device " + device.name);
  return {};
}

void discard(const VolumeFile& device, std::uint64_t offset, std::uint64_t length) {
  for (const std::uint64_t end = offset + length; offset < end;) {
    const std::uint64_t piece = std::min(kLongestRange, end - offset);
    if (!change_range(device, FALLOC_FL_PUNCH_HOLE, offset, piece)) return;
    offset += piece;
  }
}

Status prepare_devices(const std::vector<std::string>& devices, const std::vector<std::string>& wipe,
                       const LogSink& log) {
  if (devices.empty()) {
    return fail(StatusCode::invalid_argument, "the block backend has no devices: list at least one");
  }
  for (const std::string& path : wipe) {
    if (std::find(devices.begin(), devices.end(), path) == devices.end()) {
      return fail(StatusCode::invalid_argument,
                  "device " + path + " is under `wipe`, but isn't one of the devices");
    }
  }
  std::set<dev_t> seen;
  for (const std::string& path : devices) {
    const bool may_wipe = std::find(wipe.begin(), wipe.end(), path) != wipe.end();
    if (auto ready = prepare_device(path, may_wipe, seen, log); !ready) return ready;
  }
  return {};
}

}  // namespace sluice::storage_node
