#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "protocol/identifiers.h"
#include "protocol/open_store.h"
#include "tests/sim/disk.h"

namespace sluice::sim {

/// One opening of a volume by a client: what a nonce names. From 1.
using OpeningId = Quantity<struct OpeningIdTag, std::uint64_t>;

/// An operation of a caller; for a write also the value that it leaves.
using OperationId = Quantity<struct OperationIdTag, std::uint64_t>;

/// A rule that the cluster broke.
struct Violation {
  std::string rule;  ///< of protocol.md, e.g. "invariant 1"
  std::string what;
};

/// Everything that callers did and were told, and everything that reached the disks and the metadata store;
/// finds the first thing that protocol.md's invariants rule out.
///
/// The simulated disks tell when an operation really takes effect, so that nothing is left to be guessed:
/// - a write has its effect between its start and its answer (after an unknown outcome until a newer session
/// is
///   acknowledged), at most once a session, and never comes back;
/// - what takes effect belongs to the opening that the disk's fence names (invariants 1 and 2);
/// - a read returns what the disk held at some moment between its start and its answer (5);
/// - an acknowledged write is stable, as far as its policy says so (10);
/// - fences rise, are stored before the acknowledgement, and no version is accepted for two openings (6, 9).
class History final : public DiskObserver {
 public:
  // ---- Callers

  /// A client starts to open a volume. `nonces`: everything that its random source has given so far and will
  /// give, by note_nonce().
  OpeningId open(const std::string& client);
  void note_nonce(OpeningId opening, std::uint64_t nonce) { openings_by_nonce_[nonce] = opening; }
  /// The client's process is gone, or has forgotten the volume: what it had under way gets no answer.
  void forget(OpeningId opening);
  /// The client says that its session is acknowledged.
  void acknowledge(OpeningId opening, VolumeId volume, Gvn gvn);

  /// The client was given a version by a master.
  void note_version(OpeningId opening, VolumeId volume, Gvn gvn);

  OperationId begin(OpeningId opening, VolumeId volume, protocol::IoOp op, bool fua, ByteCount offset,
                    std::uint32_t length);
  /// `data`: of a read that succeeded.
  void end(OperationId operation, StatusCode status, std::span<const std::byte> data);
  /// It was never taken: it has no effect.
  void refuse(OperationId operation, StatusCode status) { end(operation, status, {}); }

  /// Whether such a change may still have its effect. Zeroes don't tell where they come from: callers don't
  /// ask for the same ones twice at a time.
  [[nodiscard]] bool is_range_taken(VolumeId volume, protocol::IoOp op, ByteCount offset,
                                    std::uint32_t length) const;

  [[nodiscard]] std::size_t pending() const noexcept { return pending_; }

  // ---- The metadata store

  /// Nobody's business what happens to it.
  void ignore(VolumeId volume) { ignored_.insert(volume); }
  void on_volume_committed(const protocol::VolumeRecord& record);
  /// A store was replaced by an older copy of itself: versions may be given again, though not accepted.
  void on_store_restored();

  // ---- Disks

  void on_sectors_changed(SimDisk& disk, const storage_node::VolumeState& volume,
                          const storage_node::BackendRequest& request, ByteCount offset,
                          std::span<const std::byte> data) override;
  void on_created(SimDisk& disk, const storage_node::VolumeState& volume) override;
  void on_removed(SimDisk& disk, VolumeId volume) override;
  void on_state_stored(SimDisk& disk, const storage_node::VolumeState& before,
                       const storage_node::VolumeState& after) override;
  void on_power_lost(SimDisk& disk, VolumeId volume) override;
  void on_restored(SimDisk& disk) override;
  void on_corrupted(SimDisk& disk, VolumeId volume, std::uint64_t sector) override;
  void on_misuse(SimDisk& disk, std::string what) override;
  void on_overlap(SimDisk& disk, VolumeId volume, std::string what) override;

  /// Gets a line for everything that happens to operations.
  std::function<void(const std::string&)> trace;

  /// The first rule that was broken.
  [[nodiscard]] const std::optional<Violation>& violation() const noexcept { return violation_; }
  void violate(std::string rule, std::string what);

  struct Counts {
    std::uint64_t started = 0;
    std::uint64_t succeeded = 0;
    std::uint64_t failed = 0;
    std::uint64_t unknown = 0;
    std::uint64_t sectors_read = 0;
    std::uint64_t sectors_written = 0;
    std::uint64_t acknowledgements = 0;
  };
  [[nodiscard]] const Counts& counts() const noexcept { return counts_; }

