#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "transport/transport_config.h"

namespace sluice::transport::contract {

/// Stands between a client and a listener of the `ofi` provider's TCP fabric on the loopback interface, and
/// replaces one string by another of the same length in what passes: so a peer of another version, or no
/// sluice peer at all, is made from one that is. One connection.
class TamperingProxy {
 public:
  enum class Direction : std::uint8_t { to_server, to_client };

  TamperingProxy(const Address& server, Direction direction, std::string_view find, std::string_view replace);
  TamperingProxy(const TamperingProxy&) = delete;
  TamperingProxy& operator=(const TamperingProxy&) = delete;
  ~TamperingProxy();

  /// Where the client connects to.
  [[nodiscard]] const Address& address() const noexcept { return address_; }
  [[nodiscard]] bool has_tampered() const noexcept { return has_tampered_; }
  /// Moves what has come.
  void turn();

 private:
  void accept_client();
  void forward(int from, int to, Direction direction);
  void close_both() noexcept;

  std::uint16_t server_port_;
  Direction direction_;
  std::string find_;
  std::string replace_;
  Address address_;
  int listener_ = -1;
  int client_ = -1;
  int server_ = -1;
  bool has_tampered_ = false;
};

/// A TCP connection to that port of the loopback interface, or -1.
int connect_loopback(std::uint16_t port);

}  // namespace sluice::transport::contract
