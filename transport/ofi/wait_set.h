#pragma once

#include <optional>
#include <vector>

#include "protocol/base/clock.h"
#include "transport/ofi/fabric.h"

namespace sluice::transport::ofi {

/// What a thread sleeps on: the fabric's queues and the descriptors of others, in one epoll set.
class WaitSet {
 public:
  static Result<std::unique_ptr<WaitSet>> create(const Fabric& fabric);
  ~WaitSet();
  WaitSet(const WaitSet&) = delete;
  WaitSet& operator=(const WaitSet&) = delete;

  [[nodiscard]] int fd() const noexcept { return epoll_fd_; }

  Status add_fabric(fid_t object, int fd);
  void remove_fabric(fid_t object, int fd) noexcept;
  Status watch(int fd);
  void unwatch(int fd) noexcept;

  /// Makes the fabric's descriptors tell of what comes from now on. False: something is there already.
  bool arm() noexcept;

  /// Sleeps until a descriptor is readable or `timeout` has passed; zero only looks.
  struct Wakeup {
    bool any = false;
    bool watched = false;  ///< a descriptor of watch()
  };
  Wakeup sleep(Duration timeout) noexcept;

 private:
  WaitSet(const Fabric& fabric, int epoll_fd) : fabric_(fabric), epoll_fd_(epoll_fd) {}
  Status add(int fd, bool is_watched);

  const Fabric& fabric_;
  int epoll_fd_;
  std::vector<fid_t> objects_;
};

}  // namespace sluice::transport::ofi
