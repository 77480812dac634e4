#pragma once

#include <string>

#include <sys/socket.h>

#include "transport/provider.h"

namespace sluice::transport::ofi {

/// An IPv4 or IPv6 address and port in the shape that the socket calls and libfabric take.
class SocketAddress {
 public:
  SocketAddress() = default;
  /// Copies one that libfabric handed out. `length` at most that of sockaddr_storage.
  SocketAddress(const void* bytes, std::size_t length) noexcept;

  /// Looks the host up; a host that is no number may ask the resolver, which waits.
  /// Errors: address_unusable.
  static Result<SocketAddress> resolve(const Address& address);

  [[nodiscard]] const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&storage_); }
  [[nodiscard]] socklen_t length() const noexcept { return length_; }
  [[nodiscard]] sa_family_t family() const noexcept { return storage_.ss_family; }
  /// The same address, any port.
  [[nodiscard]] SocketAddress without_port() const noexcept;
  /// In numbers; host "unknown" if it is no IP address.
  [[nodiscard]] Address to_address() const;

 private:
  sockaddr_storage storage_{};
  socklen_t length_ = 0;
};

/// Whether this machine can listen and connect from the address. Errors: address_unusable.
Status check_is_ours(const SocketAddress& address);

}  // namespace sluice::transport::ofi
