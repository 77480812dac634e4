#pragma once

#include <utility>

#include "client/block_client.h"
#include "client/cli/command.h"
#include "client/cli/interrupt.h"

namespace sluice::cli {

/// Opens a volume, uses it, and gives it up whatever came of that, so that it isn't left held.
template <typename Use>
Status with_volume(Context& context, const client::BlockClientConfig& config, const Use& use) {
  // Opening is patient. That there is no such volume or no master is told at once.
  if (const auto found = context.find_volume(config.volume); !found) return tl::unexpected(found.error());
  const InterruptGuard interrupts;
  const auto volume = client::BlockClient::open(config);
  if (!volume) return tl::unexpected(volume.error());
  Status outcome = use(**volume);
  Status closed = (*volume)->close();
  return outcome ? closed : outcome;
}

}  // namespace sluice::cli
