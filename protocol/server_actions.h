#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <variant>

#include "protocol/control_messages.h"
#include "protocol/fixed_vector.h"
#include "protocol/identifiers.h"
#include "protocol/io_frame.h"
#include "protocol/private_data.h"
#include "protocol/sequence_window.h"

/// What the node must do after an event: carried out in the order of the list, completely, before the next
/// event of the same volume. The sessions themselves call nobody.
namespace sluice::protocol {

/// Names whom to answer, for the node alone: a request on a control connection, or a connection request.
using Token = Quantity<struct TokenTag, std::uint64_t>;

/// One connection of one session of the volume.
struct PathKey {
  Gvn gvn;
  PathId path;
  PathEpoch epoch;

  friend constexpr bool operator==(const PathKey&, const PathKey&) noexcept = default;
};

/// Check the payload of a write against its CRC; then ask `may_submit`, and only if it says so hand the
/// operation to the backend. Ends in exactly one of: `on_bad_payload`, a `may_submit` that said no, or
/// `on_io_done`.
struct Execute {
  PathKey path;
  AttemptId attempt;
};

/// Send this on that path's queue pair, and for a read that succeeded first WRITE its data to `target`, on
/// the same queue pair (R2). If the queue pair has failed meanwhile, drop it: nobody else may get it.
struct Respond {
  PathKey path;
  AttemptId attempt;  ///< whose data is sent, if it's a read; free for the next request afterwards
  IoResponse response;
  RemoteBuffer target;
};

/// Take the queue pair to ERR, flush and destroy it, then tell `on_queue_pair_destroyed`.
struct DestroyQueuePair {
  PathKey path;
};

/// The queue pair is destroyed and nothing refers to the path's slots: deregister their region, and only
/// then give the memory back (R4).
struct ReleasePath {
  PathKey path;
};

/// Accept the connection as this path: allocate and register its slots (R1), post its receives, answer with
/// a PathAccept.
struct AcceptPath {
  Token token;
  PathKey path;
  std::uint16_t depth = 0;  ///< requests that the path may have unanswered
  PathTag tag;              ///< that its requests will carry
};

/// Reject the connection.
struct RejectPath {
  Token token;
  PathReject reject;
};

/// Send the request to the master, and give its answer to `on_verify_answer` with the same id.
struct AskMaster {
  RequestId id;
  VerifyRequest request;
};

/// Make `fence` durable as the volume's fence, and with it the manager version; then tell `on_fence_durable`.
struct PersistFence {
  VolumeId volume;
  Gvn fence;
  ManagerVersion manager_version;
};

struct AnswerSession {
  Token token;
  SessionAnswer answer;
};
struct AnswerClose {
  Token token;
  CloseAnswer answer;
};
struct AnswerQuiesce {
  Token token;
  QuiesceAnswer answer;
};

using ServerAction = std::variant<Execute, Respond, DestroyQueuePair, ReleasePath, AcceptPath, RejectPath,
                                  AskMaster, PersistFence, AnswerSession, AnswerClose, AnswerQuiesce>;
static_assert(std::is_trivially_copyable_v<ServerAction>, "filling the list never allocates");

/// The most that one event can ask for: on a fence, each path of each session is destroyed or released and
/// each waiting attach rejected; and each pending open and close is answered.
inline constexpr std::size_t kMaxServerActions =
    kMaxVolumeSessions * (3 * kMaxPaths + 1) + 2 * kMaxPendingOpens + 8;

/// The caller clears it before each event.
using ServerActions = FixedVector<ServerAction, kMaxServerActions>;

}  // namespace sluice::protocol
