// What only files can go through: damage, a full file system, a second process.

#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "protocol/base/crc32c.h"
#include "storage_node/backends/volume_format.h"
#include "tests/contract/backend/file_store.h"
#include "tests/contract/backend/mounts.h"
#include "tests/contract/backend/stage.h"

namespace sluice::storage_node::contract {
namespace {

constexpr VolumeId kVolume{12};
constexpr std::uint32_t kPage = 4096;
constexpr Gvn kFence = make_gvn(ManagerVersion(3), OpenVersion(17));

/// A stage whose store's files the test may touch.
struct FileStage : Stage {
  FileStage() : FileStage(std::make_unique<FileStore>()) {}
  explicit FileStage(std::unique_ptr<FileStore> store) : FileStage(store.get(), store) {}

  [[nodiscard]] std::string path() const { return files->volume_path(kVolume); }
  /// A closed volume with this fence.
  void make_volume(Gvn fence) {
    const auto storage = create_and_open(kVolume, kPage);
    VolumeState state = storage->state();
    state.fence = fence;
    REQUIRE(store_state(*storage, state) == StatusCode::ok);
  }

  FileStore* files;

 private:
  FileStage(FileStore* observed, std::unique_ptr<FileStore>& store)
      : Stage(std::move(store)), files(observed) {}
};

void overwrite(const std::string& path, std::uint64_t offset, std::span<const std::byte> bytes) {
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  REQUIRE(fd >= 0);
  REQUIRE(pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset)) ==
          static_cast<ssize_t>(bytes.size()));
  close(fd);
}

SuperblockBytes read_copy(const std::string& path, std::size_t copy) {
  SuperblockBytes bytes;
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  REQUIRE(fd >= 0);
  REQUIRE(pread(fd, bytes.data(), bytes.size(), static_cast<off_t>(kSuperblockOffsets[copy])) ==
          static_cast<ssize_t>(bytes.size()));
  close(fd);
  return bytes;
}

std::int64_t allocated_bytes(const std::string& path) {
  struct stat info {};
  REQUIRE(stat(path.c_str(), &info) == 0);
  return std::int64_t{info.st_blocks} * 512;
}

void damage(const std::string& path, std::size_t copy) {
  overwrite(path, kSuperblockOffsets[copy] + 40, filled(16, 99));
}

TEST_CASE("A damaged copy of the superblock costs nothing, and is repaired by opening") {
  FileStage stage;
  stage.make_volume(kFence);
  const std::size_t copy = GENERATE(0U, 1U);
  damage(stage.path(), copy);
  CHECK(stage.list().at(0).fence == kFence);
  CHECK(stage.open(kVolume)->state().fence == kFence);
  CHECK(read_copy(stage.path(), 0) == read_copy(stage.path(), 1));
  CHECK(stage.files->log().size() == 1);
  damage(stage.path(), 1 - copy);
  CHECK(stage.open(kVolume)->state().fence == kFence);
}

TEST_CASE("Both copies damaged: neither listed nor opened nor removed, and the error names the file") {
  FileStage stage;
  stage.make_volume(kFence);
  damage(stage.path(), 0);
  damage(stage.path(), 1);
  const auto listed = stage.backend().list();
  REQUIRE_FALSE(listed);
  CHECK(listed.error().code == StatusCode::malformed);
  CHECK(listed.error().message.find(stage.path()) != std::string::npos);
  CHECK(stage.backend().open(kVolume).error().code == StatusCode::malformed);
  CHECK(stage.backend().remove(kVolume).error().code == StatusCode::malformed);
  CHECK(stage.backend().create(stage.shape(kVolume, kPage)).error().code == StatusCode::malformed);
}

