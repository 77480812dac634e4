// The part of VolumeRegistry that deals with what nodes made of their orders.

#include <utility>

#include "master/node_name.h"
#include "master/volume_registry.h"
#include "protocol/base/check.h"
#include "runtime/log_line.h"

namespace sluice::master {

using protocol::NodeId;
using protocol::VolumeRecord;
using protocol::VolumeVerb;
using runtime::LogLine;
using transport::LogLevel;

void VolumeRegistry::on_outcome(const DutyOutcome& outcome) {
  if (outcome.error.code != StatusCode::ok) {
    log(LogLevel::warning,
        LogLine(outcome.will_retry ? "a node's part failed, it is tried again" : "a node's part failed")
            .with("volume", outcome.volume)
            .with("node", outcome.node)
            .because(outcome.error)
            .text());
  }
  switch (outcome.duty) {
    case Duty::make:
      on_made(outcome);
      break;
    case Duty::resize:
      on_resized(outcome);
      break;
    case Duty::give_back:
      on_given_back(outcome);
      break;
    case Duty::fill:
      on_filled(outcome);
      break;
    case Duty::none:
    case Duty::wait:
      check(false, "only what was ordered has an outcome");
  }
  sync(outcome.volume);
}

void VolumeRegistry::on_made(const DutyOutcome& outcome) {
  if (outcome.error.code == StatusCode::ok) {
    const Status kept = ledger_.update([&](MetadataTransaction& transaction) -> Status {
      std::optional<VolumeRecord> volume = transaction.find_volume(outcome.volume);
      if (!volume) return {};
      volume->has_storage = true;
      transaction.put_volume(*volume);
      transaction.settle(outcome.volume, outcome.node);
      return {};
    });
    if (!kept) return;
    log(LogLevel::info,
        LogLine("volume made").with("volume", outcome.volume).with("node", outcome.node).text());
    return answer_waiters(outcome.volume, outcome.node, {});
  }
  // Somebody waits, or it never will be: nothing shall be left of it.
  if (outcome.will_retry && !someone_waits(outcome.volume)) return;
  if (!forget_unmade(outcome.volume)) return;
  answer_waiters(outcome.volume, outcome.node,
                 fail(outcome.error.code,
                      name_of(outcome.node) + " couldn't make the volume: " + outcome.error.describe()));
}

void VolumeRegistry::on_resized(const DutyOutcome& outcome) {
  if (outcome.error.code == StatusCode::ok) {
    const Status kept = ledger_.update([&](MetadataTransaction& transaction) -> Status {
      std::optional<VolumeRecord> volume = transaction.find_volume(outcome.volume);
      if (!volume) return {};
      // Nothing to take over: the order was given once more before the store could be told that it is done.
      if (volume->resizing_to != ByteCount(0)) {
        volume->size = std::exchange(volume->resizing_to, ByteCount(0));
        transaction.put_volume(*volume);
      }
      transaction.settle(outcome.volume, outcome.node);
      return {};
    });
    if (kept) answer_waiters(outcome.volume, outcome.node, {});
    return;
  }
  if (outcome.will_retry && !someone_waits(outcome.volume)) return;
  if (!give_up_resize(outcome.volume)) return;
  answer_waiters(outcome.volume, outcome.node,
                 fail(outcome.error.code,
                      name_of(outcome.node) + " couldn't resize the volume: " + outcome.error.describe()));
}

void VolumeRegistry::on_given_back(const DutyOutcome& outcome) {
  if (outcome.error.code == StatusCode::ok) {
    const Status kept = ledger_.update([&](MetadataTransaction& transaction) -> Status {
      transaction.settle(outcome.volume, outcome.node);
      return {};
    });
    if (!kept) return;
    log(LogLevel::info,
        LogLine("storage given back").with("volume", outcome.volume).with("node", outcome.node).text());
  }
  // The volume is gone in any case.
  answer_waiters(outcome.volume, outcome.node, {});
}

void VolumeRegistry::on_filled(const DutyOutcome& outcome) {
  if (outcome.error.code == StatusCode::ok) {
    const Status moved =
        ledger_.service().on_quiesced(outcome.source, {StatusCode::ok, outcome.volume, outcome.fence});
    LogLine line(moved ? "volume moved" : "volume not moved yet");
    line.with("volume", outcome.volume).with("from", outcome.source).with("to", outcome.node);
    if (!moved) line.because(moved.error());
    return log(moved ? LogLevel::info : LogLevel::warning, line.text());
  }
  if (outcome.will_retry) return;
  // It can't come to be there, so it had better be usable where it is.
  if (const Status cancelled = ledger_.service().cancel_move(outcome.volume)) {
    log(LogLevel::warning,
        LogLine("move cancelled").with("volume", outcome.volume).with("stays_on", outcome.source).text());
  }
}

/// Removes a volume that never had storage; what its node may have made of it is to be given back.
Status VolumeRegistry::forget_unmade(VolumeId id) {
  return ledger_.update([&](MetadataTransaction& transaction) -> Status {
    const std::optional<VolumeRecord> volume = transaction.find_volume(id);
    if (volume && !volume->has_storage) transaction.remove_volume(id);
    return {};
  });
}

Status VolumeRegistry::give_up_resize(VolumeId id) {
  return ledger_.update([&](MetadataTransaction& transaction) -> Status {
    std::optional<VolumeRecord> volume = transaction.find_volume(id);
    if (!volume) return {};
    volume->resizing_to = ByteCount(0);
    transaction.put_volume(*volume);
    return {};
  });
}

void VolumeRegistry::on_node_lost(NodeId node) {
  std::set<VolumeId> concerned;
  for (const auto& [volume, waiter] : waiters_) {
    if (waiter.node == node) concerned.insert(volume);
  }
  for (const VolumeId volume : concerned) {
    switch (waiters_.find(volume)->second.verb) {
      case VolumeVerb::create:
        static_cast<void>(forget_unmade(volume));
        break;
      case VolumeVerb::resize:
        static_cast<void>(give_up_resize(volume));
        break;
      default:  // removed, which it is
        answer_waiters(volume, node, {});
        continue;
    }
    answer_waiters(
        volume, node,
        fail(StatusCode::unavailable,
             name_of(node) + " was lost before it had confirmed; look at the volume, then try again"));
    sync(volume);
  }
}

}  // namespace sluice::master
