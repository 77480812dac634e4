#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "protocol/base/clock.h"
#include "protocol/identifiers.h"
#include "protocol/io_frame.h"
#include "protocol/private_data.h"
#include "protocol/slot_pool.h"

namespace sluice::protocol {

/// The life of one path's connection, seen from the client:
/// down --connect--> connecting --accepted--> up --kill--> dying --destroyed--> down.
/// A connection attempt that is refused goes straight back to down; one that is killed dies as an
/// established one does.
enum class PathState : std::uint8_t {
  down,        ///< no connection; another is tried when its time has come
  connecting,  ///< attach sent, no answer yet
  up,          ///< carries requests
  dying,  ///< its queue pair goes to ERR, is flushed and destroyed; its attempts are live until then (C3)
};
[[nodiscard]] std::string_view to_string(PathState state) noexcept;

/// How long a path that was lost waits before it connects again: doubled with every failure in a row, so
/// that a dead node isn't stormed, nor one that accepts and then does nothing.
struct Backoff {
  Duration min{};
  Duration max{};
};

/// A set of paths, one bit each.
using PathMask = std::uint8_t;
static_assert(kMaxPaths <= 8);
[[nodiscard]] constexpr PathMask mask_of(PathId path) noexcept {
  return static_cast<PathMask>(1U << path.value());
}

/// The paths of one client session: states, epochs, slots, load. Not thread-safe; never allocates after
/// construction.
class PathSet {
 public:
  explicit PathSet(Backoff backoff);

  /// How many paths the session has from now on. Every path is down. Epochs go on rising, so that no
  /// connection is ever mistaken for a later one.
  void reset(std::size_t count, Instant now);

  [[nodiscard]] std::size_t count() const noexcept { return count_; }
  [[nodiscard]] PathState state(PathId path) const { return at(path).state; }
  [[nodiscard]] PathEpoch epoch(PathId path) const { return at(path).epoch; }
  [[nodiscard]] PathTag tag(PathId path) const { return at(path).tag; }
  [[nodiscard]] std::uint16_t in_flight(PathId path) const { return at(path).in_flight; }
  [[nodiscard]] Instant last_heard(PathId path) const { return at(path).last_heard; }

  /// Whether an event that names this connection is about the one there is.
  [[nodiscard]] bool is_current(PathId path, PathEpoch epoch, PathState state) const noexcept;
  [[nodiscard]] bool any_in(PathState state) const noexcept;
  [[nodiscard]] bool all_down() const noexcept;

  [[nodiscard]] bool may_connect(PathId path, Instant now) const;
  /// Down to connecting, under the next epoch.
  PathEpoch connect(PathId path);
  /// Connecting to up.
  void accept(PathId path, const PathAccept& grant, PathTag tag, Instant now);
  /// Connecting to down: refused, or nobody there.
  void refuse(PathId path, Instant now);
  /// Connecting or up to dying.
  void kill(PathId path);
  /// Dying to down: the queue pair is gone, and with it all that was in flight.
  void destroy(PathId path, Instant now);
  /// The peer gave a sign of life: the connection works, and its loss is tried to be made good at once.
  void heard(PathId path, Instant now) {
    at(path).last_heard = now;
    at(path).wait = Duration::zero();
  }

  /// The path with the fewest requests in flight among those that have room for one more, and for a write
  /// (`data_length` > 0) have capsule or slot for its data.
  [[nodiscard]] std::optional<PathId> choose(std::uint32_t data_length) const;

  /// Takes room for one request on a chosen path; the slot for its data, or kNoSlot if none is needed.
  SlotIndex take(PathId path, std::uint32_t data_length);
  /// The request was answered on this path.
  void give_back(PathId path, SlotIndex slot);

 private:
  struct Path {
    PathState state = PathState::down;
    PathEpoch epoch;
    PathTag tag;
    std::uint16_t depth = 0;
    std::uint16_t in_flight = 0;
    std::uint32_t in_capsule_limit = 0;
    Instant retry_at;
    Instant last_heard;
    Duration wait{};
    SlotPool slots;
  };

  [[nodiscard]] const Path& at(PathId path) const { return paths_.at(path.value()); }
  [[nodiscard]] Path& at(PathId path) { return paths_.at(path.value()); }
  void wait_before_retry(Path& path, Instant now) const;

  Backoff backoff_;
  std::array<Path, kMaxPaths> paths_;
  std::size_t count_ = 0;
};

}  // namespace sluice::protocol
