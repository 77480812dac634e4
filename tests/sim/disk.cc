#include "tests/sim/disk.h"

#include <algorithm>
#include <utility>

#include "protocol/base/check.h"
#include "tests/sim/sim_backend.h"

namespace sluice::sim {

using protocol::IoOp;
using storage_node::BackendRequest;
using storage_node::VolumeState;

namespace {

std::uint64_t first_sector(const BackendRequest& request) {
  return request.offset.value() / kSectorBytes;
}
std::uint64_t sector_count(const BackendRequest& request) {
  return request.length / kSectorBytes;
}
std::span<std::byte, kSectorBytes> sector_of(std::vector<std::byte>& bytes, std::uint64_t sector) {
  return std::span(bytes).subspan(sector * kSectorBytes).first<kSectorBytes>();
}
std::span<const std::byte, kSectorBytes> sector_of(const std::vector<std::byte>& bytes,
                                                   std::uint64_t sector) {
  return std::span(bytes).subspan(sector * kSectorBytes).first<kSectorBytes>();
}

}  // namespace

std::string_view to_string(DiskFault fault) noexcept {
  static constexpr std::array<std::string_view, kDiskFaults> kNames = {
      "read_error", "write_error", "no_space",   "flush_error", "store_error", "slow",
      "hang",       "call_error",  "power_loss", "torn_write",  "lost_write",  "torn_state",
      "corruption", "orphan",      "lock_busy",  "restored"};
  return kNames[static_cast<std::size_t>(fault)];
}

SimDisk::SimDisk(transport::sim::Network& network, std::uint64_t seed, std::string name, ByteCount capacity,
                 DiskObserver& observer)
    : network_(network), random_(seed), name_(std::move(name)), capacity_(capacity), observer_(observer) {}

SimDisk::~SimDisk() {
  check(backends_.empty(), "backends go before their disk");
}

std::unique_ptr<storage_node::Backend> SimDisk::open_backend(std::size_t reactor, std::size_t reactors,
                                                             std::function<void()> ready) {
  const std::uint64_t number = next_backend_++;
  auto backend = std::make_unique<SimBackend>(*this, number, reactor, reactors, std::move(ready));
  backends_[number] = backend.get();
  return backend;
}

// ---- Faults

bool SimDisk::strikes(DiskFault fault) {
  const auto index = static_cast<std::size_t>(fault);
  if (next_strikes_[index] > 0) {
    --next_strikes_[index];
  } else if (!random_.chance_ppm(rates_ppm_[index])) {
    return false;
  }
  mark(fault);
  return true;
}

void SimDisk::set_rate(DiskFault fault, std::uint32_t ppm) noexcept {
  check(static_cast<std::size_t>(fault) < kRandomDiskFaults, "only random faults have a rate");
  rates_ppm_[static_cast<std::size_t>(fault)] = ppm;
}

void SimDisk::strike_next(DiskFault fault, std::uint32_t times) noexcept {
  check(static_cast<std::size_t>(fault) < kRandomDiskFaults, "only random faults have opportunities");
  next_strikes_[static_cast<std::size_t>(fault)] += times;
}

void SimDisk::calm() noexcept {
  rates_ppm_.fill(0);
  next_strikes_.fill(0);
}

bool SimDisk::corrupt_something() {
  for (auto& [volume, image] : images_) {
    const std::uint64_t count = image.sectors.size();
    if (count == 0) continue;
    const std::uint64_t start = random_.below(count);
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t sector = (start + i) % count;
      if (value(volume, sector) == kZeroes || image.sectors[sector] != Sector::stable) continue;
      const std::uint64_t at = sector * kSectorBytes + random_.below(kSectorBytes);
      image.current[at] ^= std::byte{0x40};
      std::ranges::copy(sector_of(image.current, sector), sector_of(image.stable, sector).begin());
      image.sectors[sector] = Sector::stable;
      mark(DiskFault::corruption);
      observer_.on_corrupted(*this, volume, sector);
      return true;
    }
  }
  return false;
}

