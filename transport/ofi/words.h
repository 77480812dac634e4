#pragma once

#include <string>
#include <string_view>

#include "transport/provider.h"

namespace sluice::transport::ofi {

/// "WHAT: the error in words", with the code that fits; `error` is libfabric's, of either sign.
tl::unexpected<Error> fail_fabric(long error, std::string_view what);

/// Puts what was being done in front of an error's message.
tl::unexpected<Error> fail_while(std::string_view doing, Error error);

/// A work request's failure as libfabric reports it. A fabric that flushes says "cancelled", or how the
/// connection broke.
CompletionStatus status_of(int fabric_error) noexcept;

/// Why a connect didn't succeed, where the peer sent no words of its own.
Error describe_connect_failure(int fabric_error, std::string_view peer);

}  // namespace sluice::transport::ofi
