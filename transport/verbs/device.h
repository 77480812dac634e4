#pragma once

#include <cstdint>
#include <string>

#include <netinet/in.h>

#include "protocol/base/status.h"
#include "transport/transport_config.h"
#include "transport/verbs/handles.h"

namespace sluice::transport::verbs {

/// A socket address of either family, with what the socket calls want to know of it.
class SocketAddress {
 public:
  /// Resolves a host name or number. Errors: address_unusable.
  static Result<SocketAddress> resolve(const Address& address);
  static SocketAddress copy_of(const sockaddr& address) noexcept;

  [[nodiscard]] sockaddr* get() noexcept { return reinterpret_cast<sockaddr*>(&storage_); }
  [[nodiscard]] const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&storage_); }
  [[nodiscard]] Address to_address() const;
  void set_port(std::uint16_t port) noexcept;

 private:
  sockaddr_storage storage_{};
};

/// The RDMA device that a provider uses, found by address: link layer, port and GID are rdma_cm's choice, so
/// that InfiniBand, RoCE and iWARP are all the same here.
struct Device {
  /// Bound to the local address; keeps librdmacm's hold on the device for as long as the provider lives.
  IdHandle anchor;
  ibv_context* context = nullptr;  ///< librdmacm's; shared by the process
  std::string name;
  SocketAddress local;  ///< port 0
  std::uint8_t port = 0;
  ibv_device_attr limits{};
  std::uint32_t max_message_bytes = 0;
};

/// The device of `config.local_host`, or the first usable one; with `config.device` only that one counts.
/// `channel` must outlive the result. Errors: no_device, address_unusable, each with the remedy.
Result<Device> find_device(const TransportConfig& config, rdma_event_channel& channel);

}  // namespace sluice::transport::verbs
