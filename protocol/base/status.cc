#include "protocol/base/status.h"

#include <cerrno>
#include <system_error>

namespace sluice {

std::string_view to_string(StatusCode code) noexcept {
  switch (code) {
    case StatusCode::ok:
      return "ok";
    case StatusCode::stale_version:
      return "stale_version";
    case StatusCode::no_session:
      return "no_session";
    case StatusCode::invalid_request:
      return "invalid_request";
    case StatusCode::out_of_window:
      return "out_of_window";
    case StatusCode::expired:
      return "expired";
    case StatusCode::seq_misuse:
      return "seq_misuse";
    case StatusCode::bad_checksum:
      return "bad_checksum";
    case StatusCode::io_error:
      return "io_error";
    case StatusCode::no_space:
      return "no_space";
    case StatusCode::busy:
      return "busy";
    case StatusCode::not_found:
      return "not_found";
    case StatusCode::already_exists:
      return "already_exists";
    case StatusCode::exhausted:
      return "exhausted";
    case StatusCode::moving:
      return "moving";
    case StatusCode::read_only:
      return "read_only";
    case StatusCode::limit_reached:
      return "limit_reached";
    case StatusCode::shutting_down:
      return "shutting_down";
    case StatusCode::not_master:
      return "not_master";
    case StatusCode::rolled_back:
      return "rolled_back";
    case StatusCode::version_mismatch:
      return "version_mismatch";
    case StatusCode::outcome_unknown:
      return "outcome_unknown";
    case StatusCode::timed_out:
      return "timed_out";
    case StatusCode::cancelled:
      return "cancelled";
    case StatusCode::unavailable:
      return "unavailable";
    case StatusCode::connection_refused:
      return "connection_refused";
    case StatusCode::address_unusable:
      return "address_unusable";
    case StatusCode::no_device:
      return "no_device";
    case StatusCode::out_of_memory:
      return "out_of_memory";
    case StatusCode::queue_full:
      return "queue_full";
    case StatusCode::invalid_argument:
      return "invalid_argument";
    case StatusCode::unsupported:
      return "unsupported";
    case StatusCode::malformed:
      return "malformed";
    case StatusCode::permission_denied:
      return "permission_denied";
    case StatusCode::system_error:
      return "system_error";
  }
  return "unknown_status";
}

std::string Error::describe() const {
  std::string text(to_string(code));
  if (!message.empty()) text += ": " + message;
  return text;
}

namespace {

StatusCode code_of_errno(int errno_value) {
  switch (errno_value) {
    case ENOMEM:
    case EMFILE:
    case ENFILE:
      return StatusCode::out_of_memory;
    case ENODEV:
    case ENXIO:
      return StatusCode::no_device;
    case EADDRNOTAVAIL:
    case EADDRINUSE:
    case ENETUNREACH:
    case EHOSTUNREACH:
      return StatusCode::address_unusable;
    case ECONNREFUSED:
      return StatusCode::connection_refused;
    case ETIMEDOUT:
      return StatusCode::timed_out;
    case EACCES:
    case EPERM:
      return StatusCode::permission_denied;
    case EINVAL:
      return StatusCode::invalid_argument;
    case ENOSYS:
    case EOPNOTSUPP:
      return StatusCode::unsupported;
    case ENOSPC:
      return StatusCode::no_space;
    default:
      return StatusCode::system_error;
  }
}

}  // namespace

tl::unexpected<Error> fail_errno(int errno_value, std::string_view what) {
  const int positive = errno_value < 0 ? -errno_value : errno_value;
  return fail(code_of_errno(positive), std::string(what) + ": " + std::generic_category().message(positive));
}

}  // namespace sluice
