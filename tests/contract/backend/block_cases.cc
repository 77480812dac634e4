// What only block devices can go through.

#include <algorithm>
#include <string>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <unistd.h>

#include "storage_node/backends/volume_directory.h"
#include "tests/contract/backend/block_store.h"
#include "tests/contract/backend/mounts.h"
#include "tests/contract/backend/stage.h"

namespace sluice::storage_node::contract {
namespace {

constexpr VolumeId kVolume{12};
constexpr std::uint32_t kPage = 4096;
constexpr Gvn kFence = make_gvn(ManagerVersion(3), OpenVersion(17));

void scribble(const std::string& device, std::uint64_t offset) {
  const int fd = open(device.c_str(), O_WRONLY | O_CLOEXEC);
  REQUIRE(fd >= 0);
  const auto words = filled(512, 77);
  REQUIRE(pwrite(fd, words.data(), words.size(), static_cast<off_t>(offset)) == 512);
  REQUIRE(fsync(fd) == 0);
  close(fd);
}

VolumeState shape(std::uint64_t id) {
  return {.volume = VolumeId(id), .size = ByteCount(std::uint64_t{16} << 20U), .block_size = kPage};
}

StatusCode code_of(const Status& status) {
  return status ? StatusCode::ok : status.error().code;
}

TEST_CASE("A device with somebody else's content is refused unless it is listed to be wiped") {
  BlockStore store;
  const std::string& device = store.devices().at(1);
  // Where a partition table, a file system's superblock and nothing of ours would be.
  const std::uint64_t place = GENERATE(0U, 1024U, 65536U, 524288U, (1U << 20U) - 512U);
  scribble(device, place);
  const auto refused = store.try_open(0, 1);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == StatusCode::malformed);
  CHECK(refused.error().message.find(device) != std::string::npos);
  CHECK(refused.error().message.find("wipe") != std::string::npos);
  store.set_wipe({device});
  CHECK(store.try_open(0, 1));
  store.set_wipe({});
  CHECK(store.try_open(0, 1));
}

TEST_CASE("A volume is never wiped, even on a device that is listed for it") {
  BlockStore store;
  store.set_wipe(store.devices());
  {
    const auto backend = store.open();
    REQUIRE(backend->create(shape(12)));
  }
  const auto backend = store.open();
  CHECK(backend->list().value().size() == 1);
}

TEST_CASE("What can't be a device is refused by name") {
  BlockStore store;
  std::vector<std::string> devices = store.devices();
  SECTION("missing") {
    devices.at(0) = "/dev/sluice-is-not-here";
  }
  SECTION("a file") {
    devices.at(0) = "/etc/passwd";
  }
  SECTION("a character device") {
    devices.at(0) = "/dev/null";
  }
  SECTION("twice") {
    devices.at(0) = devices.at(1);
  }
  store.set_devices(devices);
  const auto refused = store.try_open(0, 1);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find(devices.at(0)) != std::string::npos);
}

TEST_CASE("A volume too large for every device, or one more than there are devices, is no space") {
  Stage stage;
  VolumeState large = shape(9);
  large.size = ByteCount(std::uint64_t{1} << 40U);
  CHECK(code_of(stage.backend().create(large)) == StatusCode::no_space);
  for (std::uint64_t id = 1; id <= TestDevices::kCount; ++id)
    REQUIRE(stage.backend().create(shape(id)));
  CHECK(code_of(stage.backend().create(shape(9))) == StatusCode::no_space);
  CHECK(stage.backend().space()->free == ByteCount(0));
  REQUIRE(stage.backend().remove(VolumeId(2)));
  CHECK(stage.backend().create(shape(9)));
  CHECK(stage.list().size() == TestDevices::kCount + 1);
}

