#pragma once

#include <source_location>
#include <string_view>

namespace sluice {

/// Prints what was violated, and where, on standard error and aborts. Never returns.
[[noreturn]] void check_failed(std::string_view rule, const std::source_location& where) noexcept;

/// Always on, in every build: for what must never happen whatever a peer, a user or a device does.
/// What *can* happen at run time is a `Result` instead.
/// `rule` states what must hold, as a sentence.
inline void check(bool holds, std::string_view rule,
                  const std::source_location& where = std::source_location::current()) noexcept {
  if (!holds) [[unlikely]] {
    check_failed(rule, where);
  }
}

}  // namespace sluice
