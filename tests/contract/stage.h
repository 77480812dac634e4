#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "tests/contract/party.h"

namespace sluice::transport::contract {

inline constexpr Duration kPatience = std::chrono::seconds(20);

/// Takes turns of the parties until `done()` holds. False if that took more than `patience`.
bool pump(TestFabric& fabric, std::initializer_list<Party*> parties, const std::function<bool()>& done,
          Duration patience = kPatience);

struct StageOptions {
  TransportConfig client = test_config();
  TransportConfig server = test_config();
  PartyOptions party{};
};

/// Receives to post at each end before the connection is there, each into its own piece of the party's
/// memory, from its start on, numbered from 0.
struct PairOptions {
  std::uint32_t client_receives = 0;
  std::uint32_t server_receives = 0;
  std::uint32_t receive_bytes = 256;
  std::uint32_t send_depth = 64;
  std::uint32_t max_inline_bytes = 0;
};

/// A connection in the middle of the stage.
struct Pair {
  std::unique_ptr<Endpoint> client;
  std::unique_ptr<Endpoint> server;
};

/// A network with a client and a listening server on it.
class Stage {
 public:
  explicit Stage(const StageOptions& options = {});
  ~Stage();
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;

  std::unique_ptr<TestFabric> fabric = make_fabric();
  Party client;
  Party server;
  Address address = server.listen();
  std::vector<std::unique_ptr<Endpoint>> extra;  ///< endpoints whose fate the test doesn't follow

  bool until(const std::function<bool()>& done, Duration patience = kPatience) {
    return pump(*fabric, {&client, &server}, done, patience);
  }

  /// Connects, and waits until both ends have seen `established`.
  Pair connect(const PairOptions& options = {});

  /// Closes both ends, waits for both `drained`, and destroys them.
  void close(Pair& pair);
  /// Waits until both ends have drained; who hasn't been closed must have been told.
  void expect_both_drain(Pair& pair);
};

}  // namespace sluice::transport::contract
