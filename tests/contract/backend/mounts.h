#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "tests/contract/backend/temporary_directory.h"

/// Devices and file systems made for one test. They need root, loop devices and a kernel that has them.
namespace sluice::storage_node::contract {

/// This test can't be done on this machine: prints why. With SLUICE_FORBID_SKIPS=1 in the environment it
/// fails instead.
void skip(const std::string& reason);

/// A loop device on a sparse file.
class LoopDevice {
 public:
  /// Null: it can't be had on this machine. `sector_bytes`: 512 or 4096.
  static std::unique_ptr<LoopDevice> make(std::uint64_t bytes, std::uint32_t sector_bytes);
  LoopDevice(const LoopDevice&) = delete;
  LoopDevice& operator=(const LoopDevice&) = delete;
  ~LoopDevice();

  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  LoopDevice() = default;
  TemporaryDirectory temporary_;
  std::string path_;
};

/// A fresh file system on a loop device, mounted.
class MountedImage {
 public:
  /// Null: it can't be had on this machine.
  static std::unique_ptr<MountedImage> make(std::string_view type, std::uint64_t bytes);
  MountedImage(const MountedImage&) = delete;
  MountedImage& operator=(const MountedImage&) = delete;
  ~MountedImage();

  [[nodiscard]] const std::string& path() const noexcept { return mount_point_.path(); }
  [[nodiscard]] const std::string& device() const noexcept { return device_->path(); }

 private:
  explicit MountedImage(std::unique_ptr<LoopDevice> device) : device_(std::move(device)) {}
  std::unique_ptr<LoopDevice> device_;
  TemporaryDirectory mount_point_;
  bool mounted_ = false;
};

/// A file system without direct IO.
class MountedMemory {
 public:
  /// Null: it can't be had on this machine.
  static std::unique_ptr<MountedMemory> make();
  MountedMemory(const MountedMemory&) = delete;
  MountedMemory& operator=(const MountedMemory&) = delete;
  ~MountedMemory();

  [[nodiscard]] const std::string& path() const noexcept { return mount_point_.path(); }

 private:
  MountedMemory() = default;
  TemporaryDirectory mount_point_;
  bool mounted_ = false;
};

}  // namespace sluice::storage_node::contract
