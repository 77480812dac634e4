#include "tests/contract/tampering_proxy.h"

#include <algorithm>

#include <arpa/inet.h>
#include <catch2/catch.hpp>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace sluice::transport::contract {

namespace {

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

}  // namespace

int connect_loopback(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = loopback(port);
  if (fd >= 0 && ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) return fd;
  if (fd >= 0) ::close(fd);
  return -1;
}

TamperingProxy::TamperingProxy(const Address& server, Direction direction, std::string_view find,
                               std::string_view replace)
    : server_port_(server.port), direction_(direction), find_(find), replace_(replace) {
  REQUIRE(find.size() == replace.size());
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  sockaddr_in address = loopback(0);
  socklen_t length = sizeof(address);
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  REQUIRE(::bind(listener_, generic, length) == 0);
  REQUIRE(::listen(listener_, 1) == 0);
  REQUIRE(::getsockname(listener_, generic, &length) == 0);
  address_ = {"127.0.0.1", ntohs(address.sin_port)};
}

TamperingProxy::~TamperingProxy() {
  close_both();
  ::close(listener_);
}

void TamperingProxy::close_both() noexcept {
  for (int* const fd : {&client_, &server_}) {
    if (*fd >= 0) ::close(*fd);
    *fd = -1;
  }
}

void TamperingProxy::turn() {
  if (client_ < 0) accept_client();
  if (client_ >= 0) forward(client_, server_, Direction::to_server);
  if (client_ >= 0) forward(server_, client_, Direction::to_client);
}

void TamperingProxy::accept_client() {
  client_ = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
  if (client_ < 0) return;
  server_ = connect_loopback(server_port_);
  REQUIRE(server_ >= 0);
}

void TamperingProxy::forward(int from, int to, Direction direction) {
  std::array<char, 4096> bytes{};
  const ssize_t count = ::recv(from, bytes.data(), bytes.size(), MSG_DONTWAIT);
  if (count < 0) return;
  if (count == 0) {
    close_both();
    return;
  }
  const auto end = bytes.begin() + count;
  if (direction == direction_) {
    const auto found = std::search(bytes.begin(), end, find_.begin(), find_.end());
    if (found != end) {
      std::ranges::copy(replace_, found);
      has_tampered_ = true;
    }
  }
  // What passes here is a handshake: far less than a socket's buffer.
  REQUIRE(::send(to, bytes.data(), static_cast<std::size_t>(count), MSG_NOSIGNAL) == count);
}

}  // namespace sluice::transport::contract
