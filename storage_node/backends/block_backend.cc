#include "storage_node/backends/block_backend.h"

#include <algorithm>
#include <map>

#include "storage_node/backends/volume_states.h"

namespace sluice::storage_node {
namespace {

ByteCount room_on(ByteCount device_size) {
  return ByteCount(device_size.value() - std::min(device_size.value(), kDataOffset.value()));
}

Status check_tombstone(const VolumeState& state, const std::string& directory) {
  if (state.removed) return {};
  return fail(
      StatusCode::malformed,
      directory + " holds volume " + std::to_string(state.volume.value()) +
          " of the file backend, but this node is configured for block devices: configure `file`, or give "
          "it another data directory");
}

}  // namespace

Result<std::unique_ptr<BlockBackend>> BlockBackend::open(const DataDirectory& directory,
                                                         std::vector<std::string> devices, ReactorShare share,
                                                         const LogSink& log) {
  auto tombstones = VolumeDirectory::open(directory, share, log);
  if (!tombstones) return tl::unexpected(tombstones.error());
  auto queue = UringQueue::create(log);
  if (!queue) return tl::unexpected(queue.error());
  return std::unique_ptr<BlockBackend>(
      new BlockBackend(std::move(*queue), std::move(*tombstones), std::move(devices), share, log));
}

BlockBackend::BlockBackend(std::unique_ptr<UringQueue> queue, VolumeDirectory tombstones,
                           std::vector<std::string> devices, ReactorShare share, LogSink log) noexcept
    : UringBackend(std::move(queue)),
      tombstones_(std::move(tombstones)),
      devices_(std::move(devices)),
      share_(share),
      log_(std::move(log)) {}

Result<std::vector<BlockBackend::Device>> BlockBackend::scan() const {
  std::vector<Device> devices;
  std::map<VolumeId, std::string> holders;
  for (const std::string& path : devices_) {
    const auto file = open_device(path);
    if (!file) return tl::unexpected(file.error());
    const auto size = device_size(*file);
    if (!size) return tl::unexpected(size.error());
    const auto content = look_at(*file);
    if (!content) return tl::unexpected(content.error());
    Device device{.path = path, .room = room_on(*size), .volume = std::nullopt};
    if (*content != DeviceContent::blank) {
      const auto pair = read_superblocks(*file);
      if (!pair) return tl::unexpected(pair.error());
      device.volume = pair->newest.state;
      const auto [holder, is_first] = holders.emplace(pair->newest.state.volume, path);
      if (!is_first) {
        return fail(StatusCode::malformed, "devices " + holder->second + " and " + path +
                                               " both hold volume " +
                                               std::to_string(pair->newest.state.volume.value()) +
                                               ": one is a copy; take it out of this node's devices");
      }
    }
    devices.push_back(std::move(device));
  }
  return devices;
}

Result<std::optional<BlockBackend::Device>> BlockBackend::find(VolumeId volume) const {
  auto devices = scan();
  if (!devices) return tl::unexpected(devices.error());
  for (Device& device : *devices) {
    if (device.volume && device.volume->volume == volume) return std::optional<Device>(std::move(device));
  }
  return std::optional<Device>();
}

Result<std::optional<VolumeState>> BlockBackend::find_tombstone(VolumeId volume) const {
  auto found = tombstones_.find(volume);
  if (!found || !*found) return found;
  if (auto fits = check_tombstone(**found, tombstones_.path()); !fits) return tl::unexpected(fits.error());
  return found;
}

Result<std::vector<VolumeState>> BlockBackend::list() {
  const auto tombstones = tombstones_.list();
  if (!tombstones) return tl::unexpected(tombstones.error());
  const auto devices = scan();
  if (!devices) return tl::unexpected(devices.error());
  std::map<VolumeId, VolumeState> states;
  for (const VolumeState& tombstone : *tombstones) {
    if (auto fits = check_tombstone(tombstone, tombstones_.path()); !fits)
      return tl::unexpected(fits.error());
    states.emplace(tombstone.volume, tombstone);
  }
  for (const Device& device : *devices) {
    if (!device.volume || !share_.has(device.volume->volume)) continue;
    const auto [state, is_alive] = states.emplace(device.volume->volume, *device.volume);
    if (!is_alive) state->second = with_fence_of(state->second, *device.volume);
  }
  std::vector<VolumeState> sorted;
  sorted.reserve(states.size());
  for (const auto& [volume, state] : states)
    sorted.push_back(state);
  return sorted;
}

Status BlockBackend::create(const VolumeState& state) {
  if (auto possible = check_shape(state); !possible) return possible;
  const auto tombstone = find_tombstone(state.volume);
  if (!tombstone) return tl::unexpected(tombstone.error());
  auto devices = scan();
  if (!devices) return tl::unexpected(devices.error());

  const auto own = std::find_if(devices->begin(), devices->end(), [&](const Device& device) {
    return device.volume && device.volume->volume == state.volume;
  });
  if (own != devices->end() && !*tombstone) return check_same_shape(*own->volume, state);

  std::vector<Device> candidates;
  if (own != devices->end()) {
    candidates.push_back(*own);  // whatever was interrupted there starts over
  } else {
    std::copy_if(devices->begin(), devices->end(), std::back_inserter(candidates),
                 [&](const Device& device) { return !device.volume && device.room >= state.size; });
    std::sort(candidates.begin(), candidates.end(),
              [](const Device& a, const Device& b) { return a.room < b.room; });
  }
  if (auto made = create_on_one_of(candidates, *tombstone ? with_fence_of(state, **tombstone) : state);
      !made) {
    return made;
  }
  return tombstones_.forget(state.volume);
}

Status BlockBackend::create_on_one_of(const std::vector<Device>& candidates, const VolumeState& state) const {
  Status last = fail(StatusCode::no_space, "no blank device has room for volume " +
                                               std::to_string(state.volume.value()) + " with its " +
                                               std::to_string(state.size.value()) + " bytes");
  for (const Device& device : candidates) {
    last = create_on(device, state);
    if (last) return last;
    // Another reactor took it just now, or it can't have such blocks: the next one may do.
    if (last.error().code != StatusCode::busy && last.error().code != StatusCode::invalid_argument)
      return last;
  }
  return last;
}

Status BlockBackend::create_on(const Device& device, const VolumeState& state) const {
  const auto file = claim_device(device.path);
  if (!file) return tl::unexpected(file.error());
  const auto content = look_at(*file);
  if (!content) return tl::unexpected(content.error());
  std::uint64_t sequence = 1;
  VolumeState created = state;
  if (*content != DeviceContent::blank) {
    const auto superblock = read_and_repair(*file, log_);
    if (!superblock) return tl::unexpected(superblock.error());
    if (superblock->state.volume != state.volume) {
      return fail(StatusCode::busy, "device " + device.path + " was taken by volume " +
                                        std::to_string(superblock->state.volume.value()));
    }
    sequence = superblock->sequence + 1;
    created = with_fence_of(state, superblock->state);
  }
  if (device.room < state.size) {
    return fail(StatusCode::no_space, "device " + device.path + " is too small for " +
                                          std::to_string(state.size.value()) + " bytes of data");
  }
  if (auto direct = check_direct_io(*file, state.block_size); !direct) return direct;
  if (auto zeroed = zero_durably(*file, kDataOffset.value(), state.size.value()); !zeroed) return zeroed;
  return write_superblocks(*file, {.sequence = sequence, .state = created}, 0);
}

Result<std::unique_ptr<VolumeStorage>> BlockBackend::open(VolumeId volume) {
  const auto tombstone = find_tombstone(volume);
  if (!tombstone) return tl::unexpected(tombstone.error());
  const auto device = find(volume);
  if (!device) return tl::unexpected(device.error());
  if (*tombstone || !*device) {
    return fail(StatusCode::not_found,
                "volume " + std::to_string(volume.value()) + " is on none of this node's devices");
  }
  auto file = claim_device((*device)->path);
  if (!file) return tl::unexpected(file.error());
  const auto superblock = read_and_repair(*file, log_);
  if (!superblock) return tl::unexpected(superblock.error());
  const VolumeState& state = superblock->state;
  if (state.volume != volume) return fail(StatusCode::busy, "device " + file->name + " is changing hands");
  if (state.size > (*device)->room) {
    return fail(StatusCode::malformed, "device " + file->name +
                                           " is smaller than the volume on it, which has " +
                                           std::to_string(state.size.value()) + " bytes");
  }
  if (auto direct = check_direct_io(*file, state.block_size); !direct) return tl::unexpected(direct.error());
  return std::make_unique<UringStorage>(queue(), zeroes(), resizer_, std::move(*file), *superblock);
}

Status BlockBackend::remove(VolumeId volume) {
  const auto tombstone = find_tombstone(volume);
  if (!tombstone) return tl::unexpected(tombstone.error());
  const auto device = find(volume);
  if (!device) return tl::unexpected(device.error());
  if (!*device) return {};
  const auto file = claim_device((*device)->path);
  if (!file) return tl::unexpected(file.error());
  const auto superblock = read_and_repair(*file, log_);
  if (!superblock) return tl::unexpected(superblock.error());
  if (superblock->state.volume != volume)
    return fail(StatusCode::busy, "device " + file->name + " is changing hands");
  if (!*tombstone) {
    if (auto made = tombstones_.create(tombstone_of(superblock->state)); !made) return made;
  }
  discard(*file, kDataOffset.value(), superblock->state.size.value());
  return zero_durably(*file, 0, kDataOffset.value());
}

Result<BackendSpace> BlockBackend::space() {
  const auto devices = scan();
  if (!devices) return tl::unexpected(devices.error());
  std::uint64_t capacity = 0;
  std::uint64_t largest = 0;
  for (const Device& device : *devices) {
    capacity += device.room.value();
    if (!device.volume) largest = std::max(largest, device.room.value());
  }
  return BackendSpace{.capacity = ByteCount(capacity), .free = ByteCount(largest)};
}

Status BlockBackend::DeviceResizer::extend(const VolumeFile& file, ByteCount from, ByteCount to) const {
  const auto size = device_size(file);
  if (!size) return tl::unexpected(size.error());
  if (room_on(*size) < to) {
    return fail(StatusCode::no_space, "device " + file.name + " has room for " +
                                          std::to_string(room_on(*size).value()) +
                                          " bytes of data, not for " + std::to_string(to.value()));
  }
  return zero_durably(file, kDataOffset.value() + from.value(), to.value() - from.value());
}

Status BlockBackend::DeviceResizer::cut(const VolumeFile& file, ByteCount from, ByteCount to) const {
  discard(file, kDataOffset.value() + to.value(), from.value() - to.value());
  return {};
}

}  // namespace sluice::storage_node
