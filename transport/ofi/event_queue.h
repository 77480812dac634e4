#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "transport/ofi/fabric.h"
#include "transport/ofi/handles.h"

namespace sluice::transport::ofi {

/// What the fabric's connection manager says.
struct FabricEvent {
  enum class Kind : std::uint8_t {
    request,    ///< `info`, `data`
    connected,  ///< `endpoint`, `data`
    shutdown,   ///< `endpoint`: the connection ended
    error,      ///< `endpoint`, `error`, and `data` if the peer rejected with some
  };
  Kind kind = Kind::error;
  fid_t endpoint = nullptr;
  InfoHandle info;
  std::vector<std::byte> data;
  int error = 0;
};

/// One of libfabric's event queues, with a descriptor to wait on.
class EventQueue {
 public:
  static Result<std::unique_ptr<EventQueue>> create(const Fabric& fabric);

  [[nodiscard]] fid_eq* get() const noexcept { return handle_.get(); }
  [[nodiscard]] int fd() const noexcept { return fd_; }

  /// The next event that means something to us, if there is one. Never blocks.
  std::optional<FabricEvent> read();

 private:
  EventQueue(const Fabric& fabric, EventQueueHandle handle, int fd)
      : fabric_(fabric), handle_(std::move(handle)), fd_(fd) {}

  std::optional<FabricEvent> read_error();

  const Fabric& fabric_;
  EventQueueHandle handle_;
  int fd_;
};

}  // namespace sluice::transport::ofi