TEST_CASE("A device's next volume reads as zeroes, and both fences are kept") {
  Stage stage;
  for (std::uint64_t id = 1; id <= TestDevices::kCount; ++id) {
    const auto storage = stage.create_and_open(VolumeId(id), kPage);
    REQUIRE(stage.write(*storage, 0, filled(1U << 20U, id)) == StatusCode::ok);
    VolumeState state = storage->state();
    state.fence = Gvn(id);
    REQUIRE(stage.store_state(*storage, state) == StatusCode::ok);
  }
  REQUIRE(stage.backend().remove(VolumeId(1)));
  const auto next = stage.create_and_open(VolumeId(9), kPage);
  CHECK(stage.read(*next, 0, 1U << 20U) == std::vector<std::byte>(1U << 20U));
  CHECK(stage.list().at(0).fence == Gvn(1));
  CHECK(stage.list().at(0).removed);
}

TEST_CASE("A device isn't shared with a mount or another claim (F2)") {
  Stage stage;
  auto& store = dynamic_cast<BlockStore&>(stage.store());
  const auto storage = stage.create_and_open(kVolume, kPage);
  const bool any_claimed =
      std::any_of(store.devices().begin(), store.devices().end(), [](const std::string& path) {
        const int fd = open(path.c_str(), O_RDONLY | O_EXCL | O_CLOEXEC);
        if (fd >= 0) close(fd);
        return fd < 0;
      });
  CHECK(any_claimed);
}

TEST_CASE("A removal that was interrupted after its tombstone is a removal") {
  Stage stage;
  auto& store = dynamic_cast<BlockStore&>(stage.store());
  {
    const auto storage = stage.create_and_open(kVolume, kPage);
    VolumeState state = storage->state();
    state.fence = kFence;
    REQUIRE(stage.store_state(*storage, state) == StatusCode::ok);
    REQUIRE(stage.write(*storage, 0, filled(kPage, 1)) == StatusCode::ok);
  }
  stage.close();
  store.release();
  {
    const auto storage = NodeStorage::open({.directory = store.directory()}, {});
    REQUIRE(storage);
    const auto directory = VolumeDirectory::open((*storage)->directory(), {}, {});
    REQUIRE(directory);
    REQUIRE(directory->create({.volume = kVolume, .fence = kFence, .removed = true}));
  }
  stage.restart();
  REQUIRE(stage.list().size() == 1);
  CHECK(stage.list().at(0).removed);
  CHECK(stage.list().at(0).fence == kFence);
  CHECK(stage.backend().open(kVolume).error().code == StatusCode::not_found);

  const bool is_removed_again = GENERATE(false, true);
  if (is_removed_again) REQUIRE(stage.backend().remove(kVolume));
  const auto storage = stage.create_and_open(kVolume, kPage);
  CHECK(storage->state().fence == kFence);
  CHECK(stage.read(*storage, 0, kPage) == std::vector<std::byte>(kPage));
  CHECK_FALSE(stage.list().at(0).removed);
}

TEST_CASE("Volume files in the data directory are refused by the block backend") {
  BlockStore store;
  {
    const auto storage = NodeStorage::open({.directory = store.directory()}, {});
    REQUIRE(storage);
    REQUIRE((*storage)->open_backend(0, 1).value()->create(shape(12)));
  }
  const auto backend = store.open();
  const auto listed = backend->list();
  REQUIRE_FALSE(listed);
  CHECK(listed.error().code == StatusCode::malformed);
}

TEST_CASE("Blocks of 512 bytes are refused on a device whose sectors have 4096") {
  const auto device = LoopDevice::make(TestDevices::kBytes, 4096);
  if (device == nullptr) {
    skip("no loop device with sectors of 4096 bytes here");
    return;
  }
  BlockStore store;
  store.set_devices({device->path()});
  const auto backend = store.open();
  VolumeState state = shape(12);
  state.block_size = 512;
  const auto refused = backend->create(state);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == StatusCode::invalid_argument);
  CHECK(refused.error().message.find("4096") != std::string::npos);
  CHECK(backend->create(shape(12)));
}

}  // namespace
}  // namespace sluice::storage_node::contract
