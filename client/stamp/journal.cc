#include "client/stamp/journal.h"

#include <cerrno>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace sluice::stamp {

Result<std::unique_ptr<Journal>> Journal::open(const std::string& path, std::uint64_t block_count, Use use) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return fail_errno(errno, "open the journal " + path);
  std::unique_ptr<Journal> journal(new Journal(path, fd, std::vector<Entry>(block_count)));
  if (use == Use::load && flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return fail_errno(errno, "lock the journal " + path);
    return fail(StatusCode::busy, "another load uses the journal " + path + ": give each load its own");
  }
  struct stat found {};
  if (fstat(fd, &found) != 0) return fail_errno(errno, "look at the journal " + path);
  const auto bytes = static_cast<off_t>(block_count * sizeof(Entry));
  if (found.st_size == 0) {
    if (ftruncate(fd, bytes) != 0) return fail_errno(errno, "make the journal " + path);
    return journal;
  }
  if (found.st_size != bytes) {
    return fail(StatusCode::invalid_argument,
                "the journal " + path + " is of another load: it has " +
                    std::to_string(static_cast<std::size_t>(found.st_size) / sizeof(Entry)) +
                    " blocks, not " + std::to_string(block_count));
  }
  if (pread(fd, journal->entries_.data(), static_cast<std::size_t>(bytes), 0) != bytes) {
    return fail_errno(errno, "read the journal " + path);
  }
  return journal;
}

Journal::~Journal() {
  close(fd_);
}

Status Journal::note_sent(std::uint64_t block, std::uint64_t version) {
  entries_.at(block).sent = version;
  return store(block);
}

Status Journal::note_acknowledged(std::uint64_t block, std::uint64_t version) {
  entries_.at(block).acknowledged = version;
  return store(block);
}

Status Journal::store(std::uint64_t block) {
  const auto at = static_cast<off_t>(block * sizeof(Entry));
  if (pwrite(fd_, &entries_[block], sizeof(Entry), at) == sizeof(Entry)) return {};
  return fail_errno(errno, "write the journal " + path_);
}

}  // namespace sluice::stamp
