#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/base/clock.h"
#include "transport/provider.h"

namespace sluice::transport::contract {

/// Where a provider's behaviour may rightly differ. Everything else must be the same.
struct FabricTraits {
  std::string_view name;
  /// One thread and virtual time: nothing moves unless the test advances it.
  bool simulated = false;
  /// A SEND that finds no posted receive waits (flow control of its own) instead of failing with
  /// receiver_not_ready.
  bool sends_wait_for_receives = false;
  /// A SEND succeeds when the system has its bytes, not when the peer's device has them.
  bool sends_complete_locally = false;
};

/// What each of the three test programs supplies: a network with two hosts, 0 and 1, and providers on it.
class TestFabric {
 public:
  TestFabric() = default;
  TestFabric(const TestFabric&) = delete;
  TestFabric& operator=(const TestFabric&) = delete;
  virtual ~TestFabric() = default;

  [[nodiscard]] virtual const FabricTraits& traits() const noexcept = 0;
  virtual Result<std::unique_ptr<Provider>> open(int host, const TransportConfig& config) = 0;
  /// Where that host listens; port 0.
  [[nodiscard]] virtual Address address(int host) const = 0;
  /// An address that swallows connection requests, or none if this machine can't make one.
  [[nodiscard]] virtual std::optional<Address> silent_address() = 0;
  /// The device's own count of its objects, in words to compare; none where the system doesn't tell.
  [[nodiscard]] virtual std::optional<std::string> device_resources() { return std::nullopt; }
  /// Lets time pass: the next event of the simulated network, a yield of the processor elsewhere.
  virtual void advance() = 0;
  [[nodiscard]] virtual Instant now() const = 0;
};

/// A fresh network. Defined once in each program.
std::unique_ptr<TestFabric> make_fabric();

}  // namespace sluice::transport::contract
