#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "protocol/identifiers.h"
#include "protocol/limits.h"
#include "protocol/private_data.h"
#include "protocol/refusals.h"
#include "protocol/server_actions.h"

namespace sluice::protocol {

/// The paths of one session on its node: which connection each has, and when its queue pair and its slots
/// come and go.
///
///     detached --attach--> attached --kill--> destroying --queue pair destroyed--> releasing
///         ^                                                                            |
///         +---------------- no request holds the path: slots released (R3, R4) --------+
///
/// An attach of a higher epoch kills the connection before it, and waits until that one's queue pair is
/// destroyed and its slots are released; only then is it accepted.
class PathTable {
 public:
  /// `max_paths` and `max_depth` bound what is accepted; `volume`, `gvn` and `cookie` are the session's.
  PathTable(VolumeId volume, Gvn gvn, Cookie cookie, std::uint16_t max_paths,
            std::uint16_t max_depth) noexcept;

  /// A connection asks to become a path. `attach` names this session's GVN. Answers now, or when the
  /// connection before it is gone. If it replaces a live connection, that one is returned: its requests no
  /// longer wait for anything.
  std::optional<PathId> attach(Token token, const PathAttach& attach, Gvn fence, ServerActions& actions);

  /// The connection failed, or a request on it was such that it must go. Nothing if it is gone already.
  bool kill(PathId path, ServerActions& actions);

  /// The session ends: kills every path and rejects the attaches that wait.
  void kill_all(Gvn fence, ServerActions& actions);

  /// The queue pair of `kill` is destroyed: nothing can come or go through it any more.
  void on_queue_pair_destroyed(PathId path, PathEpoch epoch, ServerActions& actions);

  /// R3: while a request holds the path, its slots aren't released. False if the path already holds as many
  /// as it may.
  [[nodiscard]] bool hold(PathId path) noexcept;
  void release(PathId path, ServerActions& actions);

  /// Whether `epoch` is the connection that the path has now, and its queue pair is usable.
  [[nodiscard]] bool is_attached(PathId path, PathEpoch epoch) const noexcept;
  [[nodiscard]] bool is_attached(PathId path) const noexcept;
  [[nodiscard]] PathKey key(PathId path) const noexcept;
  [[nodiscard]] PathTag tag(PathId path) const noexcept { return paths_[path.value()].tag; }

  /// Whether no path has a queue pair, or slots.
  [[nodiscard]] bool all_released() const noexcept;

  [[nodiscard]] RefusalCounts& refusals(PathId path) noexcept { return paths_[path.value()].refusals; }
  [[nodiscard]] const RefusalCounts& refusals(PathId path) const noexcept {
    return paths_[path.value()].refusals;
  }

 private:
  enum class State : std::uint8_t { detached, attached, destroying, releasing };

  struct Pending {
    Token token;
    PathEpoch epoch;
    std::uint16_t depth = 0;
  };

  struct Path {
    State state = State::detached;
    PathEpoch epoch;  ///< of the connection that it has or had last; 0 before the first
    std::uint16_t depth = 0;
    std::uint16_t held = 0;
    PathTag tag;
    std::optional<Pending> pending;
    RefusalCounts refusals;
  };

  [[nodiscard]] PathEpoch highest_epoch(const Path& path) const noexcept;
  void accept(PathId path, const Pending& pending, ServerActions& actions);
  void release_if_unused(PathId path, ServerActions& actions);

  std::array<Path, kMaxPaths> paths_;
  VolumeId volume_;
  Gvn gvn_;
  Cookie cookie_;
  std::uint16_t max_paths_;
  std::uint16_t max_depth_;
};

}  // namespace sluice::protocol
