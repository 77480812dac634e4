#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "client/admin_client.h"
#include "client/block_client.h"
#include "runtime/logging.h"
#include "runtime/options.h"
#include "transport/transport_config.h"

namespace sluice::cli {

/// What the client's configuration file says: how to reach the cluster, and how a volume is used.
struct ClientOptions {
  std::vector<transport::Address> masters{{"127.0.0.1", 7470}};
  std::string client_id;  ///< empty: the host's name
  std::vector<std::string> local_addresses;
  transport::TransportConfig transport;
  std::chrono::milliseconds answer_timeout{10'000};
  std::chrono::milliseconds open_timeout{30'000};
  std::chrono::milliseconds io_timeout{10'000};
  std::chrono::milliseconds loss_deadline{30'000};
  client::LossPolicy on_loss = client::LossPolicy::fail;
  std::uint32_t queue_depth = 128;
  runtime::LogConfig log{.level = runtime::LogLevel::warning, .format = runtime::LogFormat::text, .file = {}};
};

/// The client's options, bound to `options`, which outlives the table.
runtime::OptionTable client_option_table(ClientOptions& options);

/// How a question is put to these addresses, `peer` in words.
client::AdminClientConfig admin_config(const ClientOptions& options, std::string peer,
                                       std::vector<transport::Address> addresses);

/// How a volume is opened.
client::BlockClientConfig volume_config(const ClientOptions& options, const std::string& volume);

}  // namespace sluice::cli
