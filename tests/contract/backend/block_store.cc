#include "tests/contract/backend/block_store.h"

#include <cstdlib>
#include <sstream>
#include <utility>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <unistd.h>

#include "tests/contract/availability.h"

namespace sluice::storage_node::contract {
void blank(const std::string& device) {
  const int fd = open(device.c_str(), O_WRONLY | O_CLOEXEC);
  REQUIRE(fd >= 0);
  const std::vector<std::byte> zeroes(1U << 20U);
  REQUIRE(pwrite(fd, zeroes.data(), zeroes.size(), 0) == static_cast<ssize_t>(zeroes.size()));
  REQUIRE(fsync(fd) == 0);
  close(fd);
}

std::unique_ptr<TestDevices> TestDevices::make() {
  std::unique_ptr<TestDevices> devices(new TestDevices());
  if (const char* const named = std::getenv("SLUICE_TEST_DEVICES")) {
    std::istringstream words(named);
    for (std::string path; words >> path;)
      devices->paths_.push_back(path);
    return devices->paths_.size() == kCount ? std::move(devices) : nullptr;
  }
  for (std::size_t i = 0; i < kCount; ++i) {
    auto loop = LoopDevice::make(kBytes, 512);
    if (loop == nullptr) return nullptr;
    devices->paths_.push_back(loop->path());
    devices->loops_.push_back(std::move(loop));
  }
  return devices;
}

BlockStore::BlockStore() : devices_(TestDevices::make()) {
  REQUIRE(devices_ != nullptr);
  for (const std::string& path : devices_->paths())
    blank(path);
  chosen_ = devices_->paths();
}

Result<std::unique_ptr<Backend>> BlockStore::try_open(std::size_t reactor, std::size_t reactors) {
  storage_.reset();
  auto storage = NodeStorage::open(
      {.backend = BackendKind::block, .directory = directory(), .devices = chosen_, .wipe = wipe_}, {});
  if (!storage) return tl::unexpected(storage.error());
  storage_ = std::move(*storage);
  return storage_->open_backend(reactor, reactors);
}

std::unique_ptr<Backend> BlockStore::open(std::size_t reactor, std::size_t reactors) {
  auto backend = try_open(reactor, reactors);
  INFO((backend ? "" : backend.error().describe()));
  REQUIRE(backend);
  return std::move(*backend);
}

std::unique_ptr<Store> make_store() {
  return std::make_unique<BlockStore>();
}

}  // namespace sluice::storage_node::contract

namespace sluice::contract {

std::optional<std::string> why_unavailable() {
  if (storage_node::contract::TestDevices::make() != nullptr) return std::nullopt;
  return "no block devices to test on: this needs root and loop devices, or four devices in "
         "SLUICE_TEST_DEVICES";
}

}  // namespace sluice::contract
