#include "transport/sim/words.h"

namespace sluice::transport::sim {

Error describe(const QueuePairCause& cause, const std::string& peer) {
  const std::string where = "connection to " + peer + ": ";
  const std::string why = std::string(to_string(cause.status)) + ": " + std::string(meaning_of(cause.status));
  switch (cause.kind) {
    case QueuePairCause::Kind::request_failed:
      return {code_of(cause.status), where + why + " (work [" + to_string(cause.id) + "])"};
    case QueuePairCause::Kind::refused_peer:
      return {code_of(cause.status), where + "a request of the peer's was refused: " + why};
    case QueuePairCause::Kind::device_error:
      return {StatusCode::system_error, where + "the device reported a fatal error of its queue pair"};
    case QueuePairCause::Kind::none:
    case QueuePairCause::Kind::asked:
      return {StatusCode::unavailable, where + "it was lost"};
  }
  return {StatusCode::system_error, where + "unknown cause"};
}

Error describe_rejection(RejectReason reason, const std::string& peer) {
  const std::string where = "connect to " + peer + ": ";
  switch (reason) {
    case RejectReason::no_listener:
      return {StatusCode::connection_refused,
              where + "nobody listens there: is the daemon running, and is this its address?"};
    case RejectReason::stale_connection:
      return {StatusCode::unavailable,
              where + "the peer still holds an older connection of this queue pair number: try again"};
    case RejectReason::consumer:
      return {StatusCode::connection_refused, where + "the peer rejected the connection"};
  }
  return {StatusCode::connection_refused, where + "rejected"};
}

}  // namespace sluice::transport::sim
