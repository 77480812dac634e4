#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "transport/provider.h"
#include "transport/sim/sim_provider.h"

namespace sluice::transport::sim {

class SimListener final : public Listener {
 public:
  SimListener(SimProvider& provider, std::uint64_t number, Address address)
      : provider_(provider), number_(number), address_(std::move(address)) {}
  ~SimListener() override { provider_.remove_listener(*this); }

  [[nodiscard]] const Address& address() const noexcept override { return address_; }
  [[nodiscard]] std::uint64_t number() const noexcept { return number_; }

 private:
  SimProvider& provider_;
  std::uint64_t number_;
  Address address_;
};

/// May outlive the listener, and the provider too.
class SimConnectionRequest final : public ConnectionRequest {
 public:
  SimConnectionRequest(Fabric& fabric, std::uint64_t connection, std::uint16_t credits,
                       std::span<const std::byte> private_data, std::string peer)
      : fabric_(fabric),
        connection_(connection),
        credits_(credits),
        private_data_(private_data.begin(), private_data.end()),
        peer_(std::move(peer)) {}
  ~SimConnectionRequest() override;

  [[nodiscard]] std::span<const std::byte> private_data() const noexcept override { return private_data_; }
  [[nodiscard]] std::uint16_t peer_credits() const noexcept override { return credits_; }
  [[nodiscard]] std::string peer() const override { return peer_; }

  [[nodiscard]] std::uint64_t connection() const noexcept { return connection_; }
  /// It was answered.
  void release() noexcept { connection_ = 0; }

 private:
  Fabric& fabric_;
  std::uint64_t connection_;
  std::uint16_t credits_;
  std::vector<std::byte> private_data_;
  std::string peer_;
};

/// A message of the connection manager's: header and private data.
std::vector<std::byte> handshake_bytes(std::uint16_t credits, std::span<const std::byte> private_data);

}  // namespace sluice::transport::sim
