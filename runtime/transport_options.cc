#include "runtime/transport_options.h"

namespace sluice::runtime {

void add_transport_options(OptionTable& table, transport::TransportConfig& config) {
  table.group("Transport");
  table.add_choice(
      "transport.provider", config.provider,
      {{"auto", transport::ProviderChoice::automatic},
       {"verbs", transport::ProviderChoice::verbs},
       {"ofi", transport::ProviderChoice::ofi}},
      "What moves the bytes: verbs is RDMA, ofi is libfabric, auto is verbs where a usable device "
      "has the address and ofi elsewhere");
  table.add("transport.device", config.device,
            "verbs: insist on this RDMA device, e.g. mlx5_0; empty: the one that has the address");
  table.add("transport.fabric", config.fabric, "ofi: libfabric's provider, e.g. tcp");
  table.add("transport.connect_timeout_ms", config.connect_timeout, {10, 600'000},
            "A connection attempt that has come to nothing by then has failed");
  table.add("transport.drain_timeout_ms", config.drain_timeout, {10, 600'000},
            "verbs: a closed connection whose work the device hasn't given back by then is destroyed");
  table.add(
      "transport.ack_timeout_exponent", config.ack_timeout_exponent, {1, 31},
      "verbs: the device repeats a packet without acknowledgement after 4.096 us * 2^this (14 is 67 ms)");
  table.add("transport.retry_count", config.retry_count, {0, 7},
            "verbs: how often it repeats before the connection fails");
  table.add("transport.rnr_retry_count", config.rnr_retry_count, {0, 7},
            "verbs: how often a message that meets no receive buffer is repeated; 7 is for ever");
  table.add("transport.min_rnr_timer", config.min_rnr_timer, {0, 31},
            "verbs: the code of the pause before that which the peer is asked for (12 is 0.64 ms)");
  table.add(
      "transport.dscp", config.dscp, {0, 63},
      "verbs: the connections' DSCP, which the network's traffic classes go by; 0 is the system's default");

  table.group("Polling");
  table.add_choice(
      "polling.mode", config.polling.mode,
      {{"busy", transport::PollingMode::busy},
       {"adaptive", transport::PollingMode::adaptive},
       {"event", transport::PollingMode::event}},
      "How a thread waits: busy never sleeps and takes a whole core, adaptive looks for a while and "
      "then sleeps, event sleeps at once");
  table.add("polling.spin_us", config.polling.spin, {0, 1'000'000},
            "adaptive: how long it looks before it sleeps");
}

void add_local_addresses(OptionTable& table, std::vector<std::string>& local_addresses) {
  table.group("Transport");
  table.add(
      "transport.local_addresses", local_addresses,
      "Local IP addresses, each of which is a rail of its own: its device carries a share of the paths; "
      "empty: one rail, on the first usable device");
}

}  // namespace sluice::runtime