void SimDisk::kill(storage_node::Backend& backend) {
  auto& killed = dynamic_cast<SimBackend&>(backend);
  for (auto& [number, operation] : operations_) {
    if (operation.backend != killed.number() || operation.is_orphan) continue;
    operation.is_orphan = true;
    // Seen on a slow device: writes went on landing for 3.76 s.
    if (random_.below(3) == 0) operation.not_before = network_.now() + random_.up_to(orphan_time);
    mark(DiskFault::orphan);
    if (operation.request.op == IoOp::write && !operation.is_store)
      operation.orphaned.assign(operation.request.data, operation.request.data + operation.request.length);
    operation.request.data = nullptr;
  }
  killed.die();
  backends_.erase(killed.number());
  for (auto& [volume, image] : images_) {
    if (image.locked_by != killed.number()) continue;
    image.is_open = false;
    release(image);
  }
}

void SimDisk::lose_power() {
  check(backends_.empty(), "the processes of a host are killed before its disk loses power");
  mark(DiskFault::power_loss);
  for (auto& [number, operation] : operations_) {
    Image& image = *find(operation.volume);
    if (operation.is_store) {
      mark(DiskFault::torn_state);
      if (random_.below(2) == 0) {
        const VolumeState before = std::exchange(image.state, operation.new_state);
        observer_.on_state_stored(*this, before, image.state);
      }
      continue;
    }
    for (Piece& piece : operation.pieces) {
      if (piece.done || !protocol::changes_data(operation.request.op)) continue;
      for (std::uint64_t i = 0; i < piece.count; ++i) {
        if (random_.below(2) == 0) continue;
        mark(DiskFault::torn_write);
        write_piece(operation, image, {piece.first + i, 1, false});
      }
    }
  }
  operations_.clear();
  for (auto& [volume, image] : images_) {
    for (std::uint64_t sector = 0; sector < image.sectors.size(); ++sector) {
      if (image.sectors[sector] == Sector::stable) continue;
      if (random_.below(2) == 0) {
        std::ranges::copy(sector_of(image.current, sector), sector_of(image.stable, sector).begin());
      } else {
        mark(DiskFault::lost_write);
      }
      image.sectors[sector] = Sector::stable;
    }
    image.current = image.stable;
    image.under_way = 0;
    image.locked_by = 0;
    image.is_open = false;
    observer_.on_power_lost(*this, volume);
  }
}

std::shared_ptr<const SimDisk::Copy> SimDisk::copy() const {
  auto copied = std::make_shared<Copy>();
  for (const auto& [volume, image] : images_)
    copied->volumes[volume] = {image.state, image.stable};
  return copied;
}

void SimDisk::restore(const Copy& copy) {
  check(backends_.empty() && operations_.empty(), "nobody uses a disk that is restored");
  mark(DiskFault::restored);
  images_.clear();
  for (const auto& [volume, saved] : copy.volumes) {
    Image image;
    image.state = saved.state;
    image.current = image.stable = saved.stable;
    image.sectors.resize(saved.stable.size() / kSectorBytes);
    images_[volume] = std::move(image);
  }
  observer_.on_restored(*this);
}

// ---- What is there

SimDisk::Image* SimDisk::find(VolumeId volume) {
  const auto found = images_.find(volume);
  return found == images_.end() ? nullptr : &found->second;
}

const VolumeState& SimDisk::state(VolumeId volume) const {
  return images_.at(volume).state;
}

Value SimDisk::value(VolumeId volume, std::uint64_t sector) const {
  return read_stamp(sector_of(images_.at(volume).current, sector), volume, sector);
}

Value SimDisk::stable_value(VolumeId volume, std::uint64_t sector) const {
  return read_stamp(sector_of(images_.at(volume).stable, sector), volume, sector);
}

std::vector<VolumeId> SimDisk::volumes() const {
  std::vector<VolumeId> all;
  for (const auto& [volume, image] : images_)
    all.push_back(volume);
  return all;
}

// ---- An operation's life

