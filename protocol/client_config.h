#pragma once

#include <chrono>
#include <cstdint>

#include "protocol/base/clock.h"
#include "protocol/control_messages.h"
#include "protocol/limits.h"
#include "protocol/path_set.h"

namespace sluice::protocol {

/// What becomes of IO while no path to the volume is up (C2).
enum class OnLoss : std::uint8_t {
  queue,  ///< it waits for as long as it takes; close() is the way out
  fail,   ///< after `loss_deadline` everything outstanding completes, and new IO is refused, until a newer
          ///< session is there
};

struct ClientConfig {
  ClientId client;
  VolumeName volume;
  AccessMode mode = AccessMode::read_write;
  bool steal = false;  ///< for open() alone: a reopen never steals (C4)

  std::uint32_t max_outstanding = 256;  ///< operations, those that wait included
  std::uint32_t max_window =
      kDefaultWindowSize;  ///< a power of two; the smaller of this and the node's counts
  std::uint16_t path_depth = kDefaultPathDepth;    ///< requests in flight to ask for on each path
  std::uint32_t max_data_length = kMaxDataLength;  ///< bytes of the longest read or write

  OnLoss on_loss = OnLoss::queue;
  Duration loss_deadline = std::chrono::seconds(30);

  Duration io_timeout = std::chrono::seconds(10);  ///< a request that takes longer kills its path
  Duration keepalive_interval = std::chrono::seconds(1);
  std::uint32_t keepalive_misses = 3;  ///< intervals without a sign of life kill a path
  Backoff reconnect{std::chrono::milliseconds(100), std::chrono::seconds(5)};

  Duration control_timeout = std::chrono::seconds(2);  ///< then the question is asked again
  Backoff ask_again{std::chrono::milliseconds(50), std::chrono::seconds(2)};  ///< after "not now"
  Duration open_timeout = std::chrono::seconds(30);                           ///< for open() as a whole
  Duration ask_master_after = std::chrono::seconds(3);  ///< without a path, or an answer of the node
  Duration close_timeout = std::chrono::seconds(10);    ///< for each of close()'s three steps
};

}  // namespace sluice::protocol
