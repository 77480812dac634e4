#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <tl/expected.hpp>

namespace sluice {

/// The one table of codes, for the wire and for every API. The numbers are part of the wire format: never
/// renumber or reuse one; add new codes at the end of their group.
enum class StatusCode : std::uint16_t {
  ok = 0,

  // What a node or master answers to a request (protocol rules in parentheses).
  stale_version = 1,      ///< the session's version lies below the fence: fenced for good (W1)
  no_session = 2,         ///< no active session of that version here: ask the master (W1)
  invalid_request = 3,    ///< length, alignment, range or operation not allowed (W1)
  out_of_window = 4,      ///< sequence number above the window (W4)
  expired = 5,            ///< sequence number below the window: already answered for good (W3)
  seq_misuse = 6,         ///< one sequence number, two different requests (W5)
  bad_checksum = 7,       ///< payload doesn't match its CRC32C
  io_error = 8,           ///< the backend failed the operation
  no_space = 9,           ///< the backend is full
  busy = 10,              ///< the volume is held by another opening
  not_found = 11,         ///< no such volume, node or session
  already_exists = 12,    ///< the name is taken
  exhausted = 13,         ///< a version counter is at its maximum
  moving = 14,            ///< the volume is being migrated
  read_only = 15,         ///< a write in a read-only session
  limit_reached = 16,     ///< sessions, paths, slots or memory: the configured limit
  shutting_down = 17,     ///< the daemon drains and takes nothing new
  not_master = 18,        ///< this master was deposed
  rolled_back = 19,       ///< the node's fences are older than those it once reported; an operator decides
  version_mismatch = 20,  ///< the peer speaks another protocol version

  // What happens on this side.
  outcome_unknown = 32,     ///< the connection failed: the request may or may not have had effect
  timed_out = 33,           ///< a deadline passed
  cancelled = 34,           ///< the caller gave up
  unavailable = 35,         ///< not reachable now; trying again may help
  connection_refused = 36,  ///< nobody listens there, or the peer rejected the connection
  address_unusable = 37,    ///< no such address, or no device reaches it
  no_device = 38,           ///< no usable RDMA device or fabric
  out_of_memory = 39,       ///< memory, locked memory or device resources ran out
  queue_full = 40,          ///< no room in the queue or no credit now; try again after a completion
  invalid_argument = 41,    ///< the caller's or the configuration's mistake
  unsupported = 42,         ///< this provider, device or peer can't do that
  malformed = 43,           ///< bytes that are no valid message
  permission_denied = 44,   ///< the operating system refused
  system_error = 45,        ///< any other failed system or library call; the message tells which
};

/// The code's name as it appears in logs, metrics and CLI output, e.g. "stale_version".
std::string_view to_string(StatusCode code) noexcept;

/// A code and, off the data path, a sentence: what happened, to what, why, and what to do.
/// On the data path the message stays empty, so that nothing is allocated.
struct Error {
  StatusCode code = StatusCode::system_error;
  std::string message;

  /// "code: message", or the code alone.
  [[nodiscard]] std::string describe() const;
};

/// The value, or why there is none. No exception leaves a function that returns one.
template <typename T>
using Result = tl::expected<T, Error>;

/// Success, or why not.
using Status = Result<void>;

/// An error to return: `return fail(StatusCode::no_device, "...")`.
inline tl::unexpected<Error> fail(StatusCode code, std::string message = {}) {
  return tl::unexpected<Error>(Error{code, std::move(message)});
}

/// An error from errno or a negative return: "WHAT: strerror(errno_value)", with the code that fits.
tl::unexpected<Error> fail_errno(int errno_value, std::string_view what);

}  // namespace sluice
