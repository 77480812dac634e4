#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/units.h"
#include "storage_node/backend.h"
#include "tests/sim/stamp.h"
#include "transport/sim/network.h"
#include "transport/sim/random.h"

namespace sluice::sim {

class SimBackend;
class SimDisk;

/// Told what a disk does, as it does it: at these moments operations have their effect, whatever anybody
/// believes about them. Not to call back.
class DiskObserver {
 public:
  DiskObserver() = default;
  DiskObserver(const DiskObserver&) = delete;
  DiskObserver& operator=(const DiskObserver&) = delete;
  virtual ~DiskObserver() = default;

  /// A part of `request` reached the disk: `data` is what the sectors from byte `offset` on hold now.
  virtual void on_sectors_changed(SimDisk& disk, const storage_node::VolumeState& volume,
                                  const storage_node::BackendRequest& request, ByteCount offset,
                                  std::span<const std::byte> data) = 0;
  virtual void on_created(SimDisk& disk, const storage_node::VolumeState& volume) = 0;
  virtual void on_removed(SimDisk& disk, VolumeId volume) = 0;
  virtual void on_state_stored(SimDisk& disk, const storage_node::VolumeState& before,
                               const storage_node::VolumeState& after) = 0;
  /// The volume's sectors hold what was stable, or what of the rest happened to make it.
  virtual void on_power_lost(SimDisk& disk, VolumeId volume) = 0;
  /// The medium was replaced by an older copy of itself.
  virtual void on_restored(SimDisk& disk) = 0;
  virtual void on_corrupted(SimDisk& disk, VolumeId volume, std::uint64_t sector) = 0;
  /// What no disk should be asked to do.
  virtual void on_misuse(SimDisk& disk, std::string what) = 0;
  /// C1 and F1: two changes that overlap are under way at once, and could land in either order.
  virtual void on_overlap(SimDisk& disk, VolumeId /*volume*/, std::string what) {
    on_misuse(disk, std::move(what));
  }
};

enum class DiskFault : std::uint8_t {
  read_error,   ///< EIO, or short
  write_error,  ///< EIO, or short: any of the sectors may hold the new data
  no_space,     ///< ENOSPC: a prefix was written
  flush_error,  ///< what was to be flushed counts as clean, and may be lost (as Linux does)
  store_error,  ///< a state that was to be stored: it is the new or the old one
  slow,         ///< up to slow_max late
  hang,         ///< `hang_time` late
  call_error,   ///< create, open, remove, resize fail
  power_loss,
  torn_write,  ///< a power loss left a part of a write that was under way
  lost_write,  ///< a power loss took a write that wasn't stable
  torn_state,  ///< a power loss met a state that was being stored
  corruption,  ///< a sector silently holds something else
  orphan,      ///< an operation went on after its process was killed
  lock_busy,   ///< a volume was still locked by a killed process
  restored,    ///< an old copy
};
inline constexpr std::size_t kDiskFaults = static_cast<std::size_t>(DiskFault::restored) + 1;
inline constexpr std::size_t kRandomDiskFaults = static_cast<std::size_t>(DiskFault::power_loss);
[[nodiscard]] std::string_view to_string(DiskFault fault) noexcept;

/// A host's disk: volumes with a volatile cache over a stable medium, which outlives the processes that use
/// it. Operations take time, in any order, take effect in pieces of sectors, and read or write their buffers
/// when they do. What happens depends on the seed and the calls alone.
class SimDisk {
 public:
  /// `network` supplies time; it and the observer outlive the disk.
  SimDisk(transport::sim::Network& network, std::uint64_t seed, std::string name, ByteCount capacity,
          DiskObserver& observer);
  SimDisk(const SimDisk&) = delete;
  SimDisk& operator=(const SimDisk&) = delete;
  ~SimDisk();

  /// For one thread of a process: the volumes of reactor `reactor` of `reactors`. `ready`: called when there
  /// is a completion to poll. Goes before the disk.
  std::unique_ptr<storage_node::Backend> open_backend(std::size_t reactor, std::size_t reactors,
                                                      std::function<void()> ready);

  /// SIGKILL for a process: its operations under way go on, with the data that they had, and its volumes stay
  /// locked until the last of them is done (F2). The backend's calls do nothing from here on.
  void kill(storage_node::Backend& backend);
  /// Of the writes under way any sectors may land, and nothing else happens. Kill the processes first.
  void lose_power();

  /// Rates in parts per million, of the first group.
  void set_rate(DiskFault fault, std::uint32_t ppm) noexcept;
  /// The fault's next `times` opportunities are taken.
  void strike_next(DiskFault fault, std::uint32_t times = 1) noexcept;
  void calm() noexcept;
  [[nodiscard]] std::uint64_t count(DiskFault fault) const noexcept {
    return counts_[static_cast<std::size_t>(fault)];
  }
  /// Changes some sector that was written once. False: there is none.
  bool corrupt_something();

