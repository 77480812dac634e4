#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "protocol/base/status.h"

namespace sluice::cli {

/// A raw disk image: a file, or a block device. Holes are told from data where the file system can.
class ImageFile {
 public:
  /// For reading. Errors: those of opening it, and what is neither file nor block device.
  static Result<std::unique_ptr<ImageFile>> open(const std::string& path);
  /// For writing `size` bytes: a new file, or with `overwrite` whatever is there. Errors: already_exists.
  static Result<std::unique_ptr<ImageFile>> create(const std::string& path, std::uint64_t size,
                                                   bool overwrite);

  ImageFile(const ImageFile&) = delete;
  ImageFile& operator=(const ImageFile&) = delete;
  ~ImageFile();

  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }

  /// A stretch of the file from `offset` that is a hole, or isn't. Its end lies after `offset`.
  struct Stretch {
    bool is_hole = false;
    std::uint64_t end = 0;
  };
  [[nodiscard]] Stretch stretch_at(std::uint64_t offset) const noexcept;

  /// Fills `into`; what lies beyond the end is zeroes.
  [[nodiscard]] Status read(std::uint64_t offset, std::span<std::byte> into) const;
  /// Writes what lies before the end; zeroes are left out where the file reads as zeroes anyway.
  [[nodiscard]] Status write(std::uint64_t offset, std::span<const std::byte> data) const;
  /// All of it is durable.
  [[nodiscard]] Status sync() const;

 private:
  ImageFile(std::string path, int fd, std::uint64_t size, bool reads_as_zeroes) noexcept;

  std::string path_;
  int fd_;
  std::uint64_t size_;
  bool reads_as_zeroes_;  ///< what isn't written is a hole
};

[[nodiscard]] bool is_all_zero(std::span<const std::byte> data) noexcept;

}  // namespace sluice::cli
