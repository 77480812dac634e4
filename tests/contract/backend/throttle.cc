#include "tests/contract/backend/throttle.h"

#include <fstream>

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

namespace sluice::storage_node::contract {
namespace {

bool write_line(const std::string& file, const std::string& line) {
  std::ofstream out(file);
  out << line << std::endl;
  return out.good();
}

}  // namespace

std::unique_ptr<Throttle> Throttle::make(const std::string& device, std::uint64_t bytes_per_s) {
  struct stat info {};
  if (stat(device.c_str(), &info) != 0) return nullptr;
  const std::string numbers = std::to_string(major(info.st_rdev)) + ":" + std::to_string(minor(info.st_rdev));
  const std::string name = "/sluice-test-" + std::to_string(getpid());

  std::unique_ptr<Throttle> first(new Throttle("/sys/fs/cgroup/blkio" + name));
  if (mkdir(first->group_.c_str(), 0755) == 0 &&
      write_line(first->group_ + "/blkio.throttle.write_bps_device",
                 numbers + " " + std::to_string(bytes_per_s))) {
    return first;
  }
  write_line("/sys/fs/cgroup/cgroup.subtree_control", "+io");
  std::unique_ptr<Throttle> second(new Throttle("/sys/fs/cgroup" + name));
  if (mkdir(second->group_.c_str(), 0755) == 0 &&
      write_line(second->group_ + "/io.max", numbers + " wbps=" + std::to_string(bytes_per_s))) {
    return second;
  }
  return nullptr;
}

Throttle::~Throttle() {
  rmdir(group_.c_str());
}

}  // namespace sluice::storage_node::contract
