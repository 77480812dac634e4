// An RDMA device of this machine: the one that has SLUICE_TEST_ADDRESS, or the first usable one.

#include <array>
#include <cstdio>
#include <cstdlib>

#include "tests/contract/availability.h"
#include "tests/contract/real_fabric.h"
#include "transport/verbs/verbs_provider.h"

namespace sluice::transport::contract {

namespace {

std::string variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

TransportConfig config_of_device() {
  TransportConfig config;
  config.local_host = variable("SLUICE_TEST_ADDRESS");
  return config;
}

/// The address in the probe's "rxe0 port 1 (10.0.0.7)".
std::string device_address() {
  const auto device = verbs::probe_verbs_device(config_of_device());
  if (!device) return {};
  const std::size_t open = device->rfind('(');
  const std::size_t close = device->rfind(')');
  return open == std::string::npos || close < open ? std::string()
                                                   : device->substr(open + 1, close - open - 1);
}

class VerbsFabric final : public RealFabric {
 public:
  VerbsFabric() : RealFabric({.name = "verbs"}, device_address()) {}

  Result<std::unique_ptr<Provider>> open(int, const TransportConfig& config) override {
    TransportConfig local = config;
    local.local_host = host();
    return verbs::open_verbs_provider(local);
  }

  /// SLUICE_TEST_SILENT_ADDRESS: "host:port" of a host that the device can't reach.
  [[nodiscard]] std::optional<Address> silent_address() override {
    const auto address = parse_address(variable("SLUICE_TEST_SILENT_ADDRESS"));
    return address ? std::optional(*address) : std::nullopt;
  }

  /// iproute2's `rdma resource show`: queue pairs, completion queues, protection domains, regions and ids.
  [[nodiscard]] std::optional<std::string> device_resources() override {
    const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen("rdma resource show 2>/dev/null", "r"),
                                                     ::pclose);
    if (!pipe) return std::nullopt;
    std::string text;
    std::array<char, 256> part{};
    while (std::fgets(part.data(), part.size(), pipe.get()) != nullptr)
      text += part.data();
    return text.empty() ? std::nullopt : std::optional(text);
  }
};

}  // namespace

std::unique_ptr<TestFabric> make_fabric() {
  return std::make_unique<VerbsFabric>();
}

}  // namespace sluice::transport::contract

namespace sluice::contract {

std::optional<std::string> why_unavailable() {
  const auto device = transport::verbs::probe_verbs_device(transport::contract::config_of_device());
  if (device) return std::nullopt;
  return device.error().describe();
}

}  // namespace sluice::contract
