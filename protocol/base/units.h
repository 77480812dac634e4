#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <string>

namespace sluice {

/// A number that can't be mistaken for another kind of number. No implicit conversion in either direction;
/// `value()` takes it out where bytes meet the wire, a device or a printer.
template <typename Tag, typename Rep>
class Quantity {
 public:
  using rep = Rep;

  constexpr Quantity() noexcept = default;
  constexpr explicit Quantity(Rep value) noexcept : value_(value) {}

  [[nodiscard]] constexpr Rep value() const noexcept { return value_; }
  constexpr auto operator<=>(const Quantity&) const noexcept = default;

 private:
  Rep value_ = 0;
};

/// A logical block's number in its volume; the block size is the volume's.
using Lba = Quantity<struct LbaTag, std::uint64_t>;

/// A length or offset in bytes.
using ByteCount = Quantity<struct ByteCountTag, std::uint64_t>;

/// Numbers an IO in its session, from 1; 0 is never valid.
using Seq = Quantity<struct SeqTag, std::uint64_t>;

/// Identifies a volume for ever; given by the master, never reused. 0 is none.
using VolumeId = Quantity<struct VolumeIdTag, std::uint64_t>;

/// The master's own version: one for the cluster, raised by every master that takes over.
using ManagerVersion = Quantity<struct ManagerVersionTag, std::uint32_t>;

/// A volume's open count: raised by every open.
using OpenVersion = Quantity<struct OpenVersionTag, std::uint32_t>;

/// Global version: manager version << 32 | open version. Names one session; unsigned order; 0 is none.
using Gvn = Quantity<struct GvnTag, std::uint64_t>;

constexpr Gvn make_gvn(ManagerVersion manager, OpenVersion open) noexcept {
  return Gvn((std::uint64_t{manager.value()} << 32U) | open.value());
}
constexpr ManagerVersion manager_version(Gvn gvn) noexcept {
  return ManagerVersion(static_cast<std::uint32_t>(gvn.value() >> 32U));
}
constexpr OpenVersion open_version(Gvn gvn) noexcept {
  return OpenVersion(static_cast<std::uint32_t>(gvn.value() & 0xffff'ffffU));
}

/// "MANAGER.OPEN" in decimal, e.g. "3.17"; the form in logs and CLI output.
std::string to_string(Gvn gvn);

}  // namespace sluice

template <typename Tag, typename Rep>
struct std::hash<sluice::Quantity<Tag, Rep>> {
  std::size_t operator()(const sluice::Quantity<Tag, Rep>& quantity) const noexcept {
    return std::hash<Rep>{}(quantity.value());
  }
};
