#pragma once

#include <cstdint>
#include <span>
#include <variant>
#include <vector>

#include "protocol/base/check.h"
#include "protocol/control_messages.h"
#include "protocol/io_frame.h"
#include "protocol/private_data.h"

/// What a client session tells its owner to do. The owner does all of it, in order, after each event.
namespace sluice::protocol {

/// Ask the master.
struct SendOpen {
  RequestId id;
  OpenRequest request;
};

/// Ask the storage node.
struct SendSessionOpen {
  RequestId id;
  NodeId node;
  SessionOpen request;
};

/// Ask the node to end the session (`node` set), or the master to forget the holder (`node` 0).
struct SendClose {
  RequestId id;
  NodeId node;
  CloseRequest request;
};

/// Connect a path and attach it. Answered by on_path_accepted or on_path_refused.
struct ConnectPath {
  NodeAddress address;
  PathAttach attach;
};

/// Why a session gives a connection up.
enum class PathEnd : std::uint8_t {
  not_needed,      ///< its session is over
  broken,          ///< the owner said so
  bad_grant,       ///< the node granted what wasn't asked for
  small_slots,     ///< no slot takes the longest of the writes that are outstanding
  silent,          ///< no sign of life
  unanswered,      ///< a request on it has had no answer for too long
  wrong_response,  ///< an answer that no request on it can have
};

/// Take the connection's queue pair to ERR, flush it, destroy it; then, and only then, on_path_destroyed.
/// Also for a connection attempt that is still under way.
struct KillPath {
  PathId path;
  PathEpoch epoch;
  PathEnd why = PathEnd::not_needed;
};

/// Ask for a sign of life on this path.
struct SendKeepalive {
  PathId path;
  PathEpoch epoch;
  Keepalive message;
};

/// Send this request on this path: complete but for a read's `target`, because the key of the caller's memory
/// is a matter of the device that the path uses. `tag` tells whose memory.
struct PostIo {
  PathId path;
  PathEpoch epoch;
  std::uint64_t tag = 0;
  IoRequest request;
};

/// Tell the caller. From here on its memory is its own again (C3).
///
/// `outcome_unknown`: the operation may or may not have had its effect, and nothing of it will take effect
/// once a newer session is acknowledged. Every other status that isn't ok: failed, for certain.
struct CompleteIo {
  std::uint64_t tag = 0;
  StatusCode status = StatusCode::ok;
  std::uint32_t data_crc = 0;  ///< of the data read
};

enum class SessionPhase : std::uint8_t {
  idle,       ///< open() comes next
  opening,    ///< asking the master for a version
  joining,    ///< asking the node for the session
  active,     ///< the node acknowledged the session; paths come and go
  reopening,  ///< asking the master whether the session still stands (C4)
  replacing,  ///< a newer version was given; the old session's paths are being destroyed (C3, C5)
  closing,    ///< giving the volume up
  ended,      ///< for good; `reason` says why
};
[[nodiscard]] std::string_view to_string(SessionPhase phase) noexcept;

/// Tell the owner about a change of phase, for its logs and metrics.
struct ReportPhase {
  SessionPhase phase = SessionPhase::idle;
  Gvn gvn;
  StatusCode reason = StatusCode::ok;
};

using ClientAction = std::variant<SendOpen, SendSessionOpen, SendClose, ConnectPath, KillPath, SendKeepalive,
                                  PostIo, CompleteIo, ReportPhase>;

/// The actions of one event. Room for all of them is made beforehand.
class ClientActions {
 public:
  explicit ClientActions(std::size_t capacity) { actions_.reserve(capacity); }

  template <typename Action>
  void add(const Action& action) {
    check(actions_.size() < actions_.capacity(), "the actions of one event have a bound");
    actions_.emplace_back(std::in_place_type<Action>, action);
  }
  [[nodiscard]] std::span<const ClientAction> view() const noexcept { return actions_; }
  void clear() noexcept { actions_.clear(); }

 private:
  std::vector<ClientAction> actions_;
};

}  // namespace sluice::protocol
