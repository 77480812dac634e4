#pragma once

#include <string_view>

namespace sluice {

/// Where a check stands. std::source_location in as much as every supported compiler has it (clang 14 lacks
/// the builtin that the library's needs).
struct SourceLocation {
  const char* file = "";
  const char* function = "";
  unsigned line = 0;

  static constexpr SourceLocation current(const char* file = __builtin_FILE(),
                                          const char* function = __builtin_FUNCTION(),
                                          unsigned line = __builtin_LINE()) noexcept {
    return {file, function, line};
  }
};

/// Prints what was violated, and where, on standard error and aborts. Never returns.
[[noreturn]] void check_failed(std::string_view rule, const SourceLocation& where) noexcept;

/// Always on, in every build: for what must never happen whatever a peer, a user or a device does.
/// What *can* happen at run time is a `Result` instead.
/// `rule` states what must hold, as a sentence.
constexpr void check(bool holds, std::string_view rule,
                     const SourceLocation& where = SourceLocation::current()) noexcept {
  if (!holds) [[unlikely]] {
    check_failed(rule, where);
  }
}

}  // namespace sluice