TEST_CASE("A store that was cut off anywhere leaves the state before it or its own (P3)") {
  FileStage stage;
  stage.make_volume(kFence);
  const SuperblockBytes before = read_copy(stage.path(), 0);
  stage.open(kVolume);  // nothing to repair
  {
    const auto storage = stage.open(kVolume);
    VolumeState state = storage->state();
    state.fence = Gvn(kFence.value() + 1);
    REQUIRE(stage.store_state(*storage, state) == StatusCode::ok);
  }
  const SuperblockBytes after = read_copy(stage.path(), 0);
  REQUIRE(read_copy(stage.path(), 1) == after);

  // The first copy is written up to `cut`, the other one not at all; then the first whole, the other up to
  // `cut`.
  for (std::size_t cut = 0; cut <= 128; ++cut) {
    SuperblockBytes torn = before;
    std::memcpy(torn.data(), after.data(), cut);
    overwrite(stage.path(), kSuperblockOffsets[0], torn);
    overwrite(stage.path(), kSuperblockOffsets[1], before);
    const Gvn early = stage.list().at(0).fence;
    REQUIRE((early == kFence || early == Gvn(kFence.value() + 1)));

    overwrite(stage.path(), kSuperblockOffsets[0], after);
    overwrite(stage.path(), kSuperblockOffsets[1], torn);
    REQUIRE(stage.open(kVolume)->state().fence == Gvn(kFence.value() + 1));
  }
}

TEST_CASE("A volume of a later format, or with unknown features, is refused even if an older copy is known") {
  FileStage stage;
  stage.make_volume(kFence);
  SuperblockBytes later = read_copy(stage.path(), 0);
  const auto newer = GENERATE(false, true);
  if (newer) {
    later[12] = std::byte{2};  // format version
  } else {
    later[32] = std::byte{4};  // incompatible features
  }
  later[16] = std::byte{0xff};  // sequence
  const std::uint32_t checksum = crc32c(std::span(later).subspan(12));
  std::memcpy(later.data() + 8, &checksum, sizeof checksum);
  overwrite(stage.path(), kSuperblockOffsets[1], later);
  const auto listed = stage.backend().list();
  REQUIRE_FALSE(listed);
  CHECK(listed.error().code == (newer ? StatusCode::version_mismatch : StatusCode::unsupported));
  CHECK(stage.backend().open(kVolume).error().code == listed.error().code);
  CHECK(read_copy(stage.path(), 1) == later);
}

TEST_CASE("A file that lost its end, or bears another volume's name, is refused") {
  FileStage stage;
  stage.make_volume(kFence);
  SECTION("cut off") {
    std::filesystem::resize_file(stage.path(), std::filesystem::file_size(stage.path()) - kPage);
    CHECK(stage.backend().open(kVolume).error().code == StatusCode::malformed);
  }
  SECTION("empty") {
    std::filesystem::resize_file(stage.path(), 0);
    CHECK(stage.backend().list().error().code == StatusCode::malformed);
  }
  SECTION("renamed") {
    std::filesystem::rename(stage.path(), stage.files->volume_path(VolumeId(13)));
    CHECK(stage.backend().list().error().code == StatusCode::malformed);
    CHECK(stage.backend().open(VolumeId(13)).error().code == StatusCode::malformed);
  }
}

TEST_CASE("What an interrupted creation left is cleared away, and strange files are left alone") {
  FileStage stage;
  const std::string unfinished = stage.files->path() + "/volumes/12.new";
  const std::string strange = stage.files->path() + "/volumes/012.volume";
  std::ofstream(unfinished) << "half";
  std::ofstream(strange) << "strange";
  CHECK(stage.list().empty());
  CHECK_FALSE(std::filesystem::exists(unfinished));
  CHECK(std::filesystem::exists(strange));
  CHECK(stage.files->log().at(0).find("012.volume") != std::string::npos);
}

TEST_CASE("A removed volume's file takes no room") {
  FileStage stage;
  {
    const auto storage = stage.create_and_open(kVolume, kPage);
    REQUIRE(stage.write(*storage, 0, filled(1U << 20U, 1)) == StatusCode::ok);
  }
  REQUIRE(stage.backend().remove(kVolume));
  CHECK(allocated_bytes(stage.path()) <= 64 * 1024);
}

TEST_CASE("Discarding and writing zeroes give a file's room back") {
  const auto op = GENERATE(protocol::IoOp::discard, protocol::IoOp::write_zeroes);
  FileStage stage;
  const auto storage = stage.create_and_open(kVolume, kPage);
  REQUIRE(stage.write(*storage, 0, filled(1U << 20U, 1)) == StatusCode::ok);
  REQUIRE(stage.range(*storage, op, 0, 1U << 20U) == StatusCode::ok);
  CHECK(allocated_bytes(stage.path()) <= 64 * 1024);
}