 private:
  using Tick = std::uint64_t;

  struct Operation {
    OperationId id;
    OpeningId opening;
    VolumeId volume;
    protocol::IoOp op = protocol::IoOp::flush;
    bool fua = false;
    std::uint64_t first = 0;  ///< sector
    std::uint64_t count = 0;
    Tick begun = 0;
    Tick ended = 0;  ///< 0: not yet
    StatusCode status = StatusCode::ok;
    bool is_forgotten = false;
    Gvn fence_at_end;          ///< the disk's when it ended
    Gvn fence;                 ///< the disk's when it last had an effect
    std::vector<bool> landed;  ///< sectors, under this fence
    std::vector<bool> ever;    ///< sectors, and no power loss has taken it back
    std::vector<bool> taken;   ///< sectors that it had reached, and a power loss has taken back
    std::vector<bool> undone;  ///< sectors that it had reached before an older copy of the disk was put back
    Tick last_landing = 0;
    bool was_lost = false;  ///< acknowledged, and taken back by a power loss
  };
  struct Entry {
    Tick since = 0;
    Value value = kZeroes;
  };
  struct Sector {
    std::vector<Entry> entries{{0, kZeroes}};
    bool is_corrupt = false;
    Value lost = kGarbage;  ///< what the last power loss took, if nothing has been written since
  };
  struct Volume {
    const SimDisk* home = nullptr;
    std::vector<Sector> sectors;
    std::map<Gvn, OpeningId> accepted;
    Gvn highest_given;
    protocol::WritePolicy policy = protocol::WritePolicy::write_through;
    std::map<Gvn, OpeningId> given;
    std::set<OpeningId> holders;      ///< now
    std::set<OpeningId> learned;      ///< that they are, or were
    std::set<OpeningId> displaced;    ///< and had learned that they were
    std::set<OperationId> unflushed;  ///< acknowledged, not necessarily stable
  };

  [[nodiscard]] Tick tick() noexcept { return ++now_; }
  void note_grant(Volume& volume, VolumeId id, OpeningId opening, Gvn gvn);
  Volume& volume_of(VolumeId volume, std::uint64_t sectors);
  void set_value(Volume& volume, std::uint64_t sector, Value value);
  [[nodiscard]] std::string name_of(OpeningId opening) const;
  [[nodiscard]] std::string describe(const Operation& operation) const;

  Operation* find_write(Value value);
  Operation* find_range_change(const storage_node::VolumeState& state,
                               const storage_node::BackendRequest& request, std::uint64_t sector);
  bool is_home(SimDisk& disk, const storage_node::VolumeState& state, Volume& volume);
  void check_same_contents(SimDisk& disk, VolumeId id, Volume& volume);
  void check_owner(const storage_node::VolumeState& state, const Volume& volume, const Operation& operation);
  void check_executions(const storage_node::VolumeState& state, Volume& volume, Operation& operation,
                        std::uint64_t sector);
  [[nodiscard]] static bool is_over(const Operation& operation, const storage_node::VolumeState& state);
  void check_read(const Operation& operation, std::span<const std::byte> data);
  void check_change(Operation& operation);
  void check_flush(const Operation& operation);
  [[nodiscard]] bool may_be_told_yet(const Operation& flush) const;
  [[nodiscard]] bool is_stable(const Volume& volume, const Operation& operation, std::uint64_t sector) const;
  void prune();
  void prune(Volume& volume, VolumeId id, std::uint64_t number, Tick oldest);

  Tick now_ = 0;
  std::uint64_t last_operation_ = 0;
  std::map<OperationId, Operation> operations_;
  std::size_t pending_ = 0;
  std::size_t prune_at_ = 4096;
  std::vector<std::string> openings_;  ///< clients' names; from OpeningId 1
  std::map<std::uint64_t, OpeningId> openings_by_nonce_;
  std::map<VolumeId, Volume> volumes_;
  std::set<VolumeId> ignored_;
  std::map<std::pair<const SimDisk*, VolumeId>, Gvn> highest_fences_;
  bool store_was_restored_ = false;
  std::optional<Violation> violation_;
  Counts counts_;
};

}  // namespace sluice::sim
