#pragma once

#include <cstdint>
#include <string>

#include "protocol/base/check.h"

namespace sluice::transport {

/// What a work request was posted for. The numbers from `first_user` on belong to the layers above.
enum class WorkKind : std::uint8_t {
  none = 0,
  drain_marker = 1,     ///< posted by a provider while it drains; never seen outside it
  channel_receive = 2,  ///< a receive of a channel's ring
  channel_send = 3,     ///< a message of a channel
  channel_credit = 4,   ///< a message that carries nothing but credits
  first_user = 16,
};

/// The typed cookie of a work request. On an error a completion's only trustworthy words are its wr_id,
/// status and queue pair number (ibv_poll_cq(3)), so everything that is needed to find the owner is in here,
/// and it can print itself.
///
///   63      56 55        40 39            20 19          0
///  |   kind   |  endpoint  |   generation   |    slot     |
///
/// `endpoint` is the index of the endpoint in its completion queue and is stamped by the provider; `slot` is
/// the owner's table index; `generation` tells two uses of one slot apart (modulo 2^20).
class WorkId {
 public:
  static constexpr std::uint32_t kMaxSlot = (1U << 20U) - 1;
  static constexpr std::uint32_t kGenerationMask = (1U << 20U) - 1;

  constexpr WorkId() noexcept = default;
  WorkId(WorkKind kind, std::uint32_t slot, std::uint32_t generation = 0) noexcept
      : bits_((std::uint64_t{static_cast<std::uint8_t>(kind)} << 56U) |
              (std::uint64_t{generation & kGenerationMask} << 20U) | slot) {
    check(slot <= kMaxSlot, "a work id's slot fits 20 bits");
  }
  static constexpr WorkId from_bits(std::uint64_t bits) noexcept {
    WorkId id;
    id.bits_ = bits;
    return id;
  }

  [[nodiscard]] constexpr WorkKind kind() const noexcept { return static_cast<WorkKind>(bits_ >> 56U); }
  [[nodiscard]] constexpr std::uint16_t endpoint() const noexcept {
    return static_cast<std::uint16_t>(bits_ >> 40U);
  }
  [[nodiscard]] constexpr std::uint32_t generation() const noexcept {
    return static_cast<std::uint32_t>(bits_ >> 20U) & kGenerationMask;
  }
  [[nodiscard]] constexpr std::uint32_t slot() const noexcept {
    return static_cast<std::uint32_t>(bits_) & kMaxSlot;
  }
  [[nodiscard]] constexpr std::uint64_t bits() const noexcept { return bits_; }

  /// The same cookie, stamped with the endpoint's index. For providers.
  [[nodiscard]] constexpr WorkId at_endpoint(std::uint16_t index) const noexcept {
    return from_bits((bits_ & ~(std::uint64_t{0xffff} << 40U)) | (std::uint64_t{index} << 40U));
  }

  constexpr bool operator==(const WorkId&) const noexcept = default;

 private:
  std::uint64_t bits_ = 0;
};

/// E.g. "channel_send endpoint=3 slot=17 generation=2"; kinds of other layers print as "user+N".
std::string to_string(WorkId id);

}  // namespace sluice::transport