TEST_CASE("A second node on a data directory is refused, and told who has it (F2)") {
  FileStage stage;
  const auto second = NodeStorage::open({.backend = BackendKind::file, .directory = stage.files->path()}, {});
  REQUIRE_FALSE(second);
  CHECK(second.error().code == StatusCode::busy);
  CHECK(second.error().message.find("process " + std::to_string(getpid())) != std::string::npos);
  CHECK(second.error().message.find(stage.files->path()) != std::string::npos);
}

TEST_CASE("A busy volume's error names the process that has its lock (F2)") {
  FileStage stage;
  const auto storage = stage.create_and_open(kVolume, kPage);
  const auto again = stage.backend().open(kVolume);
  REQUIRE_FALSE(again);
  CHECK(again.error().message.find("process " + std::to_string(getpid())) != std::string::npos);
}

TEST_CASE("A data directory whose parent doesn't exist is refused") {
  const TemporaryDirectory temporary;
  const auto storage = NodeStorage::open({.directory = temporary.path() + "/missing/data"}, {});
  REQUIRE_FALSE(storage);
  CHECK(storage.error().code == StatusCode::not_found);
}

TEST_CASE("Small files in the data directory are replaced in one step") {
  const TemporaryDirectory temporary;
  const auto storage = NodeStorage::open({.directory = temporary.path()}, {});
  REQUIRE(storage);
  const DataDirectory& directory = (*storage)->directory();
  CHECK(directory.read("node_id").value() == std::nullopt);
  REQUIRE(directory.write("node_id", "17\n"));
  REQUIRE(directory.write("node_id", "18\n"));
  CHECK(directory.read("node_id").value() == "18\n");
  CHECK_FALSE(std::filesystem::exists(temporary.path() + "/node_id.new"));
}

TEST_CASE("A limit on file size is no space, to that operation alone") {
  FileStage stage;
  const auto storage = stage.create_and_open(kVolume, kPage);
  rlimit old{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &old) == 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{.rlim_cur = 4U << 20U, .rlim_max = old.rlim_max};
  REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
  const StatusCode beyond = stage.write(*storage, 8U << 20U, filled(kPage, 1));
  const StatusCode within = stage.write(*storage, 0, filled(kPage, 2));
  REQUIRE(setrlimit(RLIMIT_FSIZE, &old) == 0);
  std::signal(SIGXFSZ, handler);
  CHECK(beyond == StatusCode::no_space);
  CHECK(within == StatusCode::ok);
}

TEST_CASE("A full file system refuses what needs room and nothing else") {
  const auto disk = MountedImage::make("ext4", std::uint64_t{32} << 20U);
  if (!disk) {
    skip("can't mount an image here");
    return;
  }
  FileStage stage(std::make_unique<FileStore>(disk->path() + "/data"));
  const auto first = stage.create_and_open(VolumeId(1), kPage);
  const auto second = stage.create_and_open(VolumeId(2), kPage);
  const auto data = filled(1U << 20U, 1);
  REQUIRE(stage.write(*first, 0, data) == StatusCode::ok);

  StatusCode full = StatusCode::ok;
  for (std::uint64_t at = 0; full == StatusCode::ok && at < second->state().size.value(); at += data.size())
    full = stage.write(*second, at, data);
  for (std::uint64_t at = data.size(); full == StatusCode::ok && at < first->state().size.value();
       at += data.size())
    full = stage.write(*first, at, data);
  REQUIRE(full == StatusCode::no_space);

  const auto changed = filled(1U << 20U, 2);
  CHECK(stage.write(*first, 0, changed) == StatusCode::ok);
  CHECK(stage.read(*first, 0, changed.size()) == changed);
  VolumeState state = first->state();
  state.fence = kFence;
  CHECK(stage.store_state(*first, state) == StatusCode::ok);
  CHECK(stage.flush(*first) == StatusCode::ok);
}

TEST_CASE("A file system without direct IO is refused with the remedy") {
  const auto memory = MountedMemory::make();
  if (!memory) {
    skip("can't mount a file system without direct IO here");
    return;
  }
  FileStage stage(std::make_unique<FileStore>(memory->path() + "/data"));
  const auto created = stage.backend().create(stage.shape(kVolume, kPage));
  REQUIRE_FALSE(created);
  CHECK(created.error().code == StatusCode::invalid_argument);
  CHECK(created.error().message.find("ext4 or XFS") != std::string::npos);
}

}  // namespace
}  // namespace sluice::storage_node::contract
