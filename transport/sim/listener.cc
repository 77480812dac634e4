#include "transport/sim/listener.h"

#include "transport/handshake.h"

namespace sluice::transport::sim {

SimConnectionRequest::~SimConnectionRequest() {
  if (connection_ != 0) fabric_.connections.reject(connection_, handshake_bytes(0, {}));
}

std::vector<std::byte> handshake_bytes(std::uint16_t credits, std::span<const std::byte> private_data) {
  const HandshakeMessage message({.credits = credits}, private_data);
  return {message.bytes().begin(), message.bytes().end()};
}

}  // namespace sluice::transport::sim