  Duration typical_max = std::chrono::microseconds(300);  ///< an operation takes up to this
  Duration slow_max = std::chrono::milliseconds(50);
  Duration orphan_time = std::chrono::seconds(4);  ///< that a dead process's operations may take on top
  Duration hang_time = std::chrono::seconds(10);
  /// Called before and after each call that changes the disk at once: a process may be killed in there.
  std::function<void()> call_hook;

  /// A backup of what is stable now.
  struct Copy;
  [[nodiscard]] std::shared_ptr<const Copy> copy() const;
  /// Puts a backup back; nobody may use the disk.
  void restore(const Copy& copy);

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  /// A tombstone isn't a volume.
  [[nodiscard]] bool has(VolumeId volume) const {
    const auto found = images_.find(volume);
    return found != images_.end() && !found->second.state.removed;
  }
  [[nodiscard]] const storage_node::VolumeState& state(VolumeId volume) const;
  [[nodiscard]] Value value(VolumeId volume, std::uint64_t sector) const;
  /// What would be there after a power loss that spares nothing.
  [[nodiscard]] Value stable_value(VolumeId volume, std::uint64_t sector) const;
  [[nodiscard]] std::vector<VolumeId> volumes() const;
  [[nodiscard]] std::size_t operations_under_way() const noexcept { return operations_.size(); }
  [[nodiscard]] bool is_storing_a_state() const {
    return std::ranges::any_of(operations_, [](const auto& each) { return each.second.is_store; });
  }
  [[nodiscard]] transport::sim::Network& network() noexcept { return network_; }

 private:
  friend class SimBackend;
  friend class SimStorage;

  /// What a sector's newest value is to the medium.
  enum class Sector : std::uint8_t {
    stable,
    under_way,  ///< written, by an operation that hasn't completed
    rewritten,  ///< the same, over one that was cached: a flush of now makes either stable
    cached,     ///< completed, and lost with the power; a flush makes it stable
    forgotten,  ///< the same, but the kernel believes it clean after a failed flush
  };
  struct Image {
    storage_node::VolumeState state;  ///< durable
    std::vector<std::byte> current;
    std::vector<std::byte> stable;
    std::vector<Sector> sectors;
    std::uint64_t locked_by = 0;  ///< a backend's number
    bool is_open = false;         ///< its storage object exists
    std::uint32_t under_way = 0;
  };
  struct Piece {
    std::uint64_t first = 0;  ///< sector of the volume
    std::uint64_t count = 0;
    bool done = false;
  };
  struct Operation {
    std::uint64_t backend = 0;
    VolumeId volume;
    storage_node::BackendRequest request;
    bool is_store = false;
    storage_node::VolumeState new_state;
    StatusCode status = StatusCode::ok;
    std::vector<Piece> pieces;
    std::vector<std::uint64_t> flushes;  ///< sectors that a flush makes stable
    std::vector<std::byte> orphaned;     ///< the data, once the process is gone
    bool is_orphan = false;
    Instant not_before;  ///< an orphan's effect and end
  };

  bool strikes(DiskFault fault);
  void mark(DiskFault fault) noexcept { ++counts_[static_cast<std::size_t>(fault)]; }
  [[nodiscard]] Image* find(VolumeId volume);

  void start(Operation operation);
  void schedule_piece(std::uint64_t number, std::size_t piece, Instant when);
  void schedule_finish(std::uint64_t number, Instant when);
  void cut_into_pieces(Operation& operation);
  [[nodiscard]] Duration time_for(const Operation& operation);
  [[nodiscard]] StatusCode choose_outcome(const Operation& operation);
  void check_overlap(const Operation& operation);
  void take_effect(Operation& operation, Piece& piece);
  void write_piece(Operation& operation, Image& image, const Piece& piece);
  void finish(std::uint64_t number);
  void finish_flush(Image& image, const Operation& operation);
  void settle_sectors(Image& image, const Operation& operation);
  void release(Image& image);
  void unlock(VolumeId volume, std::uint64_t backend);
  void misuse(std::string what) { observer_.on_misuse(*this, std::move(what)); }
  void called() {
    if (call_hook) call_hook();
  }

  transport::sim::Network& network_;
  transport::sim::Random random_;
  std::string name_;
  ByteCount capacity_;
  DiskObserver& observer_;
  std::map<VolumeId, Image> images_;
  std::map<std::uint64_t, Operation> operations_;  ///< under way, by number
  std::map<std::uint64_t, SimBackend*> backends_;  ///< that live
  std::uint64_t next_operation_ = 1;
  std::uint64_t next_backend_ = 1;
  std::array<std::uint32_t, kRandomDiskFaults> rates_ppm_{};
  std::array<std::uint32_t, kRandomDiskFaults> next_strikes_{};
  std::array<std::uint64_t, kDiskFaults> counts_{};
};

struct SimDisk::Copy {
  struct Volume {
    storage_node::VolumeState state;
    std::vector<std::byte> stable;
  };
  std::map<VolumeId, Volume> volumes;
};

}  // namespace sluice::sim
