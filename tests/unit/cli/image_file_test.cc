#include "client/cli/image_file.h"

#include <filesystem>
#include <fstream>
#include <vector>

#include <catch2/catch.hpp>
#include <sys/stat.h>
#include <unistd.h>

using sluice::cli::ImageFile;

namespace {

class Folder {
 public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "sluice_image_test.XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path_); }
  [[nodiscard]] std::string file(const char* name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

constexpr std::size_t kMegabyte = 1U << 20U;

}  // namespace

TEST_CASE("zeroes that are written become holes, all else is there") {
  const Folder folder;
  const std::string path = folder.file("image");
  std::vector<std::byte> data(kMegabyte, std::byte{0});
  {
    const auto file = ImageFile::create(path, 8 * kMegabyte, false);
    REQUIRE(file.has_value());
    REQUIRE((*file)->write(0, data).has_value());
    data[100'000] = std::byte{7};
    REQUIRE((*file)->write(4 * kMegabyte, data).has_value());
    // What lies beyond the end is cut off.
    REQUIRE((*file)->write(8 * kMegabyte - 512, data).has_value());
    REQUIRE((*file)->write(9 * kMegabyte, data).has_value());
    REQUIRE((*file)->sync().has_value());
  }
  struct stat info {};
  REQUIRE(stat(path.c_str(), &info) == 0);
  CHECK(info.st_size == static_cast<off_t>(8 * kMegabyte));
  CHECK(info.st_blocks * 512 < static_cast<off_t>(kMegabyte));

  const auto file = ImageFile::open(path);
  REQUIRE(file.has_value());
  CHECK((*file)->size() == 8 * kMegabyte);
  std::vector<std::byte> back(kMegabyte);
  REQUIRE((*file)->read(4 * kMegabyte, back).has_value());
  CHECK(back == data);
}

TEST_CASE("holes and data of a file are told apart") {
  const Folder folder;
  const std::string path = folder.file("image");
  {
    const auto file = ImageFile::create(path, 4 * kMegabyte, false);
    REQUIRE(file.has_value());
    const std::vector<std::byte> data(65536, std::byte{1});
    REQUIRE((*file)->write(kMegabyte, data).has_value());
  }
  const auto file = ImageFile::open(path);
  REQUIRE(file.has_value());
  const ImageFile::Stretch first = (*file)->stretch_at(0);
  const ImageFile::Stretch second = (*file)->stretch_at(kMegabyte);
  const ImageFile::Stretch third = (*file)->stretch_at(2 * kMegabyte);
  CHECK(first.end > 0);
  CHECK(first.end <= kMegabyte);
  CHECK_FALSE(second.is_hole);
  CHECK(second.end >= kMegabyte + 65536);
  CHECK(third.end == 4 * kMegabyte);
}

TEST_CASE("a read beyond the end brings zeroes") {
  const Folder folder;
  const std::string path = folder.file("image");
  std::ofstream(path) << "abc";
  const auto file = ImageFile::open(path);
  REQUIRE(file.has_value());
  std::vector<std::byte> data(8, std::byte{9});
  REQUIRE((*file)->read(0, data).has_value());
  CHECK(data[2] == std::byte{'c'});
  CHECK(sluice::cli::is_all_zero(std::span(data).subspan(3)));
}

TEST_CASE("a file that is there is overwritten only if asked for, and a wrong one is named") {
  const Folder folder;
  const std::string path = folder.file("image");
  std::ofstream(path) << "abc";
  const auto refused = ImageFile::create(path, 10, false);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().message.find("--force") != std::string::npos);
  CHECK(ImageFile::create(path, 10, true).has_value());
  CHECK(ImageFile::open(folder.file("none")).error().message.find("/none: No such file") !=
        std::string::npos);
  CHECK(ImageFile::open("/dev/null").error().message.find("neither a file nor a block device") !=
        std::string::npos);
}
