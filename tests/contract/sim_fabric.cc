// The simulated network: one thread, virtual time.

#include <chrono>

#include "tests/contract/availability.h"
#include "tests/contract/fabric.h"
#include "transport/sim/network.h"

namespace sluice::transport::contract {

namespace {

constexpr std::uint64_t kSeed = 1;

class SimFabric final : public TestFabric {
 public:
  SimFabric() {
    network_.add_host("host0", {"10.0.0.1"});
    network_.add_host("host1", {"10.0.0.2"});
    network_.add_host("silent", {"10.0.0.3"});
    network_.partition("host0", "silent");
  }

  [[nodiscard]] const FabricTraits& traits() const noexcept override { return traits_; }
  Result<std::unique_ptr<Provider>> open(int host, const TransportConfig& config) override {
    return network_.open_provider(address(host).host, config);
  }
  [[nodiscard]] Address address(int host) const override { return {"10.0.0." + std::to_string(host + 1), 0}; }
  [[nodiscard]] std::optional<Address> silent_address() override { return Address{"10.0.0.3", 7000}; }
  [[nodiscard]] std::optional<std::string> device_resources() override {
    network_.run_for(std::chrono::minutes(1));  // what the connection managers remember for a while
    return "regions " + std::to_string(network_.registered_regions()) + ", packets " +
           std::to_string(network_.packets_under_way()) + ", connections " +
           std::to_string(network_.open_connections());
  }
  /// The next event, but no leap to a far one: the tests' processes take no time, and yet must not miss their
  /// deadlines because the time between two of their turns was skipped.
  void advance() override {
    const Instant end = network_.now() + std::chrono::milliseconds(1);
    const auto next = network_.next_event_time();
    if (next && *next <= end) {
      network_.step();
    } else {
      network_.run_until(end);
    }
  }
  [[nodiscard]] Instant now() const override { return network_.now(); }

 private:
  FabricTraits traits_{.name = "sim", .simulated = true};
  sim::Network network_{kSeed};
};

}  // namespace

std::unique_ptr<TestFabric> make_fabric() {
  return std::make_unique<SimFabric>();
}

}  // namespace sluice::transport::contract

namespace sluice::contract {

std::optional<std::string> why_unavailable() {
  return std::nullopt;
}

}  // namespace sluice::contract
