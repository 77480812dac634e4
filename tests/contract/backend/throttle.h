#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace sluice::storage_node::contract {

/// A control group whose processes write slowly to one device, as if it were slow. Needs root and a kernel
/// that can throttle; version 1 or 2 of control groups.
class Throttle {
 public:
  /// Null: it can't be had on this machine.
  static std::unique_ptr<Throttle> make(const std::string& device, std::uint64_t bytes_per_s);
  Throttle(const Throttle&) = delete;
  Throttle& operator=(const Throttle&) = delete;
  ~Throttle();

  /// A process that writes its id there is throttled.
  [[nodiscard]] std::string processes_file() const { return group_ + "/cgroup.procs"; }

 private:
  explicit Throttle(std::string group) : group_(std::move(group)) {}
  std::string group_;
};

}  // namespace sluice::storage_node::contract
