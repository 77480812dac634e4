#include "client/cli/image_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace sluice::cli {
namespace {

/// Zeroes are looked for in pieces of this size, bytes.
constexpr std::size_t kGrain = 65536;

/// The end of a file or block device, and whether it is a file. Nothing for anything else.
Result<std::pair<std::uint64_t, bool>> measure(int fd, const std::string& path) {
  struct stat info {};
  if (fstat(fd, &info) != 0) return fail_errno(errno, "look at " + path);
  const bool is_file = S_ISREG(info.st_mode);
  if (!is_file && !S_ISBLK(info.st_mode)) {
    return fail(StatusCode::invalid_argument, path + " is neither a file nor a block device");
  }
  const off_t end = lseek(fd, 0, SEEK_END);
  if (end < 0) return fail_errno(errno, "find the end of " + path);
  return std::pair(static_cast<std::uint64_t>(end), is_file);
}

}  // namespace

ImageFile::ImageFile(std::string path, int fd, std::uint64_t size, bool reads_as_zeroes) noexcept
    : path_(std::move(path)), fd_(fd), size_(size), reads_as_zeroes_(reads_as_zeroes) {}

ImageFile::~ImageFile() {
  close(fd_);
}

Result<std::unique_ptr<ImageFile>> ImageFile::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail_errno(errno, "open " + path);
  std::unique_ptr<ImageFile> file(new ImageFile(path, fd, 0, false));
  const auto measured = measure(fd, path);
  if (!measured) return tl::unexpected(measured.error());
  file->size_ = measured->first;
  return file;
}

Result<std::unique_ptr<ImageFile>> ImageFile::create(const std::string& path, std::uint64_t size,
                                                     bool overwrite) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_CREAT | (overwrite ? 0 : O_EXCL), 0644);
  if (fd < 0 && errno == EEXIST) {
    return fail(StatusCode::already_exists, path + " is there already; add --force to overwrite it");
  }
  if (fd < 0) return fail_errno(errno, "create " + path);
  std::unique_ptr<ImageFile> file(new ImageFile(path, fd, size, false));
  const auto measured = measure(fd, path);
  if (!measured) return tl::unexpected(measured.error());
  const auto [end, is_file] = *measured;
  if (is_file) {
    if (ftruncate(fd, 0) != 0 || ftruncate(fd, static_cast<off_t>(size)) != 0) {
      return fail_errno(errno, "give " + path + " its size");
    }
    file->reads_as_zeroes_ = true;
  } else if (end < size) {
    return fail(StatusCode::no_space,
                path + " has " + std::to_string(end) + " bytes, the volume has " + std::to_string(size));
  }
  return file;
}

ImageFile::Stretch ImageFile::stretch_at(std::uint64_t offset) const noexcept {
  const off_t data = lseek(fd_, static_cast<off_t>(offset), SEEK_DATA);
  if (data < 0) {
    // ENXIO: no data from here on. Anything else: holes can't be told, so all is data.
    return {.is_hole = errno == ENXIO, .end = size_};
  }
  if (static_cast<std::uint64_t>(data) > offset) {
    return {.is_hole = true, .end = static_cast<std::uint64_t>(data)};
  }
  const off_t hole = lseek(fd_, data, SEEK_HOLE);
  return {.is_hole = false, .end = hole > data ? static_cast<std::uint64_t>(hole) : size_};
}

Status ImageFile::read(std::uint64_t offset, std::span<std::byte> into) const {
  while (!into.empty()) {
    const ssize_t got = pread(fd_, into.data(), into.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(errno, "read " + path_ + " at " + std::to_string(offset));
    if (got == 0) break;
    offset += static_cast<std::uint64_t>(got);
    into = into.subspan(static_cast<std::size_t>(got));
  }
  std::fill(into.begin(), into.end(), std::byte{0});
  return {};
}

Status ImageFile::write(std::uint64_t offset, std::span<const std::byte> data) const {
  if (offset >= size_) return {};
  data = data.first(std::min<std::uint64_t>(data.size(), size_ - offset));
  while (!data.empty()) {
    const std::span<const std::byte> piece = data.first(std::min(data.size(), kGrain));
    std::size_t written = piece.size();
    if (!reads_as_zeroes_ || !is_all_zero(piece)) {
      const ssize_t put = pwrite(fd_, piece.data(), piece.size(), static_cast<off_t>(offset));
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) return fail_errno(errno, "write " + path_ + " at " + std::to_string(offset));
      written = static_cast<std::size_t>(put);
    }
    offset += written;
    data = data.subspan(written);
  }
  return {};
}

Status ImageFile::sync() const {
  if (fsync(fd_) != 0) return fail_errno(errno, "make " + path_ + " durable");
  return {};
}

bool is_all_zero(std::span<const std::byte> data) noexcept {
  // If the first byte is zero and each one equals the next, all are.
  return data.empty() ||
         (data.front() == std::byte{0} && std::memcmp(data.data(), data.data() + 1, data.size() - 1) == 0);
}

}  // namespace sluice::cli
