#include "protocol/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace sluice {

void check_failed(std::string_view rule, const SourceLocation& where) noexcept {
  std::fprintf(stderr, "sluice: internal rule violated: %.*s\n  at %s:%u in %s\n",  // NOLINT(cert-err33-c)
               static_cast<int>(rule.size()), rule.data(), where.file, where.line, where.function);
  std::abort();
}

}  // namespace sluice
