#include "transport/ofi/words.h"

#include <cstdlib>

#include <rdma/fi_errno.h>

namespace sluice::transport::ofi {

namespace {

StatusCode code_of(int error) {
  switch (error) {
    case FI_ENOMEM:
    case FI_EMFILE:
      return StatusCode::out_of_memory;
    case FI_ENODEV:
      return StatusCode::no_device;
    case FI_EADDRNOTAVAIL:
    case FI_EADDRINUSE:
    case FI_ENETUNREACH:
    case FI_EHOSTUNREACH:
      return StatusCode::address_unusable;
    case FI_ETIMEDOUT:
      return StatusCode::timed_out;
    case FI_EACCES:
    case FI_EPERM:
      return StatusCode::permission_denied;
    case FI_ENOSYS:
    case FI_EOPNOTSUPP:
      return StatusCode::unsupported;
    default:
      return StatusCode::system_error;
  }
}

}  // namespace

tl::unexpected<Error> fail_fabric(long error, std::string_view what) {
  const int positive = static_cast<int>(std::labs(error));
  return fail(code_of(positive), std::string(what) + ": " + fi_strerror(positive));
}

tl::unexpected<Error> fail_while(std::string_view doing, Error error) {
  error.message = std::string(doing) + ": " + error.message;
  return tl::unexpected(std::move(error));
}

CompletionStatus status_of(int fabric_error) noexcept {
  switch (std::abs(fabric_error)) {
    case FI_ECANCELED:
    case FI_ENOTCONN:
    case FI_ECONNRESET:
    case FI_ECONNABORTED:
    case FI_ESHUTDOWN:
    case EPIPE:
      return CompletionStatus::flushed;
    case FI_ETRUNC:
    case FI_EMSGSIZE:
    case FI_ETOOSMALL:
      return CompletionStatus::local_length;
    case FI_EACCES:
    case FI_EPERM:
    case FI_EKEYREJECTED:
    case FI_ENOKEY:
      return CompletionStatus::remote_access;
    case FI_EREMOTEIO:
      return CompletionStatus::remote_operation;
    case FI_ENORX:
      return CompletionStatus::receiver_not_ready;
    case FI_ETIMEDOUT:
    case FI_EHOSTUNREACH:
    case FI_ENETUNREACH:
      return CompletionStatus::retry_exceeded;
    default:
      return CompletionStatus::other;
  }
}

Error describe_connect_failure(int fabric_error, std::string_view peer) {
  const int error = std::abs(fabric_error);
  const std::string where = "connect to " + std::string(peer) + ": ";
  switch (error) {
    case FI_ECONNREFUSED:
      return {StatusCode::connection_refused,
              where + "nobody listens there: check the address and port, and that the daemon is up"};
    case FI_ENOPROTOOPT:
      return {StatusCode::version_mismatch,
              where +
                  "whoever listens there doesn't speak this fabric's protocol: check the address and "
                  "port, and run the same release on both sides"};
    case FI_ETIMEDOUT:
      return {StatusCode::timed_out, where + "no answer: check that the address is right and the path is up"};
    case FI_ENETUNREACH:
    case FI_EHOSTUNREACH:
    case FI_EADDRNOTAVAIL:
      return {StatusCode::address_unusable,
              where + fi_strerror(error) + ": check the address and the routes"};
    case FI_ENOTCONN:
    case FI_ECONNRESET:
    case FI_ECONNABORTED:
    case FI_EIO:
    case FI_EAGAIN:
    case EPIPE:
      return {StatusCode::connection_refused, where + "the peer hung up during the handshake"};
    default:
      return {StatusCode::system_error, where + fi_strerror(error)};
  }
}

}  // namespace sluice::transport::ofi
