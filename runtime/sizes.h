#pragma once

#include <string>
#include <string_view>

#include "protocol/base/status.h"
#include "protocol/base/units.h"

namespace sluice::runtime {

/// A size as people write it: bytes, or a number with K, M, G, T, P or E, which are powers of 1024 ("512",
/// "10G", "1.5T", "64KiB"). Errors: invalid_argument, saying what was expected; a fraction that is no whole
/// number of bytes and a size beyond 16 EiB are refused as well.
Result<ByteCount> parse_size(std::string_view text);

/// For people: "512", "10G", "1.46T"; rounded to two decimals.
std::string format_size(ByteCount size);

/// Says exactly this size, and parse_size reads it back: "1536G", "513".
std::string format_exact_size(ByteCount size);

}  // namespace sluice::runtime
