#include "transport/ofi/address.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include <netdb.h>
#include <netinet/in.h>
#include <unistd.h>

namespace sluice::transport::ofi {

namespace {

in_port_t& port_of(sockaddr_storage& storage) {
  if (storage.ss_family == AF_INET6) return reinterpret_cast<sockaddr_in6&>(storage).sin6_port;
  return reinterpret_cast<sockaddr_in&>(storage).sin_port;
}

}  // namespace

SocketAddress::SocketAddress(const void* bytes, std::size_t length) noexcept
    : length_(static_cast<socklen_t>(std::min(length, sizeof storage_))) {
  if (bytes != nullptr) std::memcpy(&storage_, bytes, length_);
}

Result<SocketAddress> SocketAddress::resolve(const Address& address) {
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  wanted.ai_flags = AI_NUMERICHOST;
  addrinfo* raw = nullptr;
  int error = getaddrinfo(address.host.c_str(), nullptr, &wanted, &raw);
  if (error == EAI_NONAME) {
    wanted.ai_flags = 0;
    error = getaddrinfo(address.host.c_str(), nullptr, &wanted, &raw);
  }
  if (error != 0) {
    return fail(StatusCode::address_unusable, "can't resolve host \"" + address.host +
                                                  "\": " + gai_strerror(error) + ": check its spelling");
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> found(raw, &freeaddrinfo);
  SocketAddress resolved(found->ai_addr, found->ai_addrlen);
  port_of(resolved.storage_) = htons(address.port);
  return resolved;
}

SocketAddress SocketAddress::without_port() const noexcept {
  SocketAddress copy = *this;
  port_of(copy.storage_) = 0;
  return copy;
}

Address SocketAddress::to_address() const {
  std::array<char, NI_MAXHOST> host{};
  if (length_ == 0 ||
      getnameinfo(get(), length_, host.data(), host.size(), nullptr, 0, NI_NUMERICHOST) != 0) {
    return {"unknown", 0};
  }
  SocketAddress copy = *this;
  return {host.data(), ntohs(port_of(copy.storage_))};
}

Status check_is_ours(const SocketAddress& address) {
  const int probe = socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (probe < 0) return fail_errno(errno, "socket");
  const SocketAddress any_port = address.without_port();
  const int error = bind(probe, any_port.get(), any_port.length()) == 0 ? 0 : errno;
  close(probe);
  if (error == 0) return {};
  const std::string what = "the address " + address.to_address().host;
  if (error == EADDRNOTAVAIL) {
    return fail(StatusCode::address_unusable,
                what + " is none of this machine's: give one that `ip address` shows");
  }
  return fail_errno(error, what);
}

}  // namespace sluice::transport::ofi
