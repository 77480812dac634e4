#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice::protocol {

/// Why a request wasn't carried out. Counted by volume, session and path.
enum class Refusal : std::uint8_t {
  malformed,         ///< W1: CRC, framing or protocol version
  wrong_path,        ///< W1: a good frame of another connection
  bad_low,           ///< W1: low above seq, or a window or more below it
  repeated_on_path,  ///< W1: a number that this very path has unanswered
  no_credit,         ///< W1: more requests unanswered than the path may have
  stale_version,     ///< W1: a version below the fence
  no_session,        ///< W1: another version, or the session has ended
  invalid_request,   ///< W1: length, alignment or range
  read_only,         ///< W1: a change in a read-only session
  passes_executing,  ///< W2
  expired,           ///< W3
  seq_misuse,        ///< W5
  bad_checksum,      ///< the payload isn't what its CRC says
  ended_before_run,  ///< W7: admitted, but the session ended before it was submitted
};
inline constexpr std::size_t kRefusalCount = 14;

class RefusalCounts {
 public:
  void add(Refusal reason) noexcept { ++counts_[static_cast<std::size_t>(reason)]; }
  void add(const RefusalCounts& others) noexcept {
    for (std::size_t i = 0; i < kRefusalCount; ++i)
      counts_[i] += others.counts_[i];
  }
  [[nodiscard]] std::uint64_t of(Refusal reason) const noexcept {
    return counts_[static_cast<std::size_t>(reason)];
  }

 private:
  std::array<std::uint64_t, kRefusalCount> counts_{};
};

/// The reason's name in metrics and logs.
[[nodiscard]] std::string_view to_string(Refusal reason) noexcept;

}  // namespace sluice::protocol
