// libfabric on the loopback interface.

#include <cstring>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/contract/availability.h"
#include "tests/contract/real_fabric.h"
#include "transport/ofi/ofi_provider.h"

namespace sluice::transport::contract {

namespace {

constexpr const char* kLoopback = "127.0.0.1";

/// A socket that the kernel completes connections for, and that nobody ever reads.
class SilentSocket {
 public:
  SilentSocket() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    usable_ = fd_ >= 0 && ::bind(fd_, generic, length) == 0 && ::listen(fd_, 8) == 0 &&
              ::getsockname(fd_, generic, &length) == 0;
    port_ = ntohs(address.sin_port);
  }
  SilentSocket(const SilentSocket&) = delete;
  SilentSocket& operator=(const SilentSocket&) = delete;
  ~SilentSocket() {
    if (fd_ >= 0) ::close(fd_);
  }

  [[nodiscard]] std::optional<Address> address() const {
    return usable_ ? std::optional(Address{kLoopback, port_}) : std::nullopt;
  }

 private:
  int fd_;
  bool usable_ = false;
  std::uint16_t port_ = 0;
};

class OfiFabric final : public RealFabric {
 public:
  OfiFabric()
      : RealFabric({.name = "ofi", .sends_wait_for_receives = true, .sends_complete_locally = true},
                   kLoopback) {}

  Result<std::unique_ptr<Provider>> open(int, const TransportConfig& config) override {
    TransportConfig local = config;
    local.local_host = host();
    return ofi::open_ofi_provider(local);
  }

  [[nodiscard]] std::optional<Address> silent_address() override {
    if (!silent_) silent_ = std::make_unique<SilentSocket>();
    return silent_->address();
  }

 private:
  std::unique_ptr<SilentSocket> silent_;
};

}  // namespace

std::unique_ptr<TestFabric> make_fabric() {
  return std::make_unique<OfiFabric>();
}

}  // namespace sluice::transport::contract

namespace sluice::contract {

std::optional<std::string> why_unavailable() {
  transport::TransportConfig config;
  config.local_host = transport::contract::kLoopback;
  const auto provider = transport::ofi::open_ofi_provider(config);
  if (provider) return std::nullopt;
  return provider.error().describe();
}

}  // namespace sluice::contract
