#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "protocol/base/status.h"

namespace sluice::stamp {

/// What a load knows of each block, in a file that outlives the load's process: the version that was last
/// sent and the one that was last acknowledged. Each is written before the write is sent, and after it was
/// acknowledged, so that at any moment the block's content lies between the two. A load has it alone: one
/// that was stopped, and goes on late, would note what was true when it was stopped.
class Journal {
 public:
  struct Entry {
    std::uint64_t sent = 0;
    std::uint64_t acknowledged = 0;
  };

  enum class Use : std::uint8_t {
    load,   ///< by one at a time, until it is destroyed or its process ends
    check,  ///< at any time, and nothing is noted
  };

  /// Opens the file or makes it, for so many blocks. Errors: busy (another load has it), invalid_argument
  /// (made for another number of blocks), or what the system says.
  static Result<std::unique_ptr<Journal>> open(const std::string& path, std::uint64_t block_count, Use use);
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;
  ~Journal();

  [[nodiscard]] const Entry& of(std::uint64_t block) const { return entries_.at(block); }
  [[nodiscard]] std::uint64_t block_count() const noexcept { return entries_.size(); }
  Status note_sent(std::uint64_t block, std::uint64_t version);
  Status note_acknowledged(std::uint64_t block, std::uint64_t version);

 private:
  Journal(std::string path, int fd, std::vector<Entry> entries)
      : path_(std::move(path)), fd_(fd), entries_(std::move(entries)) {}
  Status store(std::uint64_t block);

  std::string path_;
  int fd_;
  std::vector<Entry> entries_;
};

}  // namespace sluice::stamp
