#pragma once

#include <algorithm>
#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "protocol/base/units.h"
#include "protocol/limits.h"

namespace sluice::protocol {

/// A short name that travels in a fixed number of bytes: printable ASCII from `Lowest` on, which leaves out
/// spaces unless it says otherwise, so that it can go into a log line or a table as it is. Empty means none.
template <typename Tag, std::size_t MaxLength, char Lowest = '!'>
class ShortName {
 public:
  static constexpr std::size_t kMaxLength = MaxLength;
  static_assert(MaxLength <= UINT8_MAX, "the length travels in one byte");

  constexpr ShortName() noexcept = default;

  /// Nothing if `text` is too long or has a character outside `Lowest`..'~'.
  static constexpr std::optional<ShortName> from(std::string_view text) noexcept {
    if (text.size() > MaxLength) return std::nullopt;
    if (!std::all_of(text.begin(), text.end(), [](char c) { return c >= Lowest && c <= '~'; })) {
      return std::nullopt;
    }
    ShortName name;
    std::copy(text.begin(), text.end(), name.text_.begin());
    name.length_ = static_cast<std::uint8_t>(text.size());
    return name;
  }

  /// As much of `text` as fits, with a question mark for what isn't allowed: for words, not for names.
  static constexpr ShortName clipped(std::string_view text) noexcept {
    ShortName name;
    name.length_ = static_cast<std::uint8_t>(std::min(text.size(), MaxLength));
    std::transform(text.begin(), text.begin() + name.length_, name.text_.begin(),
                   [](char c) { return c >= Lowest && c <= '~' ? c : '?'; });
    return name;
  }

  [[nodiscard]] constexpr std::string_view view() const noexcept { return {text_.data(), length_}; }
  [[nodiscard]] constexpr bool empty() const noexcept { return length_ == 0; }

  friend constexpr bool operator==(const ShortName& a, const ShortName& b) noexcept {
    return a.view() == b.view();
  }
  friend constexpr auto operator<=>(const ShortName& a, const ShortName& b) noexcept {
    return a.view() <=> b.view();
  }

 private:
  std::array<char, MaxLength> text_{};
  std::uint8_t length_ = 0;
};

/// Who opens volumes: stable over restarts, chosen by the operator.
using ClientId = ShortName<struct ClientIdTag, kMaxClientIdLength>;

/// What users call a volume. The master maps it to a VolumeId.
using VolumeName = ShortName<struct VolumeNameTag, kMaxVolumeNameLength>;

/// "HOST:PORT" of a storage node's listener; the transport resolves it.
using NodeAddress = ShortName<struct NodeAddressTag, kMaxNodeAddressLength>;

/// Words for an operator: spaces are allowed.
using Text = ShortName<struct TextTag, kMaxTextLength, ' '>;

/// Random, one for each opening: tells two openings by one client id apart. 0 is none.
using Nonce = Quantity<struct NonceTag, std::uint64_t>;

/// Identifies a storage node for ever; kept in its data directory. 0 is none.
using NodeId = Quantity<struct NodeIdTag, std::uint64_t>;

/// Random, one for each start of a node's process. 0 is none.
using BootId = Quantity<struct BootIdTag, std::uint64_t>;

/// Random, given with a session's acknowledgement; a path attach must show it. 0 is none.
using Cookie = Quantity<struct CookieTag, std::uint64_t>;

/// Which of its session's paths a connection is: 0 .. kMaxPaths - 1.
using PathId = Quantity<struct PathIdTag, std::uint8_t>;

/// Counts the connections of one path, from 1; rises with every attach.
using PathEpoch = Quantity<struct PathEpochTag, std::uint32_t>;

/// Matches an answer to its request on one control connection.
using RequestId = Quantity<struct RequestIdTag, std::uint64_t>;

/// A staging slot of a path: slots are numbered through the classes of its grant, in their order.
using SlotIndex = Quantity<struct SlotIndexTag, std::uint16_t>;
inline constexpr SlotIndex kNoSlot{UINT16_MAX};
static_assert(kMaxSlots < kNoSlot.value());

}  // namespace sluice::protocol