void SimDisk::start(Operation operation) {
  Image& image = *find(operation.volume);
  const std::uint64_t number = next_operation_++;
  check_overlap(operation);
  operation.status = choose_outcome(operation);
  if (operation.request.op == IoOp::flush && !operation.is_store) {
    for (std::uint64_t sector = 0; sector < image.sectors.size(); ++sector) {
      if (image.sectors[sector] == Sector::cached || image.sectors[sector] == Sector::rewritten)
        operation.flushes.push_back(sector);
    }
  } else if (!operation.is_store) {
    cut_into_pieces(operation);
  }
  ++image.under_way;
  const Duration takes = time_for(operation);
  const std::size_t pieces = operation.pieces.size();
  operations_[number] = std::move(operation);
  for (std::size_t i = 0; i < pieces; ++i)
    schedule_piece(number, i, network_.now() + random_.up_to(takes));
  schedule_finish(number, network_.now() + takes);
}

void SimDisk::schedule_piece(std::uint64_t number, std::size_t piece, Instant when) {
  network_.at(when, [this, number, piece] {
    const auto found = operations_.find(number);
    if (found == operations_.end()) return;  // the power went
    if (network_.now() < found->second.not_before)
      return schedule_piece(number, piece, found->second.not_before);
    take_effect(found->second, found->second.pieces[piece]);
  });
}

void SimDisk::schedule_finish(std::uint64_t number, Instant when) {
  network_.at(when, [this, number] {
    const auto found = operations_.find(number);
    if (found == operations_.end()) return;
    if (network_.now() < found->second.not_before) return schedule_finish(number, found->second.not_before);
    finish(number);
  });
}

/// Any two changes that overlap at the disk could land in either order: nobody may have two under way.
void SimDisk::check_overlap(const Operation& operation) {
  const auto ends = [](const Operation& each) { return each.request.offset.value() + each.request.length; };
  if (operation.is_store || !protocol::changes_data(operation.request.op)) return;
  for (const auto& [number, other] : operations_) {
    if (other.volume != operation.volume || other.is_store || !protocol::changes_data(other.request.op))
      continue;
    if (other.request.offset.value() < ends(operation) && operation.request.offset.value() < ends(other))
      observer_.on_overlap(*this, operation.volume,
                           "two overlapping changes of volume " + std::to_string(operation.volume.value()) +
                               " are under way at once, at byte " +
                               std::to_string(operation.request.offset.value()));
  }
}

StatusCode SimDisk::choose_outcome(const Operation& operation) {
  if (operation.is_store) return strikes(DiskFault::store_error) ? StatusCode::io_error : StatusCode::ok;
  switch (operation.request.op) {
    case IoOp::read:
      return strikes(DiskFault::read_error) ? StatusCode::io_error : StatusCode::ok;
    case IoOp::flush:
      return strikes(DiskFault::flush_error) ? StatusCode::io_error : StatusCode::ok;
    default:
      if (strikes(DiskFault::no_space)) return StatusCode::no_space;
      return strikes(DiskFault::write_error) ? StatusCode::io_error : StatusCode::ok;
  }
}

Duration SimDisk::time_for(const Operation& operation) {
  if (operation.is_store && random_.below(8) == 0) return random_.up_to(slow_max);
  if (strikes(DiskFault::hang)) return hang_time + random_.up_to(typical_max);
  if (strikes(DiskFault::slow)) return random_.up_to(slow_max);
  return typical_max / 10 + random_.up_to(typical_max);
}

/// Mostly one piece, sometimes several, which take effect in any order.
void SimDisk::cut_into_pieces(Operation& operation) {
  const std::uint64_t count = sector_count(operation.request);
  std::uint64_t at = first_sector(operation.request);
  const std::uint64_t end = at + count;
  const std::uint64_t pieces = random_.below(4) == 0 ? 1 + random_.below(3) : 1;
  while (at < end) {
    const std::uint64_t length = pieces == 1 ? count : std::min(end - at, 1 + random_.below(count));
    operation.pieces.push_back({at, length, false});
    at += length;
  }
}

void SimDisk::take_effect(Operation& operation, Piece& piece) {
  piece.done = true;
  Image& image = *find(operation.volume);
  if (operation.request.op == IoOp::read) {
    if (operation.is_orphan) return;
    const std::uint64_t at = piece.first * kSectorBytes;
    std::copy_n(image.current.begin() + static_cast<std::ptrdiff_t>(at), piece.count * kSectorBytes,
                operation.request.data + (at - operation.request.offset.value()));
    return;
  }
  write_piece(operation, image, piece);
}

