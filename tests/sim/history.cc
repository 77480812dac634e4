#include "tests/sim/history.h"

#include <algorithm>
#include <utility>

namespace sluice::sim {

using protocol::IoOp;
using protocol::WritePolicy;
using storage_node::BackendRequest;
using storage_node::VolumeState;

namespace {

std::uint64_t first_sector(ByteCount offset) {
  return offset.value() / kSectorBytes;
}
std::string to_text(Value value) {
  if (value == kZeroes) return "zeroes";
  if (value == kGarbage) return "garbage";
  return "write " + std::to_string(value);
}
std::string place(VolumeId volume, std::uint64_t sector) {
  return "volume " + std::to_string(volume.value()) + " sector " + std::to_string(sector);
}

}  // namespace

void History::violate(std::string rule, std::string what) {
  if (!violation_) violation_ = Violation{std::move(rule), std::move(what)};
}

std::string History::name_of(OpeningId opening) const {
  if (opening == OpeningId(0) || opening.value() > openings_.size()) return "nobody";
  return openings_[opening.value() - 1] + "#" + std::to_string(opening.value());
}

std::string History::describe(const Operation& operation) const {
  std::string text = std::string(to_string(operation.op)) + " " + std::to_string(operation.id.value()) +
                     " of " + name_of(operation.opening) + " on volume " +
                     std::to_string(operation.volume.value()) + " sectors " +
                     std::to_string(operation.first) + "+" + std::to_string(operation.count);
  if (operation.ended != 0) text += " (ended: " + std::string(to_string(operation.status)) + ")";
  if (operation.is_forgotten) text += " (its process is gone)";
  return text;
}

// ---- Callers

OpeningId History::open(const std::string& client) {
  openings_.push_back(client);
  return OpeningId(openings_.size());
}

void History::forget(OpeningId opening) {
  for (auto& [id, operation] : operations_) {
    if (operation.opening != opening || operation.ended != 0 || operation.is_forgotten) continue;
    operation.is_forgotten = true;
    --pending_;
  }
}

void History::acknowledge(OpeningId opening, VolumeId id, Gvn gvn) {
  ++counts_.acknowledgements;
  const auto found = volumes_.find(id);
  if (found == volumes_.end()) return violate("P2", "a session of a volume that was never made");
  Volume& volume = found->second;
  const auto [accepted, is_new] = volume.accepted.emplace(gvn, opening);
  if (accepted->second != opening)
    return violate("invariant 6", "version " + to_string(gvn) + " was accepted for " +
                                      name_of(accepted->second) + " and for " + name_of(opening));
  if (is_new && highest_fences_[{volume.home, id}] < gvn) {
    // The volume may have moved: then its fence is another disk's.
    const bool is_durable_elsewhere = std::ranges::any_of(
        highest_fences_, [&](const auto& entry) { return entry.first.second == id && entry.second >= gvn; });
    if (!is_durable_elsewhere)
      violate("invariant 9", "version " + to_string(gvn) + " of volume " + std::to_string(id.value()) +
                                 " was acknowledged before any disk had it as its fence");
  }
}

void History::note_version(OpeningId opening, VolumeId id, Gvn gvn) {
  Volume& volume = volumes_[id];
  volume.learned.insert(opening);
  const auto given = volume.given.find(gvn);
  if (store_was_restored_ || (given != volume.given.end() && given->second == opening)) return;
  violate("P2", name_of(opening) + " was given version " + to_string(gvn) + " of volume " +
                    std::to_string(id.value()) + ", which was never committed for it");
}

OperationId History::begin(OpeningId opening, VolumeId volume, IoOp op, bool fua, ByteCount offset,
                           std::uint32_t length) {
  Operation operation;
  operation.id = OperationId(++last_operation_);
  operation.opening = opening;
  operation.volume = volume;
  operation.op = op;
  operation.fua = fua;
  operation.first = first_sector(offset);
  operation.count = length / kSectorBytes;
  operation.begun = tick();
  operation.landed.resize(operation.count);
  operation.ever.resize(operation.count);
  operation.taken.resize(operation.count);
  operation.undone.resize(operation.count);
  ++counts_.started;
  ++pending_;
  operations_[operation.id] = operation;
  if (trace) trace("begins: " + describe(operation));
  return operation.id;
}

bool History::is_range_taken(VolumeId volume, IoOp op, ByteCount offset, std::uint32_t length) const {
  return std::ranges::any_of(operations_, [&](const auto& entry) {
    const Operation& each = entry.second;
    return each.volume == volume && each.op == op && each.first == first_sector(offset) &&
           each.count == length / kSectorBytes &&
           (each.ended == 0 || each.status == StatusCode::outcome_unknown);
  });
}

void History::end(OperationId id, StatusCode status, std::span<const std::byte> data) {
  const auto found = operations_.find(id);
  if (found == operations_.end() || found->second.ended != 0)
    return violate("exactly once", "operation " + std::to_string(id.value()) + " completed twice");
  Operation& operation = found->second;
  operation.ended = tick();
  operation.status = status;
  if (const SimDisk* const home = volumes_[operation.volume].home;
      home != nullptr && home->has(operation.volume))
    operation.fence_at_end = home->state(operation.volume).fence;
  if (!operation.is_forgotten) --pending_;
  if (trace) trace("ends: " + describe(operation));
  if (status == StatusCode::ok) {
    ++counts_.succeeded;
    if (operation.op == IoOp::read) check_read(operation, data);
    if (operation.op == IoOp::flush) check_flush(operation);
  } else if (status == StatusCode::outcome_unknown) {
    ++counts_.unknown;
  } else {
    ++counts_.failed;
    // Of what was acknowledged by now, that was the news: the next flush needn't tell again.
    if (operation.op == IoOp::flush && status == StatusCode::io_error) {
      Volume& volume = volumes_[operation.volume];
      std::erase_if(volume.unflushed, [&](OperationId each) { return operations_.at(each).ended != 0; });
    }
  }
  if (protocol::changes_data(operation.op)) check_change(operation);
  if (operations_.size() > prune_at_) prune();
}

/// A read returns, sector by sector, what the disk held at some moment between its start and its answer.
void History::check_read(const Operation& operation, std::span<const std::byte> data) {
  Volume& volume = volume_of(operation.volume, operation.first + operation.count);
  for (std::uint64_t i = 0; i < operation.count; ++i) {
    ++counts_.sectors_read;
    const std::uint64_t number = operation.first + i;
    const Sector& sector = volume.sectors[number];
    const Value value =
        read_stamp(data.subspan(i * kSectorBytes).first<kSectorBytes>(), operation.volume, number);
    bool is_possible = false;
    for (std::size_t e = sector.entries.size(); e-- > 0 && !is_possible;) {
      if (sector.entries[e].since > operation.ended) continue;
      is_possible = sector.entries[e].value == value;
      if (sector.entries[e].since <= operation.begun) break;
    }
    if (is_possible || sector.is_corrupt) continue;
    return violate("invariant 5", describe(operation) + " returned " + to_text(value) + " from sector " +
                                      std::to_string(number) +
                                      ", which the disk held at no time since it began; " + "now it holds " +
                                      to_text(sector.entries.back().value));
  }
}

void History::check_change(Operation& operation) {
  Volume& volume = volume_of(operation.volume, operation.first + operation.count);
  const auto has_landed = [&](std::size_t i) { return operation.ever[i]; };
  if (operation.status == StatusCode::ok) {
    // A discard may leave everything as it was.
    if (operation.op == IoOp::discard) return;
    const bool must_be_stable = volume.policy == WritePolicy::write_through || operation.fua;
    for (std::uint64_t i = 0; i < operation.count; ++i) {
      const std::uint64_t sector = operation.first + i;
      // The node's answer may have come before the loss, and the caller's after it (C3). A flush has to tell.
      if (!has_landed(i) && !must_be_stable && operation.taken[i]) {
        operation.was_lost = true;
        continue;
      }
      // The same with an older copy of the disk, which takes what was stable, too. Its operator has to tell.
      if (!has_landed(i) && operation.undone[i]) continue;
      if (!has_landed(i))
        return violate("P4", describe(operation) + " was acknowledged before it reached " +
                                 place(operation.volume, sector));
      if (must_be_stable && !is_stable(volume, operation, sector))
        return violate("invariant 10", describe(operation) + " was acknowledged before it was stable in " +
                                           place(operation.volume, sector));
    }
    if (!must_be_stable) volume.unflushed.insert(operation.id);
    return;
  }
  if (operation.status == StatusCode::outcome_unknown || operation.status == StatusCode::io_error ||
      operation.status == StatusCode::no_space)
    return;
  for (std::uint64_t i = 0; i < operation.count; ++i) {
    if (has_landed(i))
      return violate("C2", describe(operation) +
                               " was told to have failed for certain, and had an effect on " +
                               place(operation.volume, operation.first + i));
  }
}

/// The next flush that a node executes tells of a loss. Its answer may still be on its way, behind a later
/// flush's.
bool History::may_be_told_yet(const Operation& flush) const {
  return std::ranges::any_of(operations_, [&](const auto& entry) {
    const Operation& other = entry.second;
    return other.op == IoOp::flush && other.ended == 0 && !other.is_forgotten &&
           other.opening == flush.opening && other.volume == flush.volume;
  });
}

/// Everything that was acknowledged before the flush began is stable, unless a loss was told before.
void History::check_flush(const Operation& flush) {
  Volume& volume = volumes_[flush.volume];
  for (auto each = volume.unflushed.begin(); each != volume.unflushed.end();) {
    const Operation& change = operations_.at(*each);
    if (change.ended >= flush.begun) {
      ++each;
      continue;
    }
    if (change.was_lost && may_be_told_yet(flush)) {
      ++each;
      continue;
    }
    if (change.was_lost)
      return violate("invariant 10", describe(flush) + " succeeded although " + describe(change) +
                                         " was lost with the power after its acknowledgement");
    for (std::uint64_t i = 0; i < change.count; ++i) {
      if (!is_stable(volume, change, change.first + i))
        return violate("invariant 10",
                       describe(flush) + " succeeded although " + describe(change) +
                           ", acknowledged before, isn't stable in (it would hold " +
                           to_text(volume.home->stable_value(flush.volume, change.first + i)) + ") " +
                           place(flush.volume, change.first + i));
    }
    each = volume.unflushed.erase(each);
  }
}

/// Whether after a power loss the sector holds what the operation left there, or something newer.
bool History::is_stable(const Volume& volume, const Operation& operation, std::uint64_t sector) const {
  if (volume.home == nullptr || !volume.home->has(operation.volume)) return true;  // removed meanwhile
  if (volume.sectors[sector].is_corrupt) return true;
  const Value stable = volume.home->stable_value(operation.volume, sector);
  if (stable == (operation.op == IoOp::write ? operation.id.value() : kZeroes)) return true;
  const std::vector<Entry>& entries = volume.sectors[sector].entries;
  const auto found = std::find_if(entries.rbegin(), entries.rend(),
                                  [&](const Entry& entry) { return entry.value == stable; });
  return found != entries.rend() && found->since > operation.last_landing;
}

// ---- The metadata store

void History::on_volume_committed(const protocol::VolumeRecord& record) {
  Volume& volume = volumes_[record.id];
  volume.policy = record.policy;
  std::set<OpeningId> holders;
  for (const protocol::Holder& holder : record.holders) {
    const auto opening = openings_by_nonce_.find(holder.nonce.value());
    if (opening == openings_by_nonce_.end()) continue;
    holders.insert(opening->second);
    note_grant(volume, record.id, opening->second, holder.gvn);
  }
  // C4: who knew that it held the volume and is no longer a holder never becomes one again. (One whose
  // answers were all lost may go on asking for its open.)
  for (const OpeningId holder : volume.holders) {
    if (!holders.contains(holder) && volume.learned.contains(holder)) volume.displaced.insert(holder);
  }
  for (const OpeningId holder : holders) {
    if (volume.displaced.contains(holder) && !store_was_restored_)
      violate("C4", name_of(holder) + " holds volume " + std::to_string(record.id.value()) +
                        " again, after it had lost it");
  }
  volume.holders = std::move(holders);
}

/// Invariant 6, as far as the masters give versions.
void History::note_grant(Volume& volume, VolumeId id, OpeningId opening, Gvn gvn) {
  const auto [given, is_new] = volume.given.emplace(gvn, opening);
  if (!is_new && given->second == opening) return;
  if (!store_was_restored_ && (!is_new || gvn <= volume.highest_given))
    violate("invariant 6", "version " + to_string(gvn) + " of volume " + std::to_string(id.value()) +
                               " was given to " + name_of(opening) + ", after " +
                               to_string(volume.highest_given));
  given->second = opening;
  volume.highest_given = std::max(volume.highest_given, gvn);
}

void History::on_store_restored() {
  store_was_restored_ = true;
}

// ---- Disks

History::Volume& History::volume_of(VolumeId id, std::uint64_t sectors) {
  Volume& volume = volumes_[id];
  if (volume.sectors.size() < sectors) volume.sectors.resize(sectors);
  return volume;
}

void History::set_value(Volume& volume, std::uint64_t sector, Value value) {
  std::vector<Entry>& entries = volume.sectors[sector].entries;
  if (entries.back().value != value) entries.push_back({tick(), value});
}

History::Operation* History::find_write(Value value) {
  const auto found = operations_.find(OperationId(value));
  return found == operations_.end() ? nullptr : &found->second;
}

/// Zeroes don't tell where they come from: the change of this range that somebody waits for, or waited for
/// when its process went away; of the opening whose session it is, if there is one, and one that hasn't
/// reached this sector yet.
History::Operation* History::find_range_change(const VolumeState& state, const BackendRequest& request,
                                               std::uint64_t sector) {
  Operation* best = nullptr;
  const auto owner = volumes_[state.volume].given.find(state.fence);
  const auto rank = [&](const Operation& each) {
    const bool is_owners = owner != volumes_[state.volume].given.end() && owner->second == each.opening;
    return (is_owners ? 8 : 0) + (each.ended == 0 && !each.is_forgotten ? 4 : 0) +
           (each.ended == 0 || each.status == StatusCode::outcome_unknown ? 2 : 0) +
           (each.ever[sector - each.first] ? 0 : 1);
  };
  for (auto& [id, each] : operations_) {
    if (each.volume != state.volume || each.op != request.op || each.first != first_sector(request.offset) ||
        each.count != request.length / kSectorBytes)
      continue;
    if (best == nullptr || rank(each) > rank(*best)) best = &each;
  }
  return best;
}

void History::on_sectors_changed(SimDisk& disk, const VolumeState& state, const BackendRequest& request,
                                 ByteCount offset, std::span<const std::byte> data) {
  if (ignored_.contains(state.volume)) return;
  const std::uint64_t sectors = data.size() / kSectorBytes;
  Volume& volume = volume_of(state.volume, first_sector(offset) + sectors);
  if (state.incomplete) return;  // a copy into it: looked at when it is done
  if (!is_home(disk, state, volume)) return;
  for (std::uint64_t i = 0; i < sectors; ++i) {
    ++counts_.sectors_written;
    const std::uint64_t number = first_sector(offset) + i;
    const Value value =
        read_stamp(data.subspan(i * kSectorBytes).first<kSectorBytes>(), state.volume, number);
    Operation* const operation =
        request.op == IoOp::write ? find_write(value) : find_range_change(state, request, number);
    if (operation == nullptr || operation->volume != state.volume || number < operation->first ||
        number >= operation->first + operation->count)
      return violate("invariant 8", to_text(value) + " reached " + place(state.volume, number) + " by a " +
                                        std::string(to_string(request.op)) + " that nobody asked for");
    if (is_over(*operation, state))
      return violate(
          operation->status == StatusCode::outcome_unknown ? "invariant 1" : "invariant 4",
          describe(*operation) + " had an effect on " + place(state.volume, number) + " after its answer");
    if (trace) trace("lands: " + describe(*operation) + " in sector " + std::to_string(number));
    check_owner(state, volume, *operation);
    check_executions(state, volume, *operation, number);
    volume.sectors[number].is_corrupt = false;
    volume.sectors[number].lost = kGarbage;
    set_value(volume, number, value);
    operation->landed[number - operation->first] = true;
    operation->ever[number - operation->first] = true;
    operation->taken[number - operation->first] = false;
    operation->undone[number - operation->first] = false;
    operation->last_landing = now_;
  }
}

/// Whether nothing of it may take effect any more.
bool History::is_over(const Operation& operation, const VolumeState& state) {
  if (operation.ended == 0) return false;
  return operation.status != StatusCode::outcome_unknown || state.fence > operation.fence_at_end;
}

/// Invariants 1 and 2: what takes effect belongs to the opening whose version the disk has as its fence.
void History::check_owner(const VolumeState& state, const Volume& volume, const Operation& operation) {
  const auto owner = volume.given.find(state.fence);
  if (owner != volume.given.end() && owner->second == operation.opening) return;
  violate("invariant 1", describe(operation) + " had an effect although the fence is " +
                             to_string(state.fence) + ", which belongs to " +
                             (owner == volume.given.end() ? "nobody" : name_of(owner->second)));
}

/// Invariant 3.
void History::check_executions(const VolumeState& state, Volume& volume, Operation& operation,
                               std::uint64_t sector) {
  const std::size_t i = sector - operation.first;
  if (operation.fence != state.fence) {
    operation.fence = state.fence;
    operation.landed.assign(operation.count, false);
  }
  if (operation.landed[i])
    return violate("invariant 3", describe(operation) + " was executed twice in one session, in " +
                                      place(operation.volume, sector));
  if (operation.op == IoOp::write && operation.ever[i] &&
      volume.sectors[sector].entries.back().value != operation.id.value())
    return violate("invariant 3", describe(operation) + " came back over " +
                                      to_text(volume.sectors[sector].entries.back().value) + " in " +
                                      place(operation.volume, sector));
}

/// Where the volume lives: on the disk of the highest fence. A disk that takes over must hold what the old
/// one held.
bool History::is_home(SimDisk& disk, const VolumeState& state, Volume& volume) {
  if (volume.home == &disk) return true;
  if (volume.home != nullptr && volume.home->has(state.volume) &&
      volume.home->state(state.volume).fence >= state.fence) {
    violate("invariant 1", "something reached volume " + std::to_string(state.volume.value()) + " on " +
                               disk.name() + " at fence " + to_string(state.fence) +
                               ", although it lives on " + volume.home->name());
    return false;
  }
  check_same_contents(disk, state.volume, volume);
  volume.home = &disk;
  return true;
}

void History::check_same_contents(SimDisk& disk, VolumeId id, Volume& volume) {
  const std::uint64_t sectors =
      std::min<std::uint64_t>(volume.sectors.size(), disk.state(id).size.value() / kSectorBytes);
  for (std::uint64_t sector = 0; sector < sectors; ++sector) {
    if (volume.sectors[sector].is_corrupt) continue;
    const Value copied = disk.value(id, sector);
    if (copied == volume.sectors[sector].entries.back().value) continue;
    // It was copied before the old disk lost it with the power: so much the better.
    if (copied == volume.sectors[sector].lost && copied != kGarbage) {
      set_value(volume, sector, copied);
      continue;
    }
    return violate("invariant 4", "the copy on " + disk.name() + " holds " + to_text(disk.value(id, sector)) +
                                      " in " + place(id, sector) + ", where the volume holds " +
                                      to_text(volume.sectors[sector].entries.back().value));
  }
}

void History::on_created(SimDisk& disk, const VolumeState& state) {
  Volume& volume = volume_of(state.volume, state.size.value() / kSectorBytes);
  if (volume.home == nullptr && !state.incomplete) volume.home = &disk;
  highest_fences_[{&disk, state.volume}] = std::max(highest_fences_[{&disk, state.volume}], state.fence);
}

void History::on_removed(SimDisk& disk, VolumeId id) {
  // It has moved away; should it come back, it does so as a copy.
  const auto volume = volumes_.find(id);
  if (volume != volumes_.end() && volume->second.home == &disk) volume->second.home = nullptr;
}

void History::on_state_stored(SimDisk& disk, const VolumeState& before, const VolumeState& after) {
  if (after.fence < before.fence)
    violate("invariant 9", "the fence of volume " + std::to_string(after.volume.value()) + " on " +
                               disk.name() + " fell from " + to_string(before.fence) + " to " +
                               to_string(after.fence));
  if (trace)
    trace("stored: volume " + std::to_string(after.volume.value()) + " on " + disk.name() + " fence " +
          to_string(after.fence) + (after.incomplete ? " incomplete" : "") +
          (after.write_back_open ? " write_back_open" : ""));
  Gvn& highest = highest_fences_[{&disk, after.volume}];
  highest = std::max(highest, after.fence);
  if (ignored_.contains(after.volume)) return;
  const auto volume = volumes_.find(after.volume);
  // The first session of a disk: from here on it is the volume's home.
  if (volume != volumes_.end() && !after.incomplete && after.fence > before.fence &&
      volume->second.given.contains(after.fence))
    is_home(disk, after, volume->second);
}

void History::on_power_lost(SimDisk& disk, VolumeId id) {
  if (ignored_.contains(id)) return;
  Volume& volume = volume_of(id, disk.state(id).size.value() / kSectorBytes);
  if (volume.home != &disk) return;
  const std::uint64_t sectors = disk.state(id).size.value() / kSectorBytes;
  for (std::uint64_t sector = 0; sector < sectors; ++sector) {
    const Value before = volume.sectors[sector].entries.back().value;
    const Value after = disk.value(id, sector);
    if (before == after) continue;
    volume.sectors[sector].lost = before;
    set_value(volume, sector, after);
    // What was there is gone, and may be written again; if it was acknowledged, a flush has to tell.
    if (Operation* const lost = before == kZeroes ? nullptr : find_write(before)) {
      lost->ever[sector - lost->first] = false;
      lost->taken[sector - lost->first] = true;
      lost->landed[sector - lost->first] = false;
    }
  }
  for (const OperationId each : volume.unflushed) {
    Operation& change = operations_.at(each);
    for (std::uint64_t i = 0; i < change.count; ++i) {
      if (change.op == IoOp::write && !change.ever[i]) change.was_lost = true;
    }
  }
}

void History::on_restored(SimDisk& disk) {
  for (const VolumeId id : disk.volumes()) {
    highest_fences_[{&disk, id}] = disk.state(id).fence;
    for (auto& [operation_id, operation] : operations_) {
      for (std::uint64_t i = 0; operation.volume == id && operation.ended == 0 && i < operation.count; ++i)
        operation.undone[i] = operation.ever[i] || operation.undone[i];
    }
    on_power_lost(disk, id);
    Volume& volume = volumes_[id];
    for (auto& [operation_id, operation] : operations_) {
      if (operation.volume != id) continue;
      operation.landed.assign(operation.count, false);
      if (operation.ended == 0) operation.ever.assign(operation.count, false);
    }
    for (const OperationId each : volume.unflushed)
      operations_.at(each).was_lost = false;
    volume.unflushed.clear();
  }
}

void History::on_corrupted(SimDisk& /*disk*/, VolumeId id, std::uint64_t sector) {
  // Of a copy, too: it may become the volume's home.
  volume_of(id, sector + 1).sectors[sector].is_corrupt = true;
}

void History::on_misuse(SimDisk& disk, std::string what) {
  violate("disk contract", disk.name() + ": " + what);
}

void History::on_overlap(SimDisk& disk, VolumeId volume, std::string what) {
  if (!ignored_.contains(volume)) on_misuse(disk, std::move(what));
}

/// Forgets operations that can't matter any more, and values that nobody can read or lose any more.
void History::prune() {
  constexpr std::size_t kRecent = 2048;
  Tick oldest = now_;
  for (const auto& [id, operation] : operations_) {
    if (operation.ended == 0 && !operation.is_forgotten) oldest = std::min(oldest, operation.begun);
  }
  for (auto& [id, volume] : volumes_) {
    for (std::uint64_t number = 0; number < volume.sectors.size(); ++number)
      prune(volume, id, number, oldest);
  }
  std::erase_if(operations_, [&](const auto& entry) {
    const Operation& operation = entry.second;
    return operation.ended != 0 && operation.status != StatusCode::outcome_unknown &&
           operation.ended < oldest && operation.id.value() + kRecent < last_operation_ &&
           !volumes_[operation.volume].unflushed.contains(operation.id);
  });
  prune_at_ = operations_.size() + kRecent;
}

void History::prune(Volume& volume, VolumeId id, std::uint64_t number, Tick oldest) {
  std::vector<Entry>& entries = volume.sectors[number].entries;
  if (entries.size() < 16) return;
  std::size_t useless = 0;
  while (useless + 1 < entries.size() && entries[useless + 1].since < oldest)
    ++useless;
  if (volume.home != nullptr && volume.home->has(id)) {
    const Value stable = volume.home->stable_value(id, number);
    const auto kept = std::ranges::find(entries.rbegin(), entries.rend(), stable, &Entry::value);
    if (kept != entries.rend())
      useless = std::min(useless, entries.size() - 1 - static_cast<std::size_t>(kept - entries.rbegin()));
  }
  entries.erase(entries.begin(), entries.begin() + static_cast<std::ptrdiff_t>(useless));
}

}  // namespace sluice::sim
