#include "runtime/sizes.h"

#include <array>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <optional>

namespace sluice::runtime {
namespace {

constexpr std::string_view kUnits = "KMGTPE";
constexpr unsigned kBitsPerUnit = 10;

tl::unexpected<Error> refuse(std::string_view text, std::string_view why) {
  return fail(StatusCode::invalid_argument, "\"" + std::string(text) + "\" is no size: " + std::string(why) +
                                                "; expected bytes or a number with K, M, G, T, P or E "
                                                "(powers of 1024), for instance 4096 or 10G");
}

/// The power of two that a unit stands for; nothing if it is no unit.
std::optional<unsigned> shift_of(std::string_view unit) {
  if (unit.empty() || unit == "B") return 0;
  const char letter =
      static_cast<char>(unit.front() >= 'a' && unit.front() <= 'z' ? unit.front() - 'a' + 'A' : unit.front());
  const std::size_t index = kUnits.find(letter);
  if (index == std::string_view::npos) return std::nullopt;
  const std::string_view rest = unit.substr(1);
  if (!rest.empty() && rest != "iB") return std::nullopt;
  return static_cast<unsigned>(index + 1) * kBitsPerUnit;
}

__extension__ typedef unsigned __int128 Wide;  // NOLINT(modernize-use-using): no __extension__ there

/// WHOLE.FRACTION << shift, exactly. Nothing if that isn't a whole number of 64 bits.
std::optional<std::uint64_t> scale(std::uint64_t whole, std::string_view fraction, unsigned shift) {
  Wide numerator = 0;
  Wide denominator = 1;
  for (const char digit : fraction) {
    numerator = numerator * 10 + static_cast<unsigned>(digit - '0');
    denominator *= 10;
  }
  const Wide scaled_fraction = numerator << shift;
  if (scaled_fraction % denominator != 0) return std::nullopt;
  const Wide bytes = (Wide{whole} << shift) + scaled_fraction / denominator;
  if (bytes > std::numeric_limits<std::uint64_t>::max()) return std::nullopt;
  return static_cast<std::uint64_t>(bytes);
}

}  // namespace

Result<ByteCount> parse_size(std::string_view text) {
  std::uint64_t whole = 0;
  const char* const end = text.data() + text.size();
  const auto [after_whole, error] = std::from_chars(text.data(), end, whole);
  if (error == std::errc::result_out_of_range) return refuse(text, "it is beyond 16E");
  if (error != std::errc{}) return refuse(text, "it doesn't start with a number");

  std::string_view rest(after_whole, static_cast<std::size_t>(end - after_whole));
  std::string_view fraction;
  if (rest.starts_with('.')) {
    rest.remove_prefix(1);
    fraction = rest.substr(0, rest.find_first_not_of("0123456789"));
    rest.remove_prefix(fraction.size());
    constexpr std::size_t kMaxFractionDigits = 12;
    if (fraction.empty() || fraction.size() > kMaxFractionDigits) {
      return refuse(text, "the point wants 1 to 12 digits after it");
    }
  }
  const std::optional<unsigned> shift = shift_of(rest);
  if (!shift) {
    return refuse(
        text, rest.ends_with('B') || rest.ends_with('b') ? "decimal units aren't supported" : "unknown unit");
  }
  const std::optional<std::uint64_t> bytes = scale(whole, fraction, *shift);
  if (!bytes) return refuse(text, "it is no whole number of bytes below 16E");
  return ByteCount(*bytes);
}

std::string format_size(ByteCount size) {
  auto value = static_cast<double>(size.value());
  constexpr double kStep = 1024;
  // What would be rounded up to the next unit is written in it.
  constexpr double kRoundsUp = kStep - 0.005;
  std::size_t units = 0;
  while (value >= kRoundsUp && units < kUnits.size()) {
    value /= kStep;
    ++units;
  }
  if (units == 0) return std::to_string(size.value());
  std::array<char, 32> buffer{};
  static_cast<void>(std::snprintf(buffer.data(), buffer.size(), "%.2f", value));
  std::string text(buffer.data());
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text + kUnits[units - 1];
}

std::string format_exact_size(ByteCount size) {
  std::uint64_t value = size.value();
  std::size_t units = 0;
  while (value != 0 && value % 1024 == 0 && units < kUnits.size()) {
    value >>= kBitsPerUnit;
    ++units;
  }
  return std::to_string(value) + (units == 0 ? std::string() : std::string(1, kUnits[units - 1]));
}

}  // namespace sluice::runtime