void SimDisk::write_piece(Operation& operation, Image& image, const Piece& piece) {
  const std::byte* source = operation.orphaned.empty() ? operation.request.data : operation.orphaned.data();
  const bool partly = operation.status != StatusCode::ok || operation.request.op == IoOp::discard;
  const std::uint64_t prefix_end =
      first_sector(operation.request) + random_.below(sector_count(operation.request) + 1);
  for (std::uint64_t sector = piece.first; sector < piece.first + piece.count; ++sector) {
    if (operation.status == StatusCode::no_space && sector >= prefix_end) break;
    // A failed change may have changed any sector; a discard may leave any as it was.
    if (partly && operation.status != StatusCode::no_space && random_.below(2) == 0) continue;
    const std::span<std::byte, kSectorBytes> target = sector_of(image.current, sector);
    if (operation.request.op == IoOp::write) {
      std::copy_n(source + (sector * kSectorBytes - operation.request.offset.value()), kSectorBytes,
                  target.begin());
    } else {
      std::ranges::fill(target, std::byte{0});
    }
    const Sector before = image.sectors[sector];
    image.sectors[sector] =
        before == Sector::cached || before == Sector::rewritten ? Sector::rewritten : Sector::under_way;
    observer_.on_sectors_changed(*this, image.state, operation.request, ByteCount(sector * kSectorBytes),
                                 target);
    // A cache writes back whenever it likes.
    if (!operation.request.durable && random_.below(8) == 0)
      std::ranges::copy(target, sector_of(image.stable, sector).begin());
  }
}

void SimDisk::finish(std::uint64_t number) {
  const auto found = operations_.find(number);
  for (Piece& piece : found->second.pieces) {
    if (!piece.done) take_effect(found->second, piece);
  }
  const Operation operation = std::move(found->second);
  operations_.erase(found);
  Image& image = *find(operation.volume);
  if (operation.is_store) {
    if (operation.status == StatusCode::ok || random_.below(2) == 0) {
      const VolumeState before = std::exchange(image.state, operation.new_state);
      observer_.on_state_stored(*this, before, image.state);
    }
  } else if (operation.request.op == IoOp::flush) {
    finish_flush(image, operation);
  } else if (protocol::changes_data(operation.request.op)) {
    settle_sectors(image, operation);
  }
  --image.under_way;
  if (const auto backend = backends_.find(operation.backend); backend != backends_.end()) {
    backend->second->complete({operation.request.tag, operation.status}, operation.volume,
                              operation.new_state, operation.is_store);
  }
  release(image);
}

void SimDisk::finish_flush(Image& image, const Operation& operation) {
  for (const std::uint64_t sector : operation.flushes) {
    if (image.sectors[sector] == Sector::stable) continue;
    const bool fails = operation.status != StatusCode::ok && random_.below(2) == 0;
    if (!fails) std::ranges::copy(sector_of(image.current, sector), sector_of(image.stable, sector).begin());
    if (image.sectors[sector] == Sector::cached)
      image.sectors[sector] = fails ? Sector::forgotten : Sector::stable;
  }
}

void SimDisk::settle_sectors(Image& image, const Operation& operation) {
  const std::uint64_t first = first_sector(operation.request);
  for (std::uint64_t sector = first; sector < first + sector_count(operation.request); ++sector) {
    if (image.sectors[sector] != Sector::under_way && image.sectors[sector] != Sector::rewritten) continue;
    const bool is_stable = operation.request.durable && operation.status == StatusCode::ok;
    if (is_stable)
      std::ranges::copy(sector_of(image.current, sector), sector_of(image.stable, sector).begin());
    image.sectors[sector] = is_stable ? Sector::stable : Sector::cached;
  }
}

// ---- The lock (F2)

void SimDisk::release(Image& image) {
  if (image.is_open || image.under_way > 0) return;
  image.locked_by = 0;
}

void SimDisk::unlock(VolumeId volume, std::uint64_t backend) {
  Image* const image = find(volume);
  if (image == nullptr || image->locked_by != backend || !backends_.contains(backend)) return;
  if (image->under_way > 0) misuse("a volume's storage is closed while operations are under way");
  image->is_open = false;
  release(*image);
}

}  // namespace sluice::sim
