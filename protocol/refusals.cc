#include "protocol/refusals.h"

namespace sluice::protocol {

std::string_view to_string(Refusal reason) noexcept {
  switch (reason) {
    case Refusal::malformed:
      return "malformed";
    case Refusal::wrong_path:
      return "wrong_path";
    case Refusal::bad_low:
      return "bad_low";
    case Refusal::repeated_on_path:
      return "repeated_on_path";
    case Refusal::no_credit:
      return "no_credit";
    case Refusal::stale_version:
      return "stale_version";
    case Refusal::no_session:
      return "no_session";
    case Refusal::invalid_request:
      return "invalid_request";
    case Refusal::read_only:
      return "read_only";
    case Refusal::passes_executing:
      return "passes_executing";
    case Refusal::expired:
      return "expired";
    case Refusal::seq_misuse:
      return "seq_misuse";
    case Refusal::bad_checksum:
      return "bad_checksum";
    case Refusal::ended_before_run:
      return "ended_before_run";
  }
  return "unknown_refusal";
}

}  // namespace sluice::protocol
