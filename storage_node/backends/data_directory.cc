#include "storage_node/backends/data_directory.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "storage_node/backends/storage_errors.h"

namespace sluice::storage_node {
namespace {

constexpr mode_t kDirectoryMode = 0700;
constexpr mode_t kFileMode = 0600;
constexpr std::size_t kLargestSmallFile = 4096;

Status make_directory(const std::string& path) {
  if (mkdir(path.c_str(), kDirectoryMode) == 0 || errno == EEXIST) return {};
  if (errno == ENOENT) {
    return fail(StatusCode::not_found, "data directory " + path + ": the directory above it doesn't exist");
  }
  return fail_errno(errno, "make data directory " + path);
}

Result<std::string> read_all(int fd, const std::string& path) {
  std::array<char, kLargestSmallFile> buffer;
  const ssize_t got = pread(fd, buffer.data(), buffer.size(), 0);
  if (got < 0) return fail_io(errno, "read " + path);
  return std::string(buffer.data(), static_cast<std::size_t>(got));
}

Status write_all(int fd, std::string_view content, const std::string& path) {
  const ssize_t put = pwrite(fd, content.data(), content.size(), 0);
  if (put < 0) return fail_io(errno, "write " + path);
  if (static_cast<std::size_t>(put) != content.size()) return fail_io(ENOSPC, "write " + path);
  if (fsync(fd) != 0) return fail_io(errno, "sync " + path);
  return {};
}

/// Locks DIR/lock and writes this process's id into it.
Result<FileHandle> take_lock(int directory, const std::string& path) {
  FileHandle lock(openat(directory, "lock", O_RDWR | O_CREAT | O_CLOEXEC, kFileMode));
  if (!lock) return fail_errno(errno, "open " + path + "/lock");
  while (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) return fail_errno(errno, "lock " + path + "/lock");
    std::string holder = read_all(lock.get(), path + "/lock").value_or("");
    while (!holder.empty() && holder.back() == '\n')
      holder.pop_back();
    return fail(StatusCode::busy, "data directory " + path + " is used by " +
                                      (holder.empty() ? "another process" : "process " + holder) +
                                      ": stop that node, or give this one a directory of its own");
  }
  if (ftruncate(lock.get(), 0) != 0) return fail_io(errno, "write " + path + "/lock");
  const std::string id = std::to_string(getpid()) + "\n";
  if (pwrite(lock.get(), id.data(), id.size(), 0) < 0) {
    // The id is for words in an error; a full disk is no reason not to serve what there is.
  }
  return lock;
}

}  // namespace

Result<std::unique_ptr<DataDirectory>> DataDirectory::open(const std::string& path) {
  if (auto made = make_directory(path); !made) return tl::unexpected(made.error());
  FileHandle directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return fail_errno(errno, "open data directory " + path);
  auto lock = take_lock(directory.get(), path);
  if (!lock) return tl::unexpected(lock.error());
  if (auto made = make_directory(path + "/volumes"); !made) return tl::unexpected(made.error());
  if (auto synced = sync_directory(directory.get(), path); !synced) return tl::unexpected(synced.error());
  return std::unique_ptr<DataDirectory>(new DataDirectory(path, std::move(directory), std::move(*lock)));
}

DataDirectory::DataDirectory(std::string path, FileHandle directory, FileHandle lock) noexcept
    : path_(std::move(path)), directory_(std::move(directory)), lock_(std::move(lock)) {}

Result<std::optional<std::string>> DataDirectory::read(const std::string& name) const {
  const std::string path = path_ + "/" + name;
  const FileHandle file(openat(directory_.get(), name.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file && errno == ENOENT) return std::optional<std::string>();
  if (!file) return fail_io(errno, "open " + path);
  auto content = read_all(file.get(), path);
  if (!content) return tl::unexpected(content.error());
  return std::optional<std::string>(std::move(*content));
}

Status DataDirectory::write(const std::string& name, std::string_view content) const {
  const std::string path = path_ + "/" + name;
  const std::string temporary = name + ".new";
  const FileHandle file(
      openat(directory_.get(), temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, kFileMode));
  if (!file) return fail_io(errno, "make " + path + ".new");
  if (auto written = write_all(file.get(), content, path + ".new"); !written) return written;
  if (renameat(directory_.get(), temporary.c_str(), directory_.get(), name.c_str()) != 0) {
    return fail_io(errno, "rename " + path + ".new");
  }
  return sync_directory(directory_.get(), path_);
}

Status sync_directory(int fd, std::string_view name) {
  if (fsync(fd) != 0) return fail_io(errno, "sync directory " + std::string(name));
  return {};
}

}  // namespace sluice::storage_node
