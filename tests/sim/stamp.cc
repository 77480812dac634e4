#include "tests/sim/stamp.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "protocol/base/check.h"
#include "protocol/base/crc32c.h"

namespace sluice::sim {
namespace {

constexpr std::uint64_t kMagic = 0x706d'6174'7365'636cU;
constexpr std::size_t kWords = kSectorBytes / sizeof(std::uint64_t);
using Words = std::array<std::uint64_t, kWords>;

std::uint64_t checksum(std::span<const std::byte, kSectorBytes> sector) noexcept {
  return crc32c(sector.first(kSectorBytes - sizeof(std::uint64_t)));
}

}  // namespace

void write_stamp(std::span<std::byte, kSectorBytes> sector, VolumeId volume, std::uint64_t number_of_sector,
                 std::uint64_t opening, Value write) noexcept {
  check(write != kZeroes && write != kGarbage, "a write's number is none of the special values");
  Words words;
  words.fill(write);
  words[0] = kMagic;
  words[1] = volume.value();
  words[2] = number_of_sector;
  words[3] = opening;
  std::memcpy(sector.data(), words.data(), kSectorBytes);
  words[kWords - 1] = checksum(sector);
  std::memcpy(sector.data(), words.data(), kSectorBytes);
}

Value read_stamp(std::span<const std::byte, kSectorBytes> sector, VolumeId volume,
                 std::uint64_t number_of_sector) noexcept {
  Words words;
  std::memcpy(words.data(), sector.data(), kSectorBytes);
  if (words[0] == 0 && std::ranges::all_of(words, [](std::uint64_t word) { return word == 0; }))
    return kZeroes;
  const bool is_ours = words[0] == kMagic && words[1] == volume.value() && words[2] == number_of_sector &&
                       words[kWords - 1] == checksum(sector);
  return is_ours ? words[4] : kGarbage;
}

}  // namespace sluice::sim
