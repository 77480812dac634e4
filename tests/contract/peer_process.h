#pragma once

#include <string>

#include <sys/types.h>

#include "tests/contract/fabric.h"

namespace sluice::transport::contract {

/// What the other process does until it is killed.
namespace peer_role {
inline constexpr const char* kConnect = "connect";   ///< connects and stays idle
inline constexpr const char* kTalk = "talk";         ///< connects, then sends and WRITEs without end
inline constexpr const char* kWriteLarge = "write";  ///< connects, then WRITEs 8 MiB after 8 MiB without end
inline constexpr const char* kListenSilent = "listen";  ///< listens, and answers nobody
inline constexpr const char* kAccept = "accept";        ///< listens, accepts one and stays idle
}  // namespace peer_role

inline constexpr std::uint32_t kPeerBytes = 8U * 1024 * 1024;
inline constexpr std::uint32_t kPeerReceives = 16;

/// The other end in a process of its own, to be killed at any moment. It dies with the test.
class PeerProcess {
 public:
  /// `address`: where to connect to, for those roles that do. A listening role's own address is in address().
  PeerProcess(const std::string& role, const Address& address);
  PeerProcess(const PeerProcess&) = delete;
  PeerProcess& operator=(const PeerProcess&) = delete;
  ~PeerProcess();

  [[nodiscard]] const Address& address() const noexcept { return address_; }
  /// SIGKILL, and waits until it is gone.
  void kill();

 private:
  pid_t pid_ = -1;
  Address address_;
};

}  // namespace sluice::transport::contract
