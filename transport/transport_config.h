#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/base/log.h"
#include "protocol/base/status.h"
#include "transport/fault_injection.h"

namespace sluice::transport {

/// Where to listen or connect: a host (IPv4, IPv6 or a name that resolves to one) and a port.
struct Address {
  std::string host;
  std::uint16_t port = 0;

  bool operator==(const Address&) const = default;
};

/// "host:port"; IPv6 in brackets: "[fe80::1]:7000". Errors: invalid_argument, saying what was expected.
Result<Address> parse_address(std::string_view text);
std::string to_string(const Address& address);

enum class ProviderChoice : std::uint8_t {
  automatic,  ///< verbs if a usable device has the address, else ofi
  verbs,
  ofi,
};

/// "auto", "verbs" or "ofi". Errors: invalid_argument, listing them.
Result<ProviderChoice> parse_provider_choice(std::string_view text);
std::string_view to_string(ProviderChoice choice) noexcept;

/// How a thread waits for completions.
enum class PollingMode : std::uint8_t {
  busy,      ///< never sleeps: lowest latency, one core for itself
  adaptive,  ///< spins for `spin`, then sleeps on the completion channel
  event,     ///< sleeps at once
};

struct PollingConfig {
  PollingMode mode = PollingMode::adaptive;
  std::chrono::microseconds spin{50};
};

using sluice::LogLevel;
using sluice::LogSink;

/// What a provider is opened with. One struct for all providers; what one doesn't have is said beside the
/// field.
struct TransportConfig {
  ProviderChoice provider = ProviderChoice::automatic;
  /// The local address whose device is used. Empty: the first usable device (verbs), any interface (ofi).
  std::string local_host;
  /// verbs: insist on this device (e.g. "mlx5_0", "rxe0"). Empty: the one that has `local_host`.
  std::string device;
  /// ofi: libfabric's provider name.
  std::string fabric = "tcp";

  PollingConfig polling;

  /// A connect that has neither succeeded nor failed by then fails with timed_out. rdma_cm alone retries a
  /// lost request for about a minute.
  std::chrono::milliseconds connect_timeout{5000};
  /// A drain that the device hasn't finished by then is finished by destroying the queue pair.
  std::chrono::milliseconds drain_timeout{2000};
  /// verbs: the ACK timeout is 4.096 us * 2^this (InfiniBand 1.2.1, 9.7.6.1.3): 14 is 67 ms.
  std::uint8_t ack_timeout_exponent = 14;
  /// verbs: transport retries before the connection fails, 0 to 7.
  std::uint8_t retry_count = 7;
  /// verbs: how often a SEND that meets no posted receive is retried, 0 to 6, 7 for ever. Credits keep it
  /// from ever happening, so that 0 is right in tests: a credit leak then fails loudly.
  std::uint8_t rnr_retry_count = 7;
  /// verbs: the RNR NAK timer code that we ask of our peer (12 is 0.64 ms). rdma_cm leaves 0, which means 655
  /// ms.
  std::uint8_t min_rnr_timer = 12;
  /// verbs: DSCP of the connections (0 to 63); 0 leaves the system's default.
  std::uint8_t dscp = 0;

  /// Receives one line for each thing worth knowing. Empty: such lines are dropped.
  LogSink log;
  /// Tests only.
  FaultInjector* faults = nullptr;
};

inline void log_line(const TransportConfig& config, LogLevel level, std::string_view line) {
  log_line(config.log, level, line);
}

}  // namespace sluice::transport
