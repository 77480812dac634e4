#include "tests/contract/backend/mounts.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>

#include <catch2/catch.hpp>
#include <sys/mount.h>

namespace sluice::storage_node::contract {
namespace {

/// The first line that a command prints; empty if it fails.
std::string output_of(const std::string& command) {
  FILE* const pipe = popen((command + " 2>/dev/null").c_str(), "re");
  if (pipe == nullptr) return {};
  char line[256] = {};
  const bool has_line = std::fgets(line, sizeof line, pipe) != nullptr;
  if (pclose(pipe) != 0 || !has_line) return {};
  std::string text(line);
  while (!text.empty() && text.back() == '\n')
    text.pop_back();
  return text;
}

bool runs(const std::string& command) {
  return std::system((command + " >/dev/null 2>&1").c_str()) == 0;
}

}  // namespace

void skip(const std::string& reason) {
  if (std::getenv("SLUICE_FORBID_SKIPS") != nullptr) FAIL(reason);
  WARN("SKIP: " + reason);
}

std::unique_ptr<LoopDevice> LoopDevice::make(std::uint64_t bytes, std::uint32_t sector_bytes) {
  std::unique_ptr<LoopDevice> device(new LoopDevice());
  const std::string image = device->temporary_.path() + "/image";
  if (!runs("truncate -s " + std::to_string(bytes) + " " + image)) return nullptr;
  device->path_ = output_of("losetup --find --show --direct-io=on --sector-size " +
                            std::to_string(sector_bytes) + " " + image);
  if (device->path_.empty()) return nullptr;
  return device;
}

LoopDevice::~LoopDevice() {
  if (!path_.empty()) runs("losetup -d " + path_);
}

std::unique_ptr<MountedImage> MountedImage::make(std::string_view type, std::uint64_t bytes) {
  auto device = LoopDevice::make(bytes, 512);
  if (device == nullptr || !runs("mkfs." + std::string(type) + " -q " + device->path())) return nullptr;
  std::unique_ptr<MountedImage> image(new MountedImage(std::move(device)));
  image->mounted_ = mount(image->device_->path().c_str(), image->path().c_str(), std::string(type).c_str(), 0,
                          nullptr) == 0;
  return image->mounted_ ? std::move(image) : nullptr;
}

MountedImage::~MountedImage() {
  if (mounted_) umount(path().c_str());
}

std::unique_ptr<MountedMemory> MountedMemory::make() {
  std::unique_ptr<MountedMemory> memory(new MountedMemory());
  memory->mounted_ = mount("none", memory->path().c_str(), "ramfs", 0, nullptr) == 0;
  return memory->mounted_ ? std::move(memory) : nullptr;
}

MountedMemory::~MountedMemory() {
  if (mounted_) umount(path().c_str());
}

}  // namespace sluice::storage_node::contract
