#include "protocol/base/crc32c.h"

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstring>

#include <isa-l/crc.h>

namespace sluice {
namespace {

// ---- Tables, for sixteen bytes at a time ("slicing", Kounavis and Berry 2005)

using Tables = std::array<std::array<std::uint32_t, 256>, 16>;

/// tables[n][b]: what byte b does to the state when n zero bytes follow it.
constexpr Tables make_tables() {
  constexpr std::uint32_t kReflectedPolynomial = 0x82f6'3b78;
  Tables tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t state = byte;
    for (int bit = 0; bit < 8; ++bit)
      state = (state >> 1U) ^ ((state & 1U) != 0 ? kReflectedPolynomial : 0);
    tables[0][byte] = state;
  }
  for (std::size_t zeroes = 1; zeroes < tables.size(); ++zeroes) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t before = tables[zeroes - 1][byte];
      tables[zeroes][byte] = (before >> 8U) ^ tables[0][before & 0xffU];
    }
  }
  return tables;
}

constexpr Tables kTables = make_tables();

std::uint64_t word_at(const std::byte* data) noexcept {
  static_assert(std::endian::native == std::endian::little, "the first byte is the lowest of a word");
  std::uint64_t word = 0;
  std::memcpy(&word, data, sizeof word);
  return word;
}

/// What the eight bytes of `word` do to the state when `Zeroes` bytes follow them.
template <std::size_t Zeroes>
std::uint32_t effect_of(std::uint64_t word) noexcept {
  return kTables[Zeroes + 7][word & 0xffU] ^ kTables[Zeroes + 6][(word >> 8U) & 0xffU] ^
         kTables[Zeroes + 5][(word >> 16U) & 0xffU] ^ kTables[Zeroes + 4][(word >> 24U) & 0xffU] ^
         kTables[Zeroes + 3][(word >> 32U) & 0xffU] ^ kTables[Zeroes + 2][(word >> 40U) & 0xffU] ^
         kTables[Zeroes + 1][(word >> 48U) & 0xffU] ^ kTables[Zeroes][word >> 56U];
}

// ---- Which way

using Way = std::uint32_t (*)(std::span<const std::byte> data, std::uint32_t previous) noexcept;

/// The shortest of a few runs: what else the machine does only makes a run longer.
std::chrono::nanoseconds time_of(Way way) noexcept {
  static constexpr std::array<std::byte, 4096> kSample{};
  auto shortest = std::chrono::nanoseconds::max();
  for (int run = 0; run < 5; ++run) {
    const auto start = std::chrono::steady_clock::now();
    const volatile std::uint32_t checksum = way(kSample, 0);  // or the compiler could leave it out
    static_cast<void>(checksum);
    const std::chrono::nanoseconds taken = std::chrono::steady_clock::now() - start;
    shortest = std::min(shortest, taken);
  }
  return shortest;
}

/// A real processor's instructions win by far. On an emulated one, such as a test's virtual machine, each of
/// them is a loop over bits, and the tables win as clearly.
Way quicker() noexcept {
  return time_of(crc32c_by_instructions) <= time_of(crc32c_by_tables) ? crc32c_by_instructions
                                                                      : crc32c_by_tables;
}

}  // namespace

std::uint32_t crc32c_by_instructions(std::span<const std::byte> data, std::uint32_t previous) noexcept {
  constexpr std::size_t kMaxPiece = std::size_t{1} << 30U;  // ISA-L takes the length as an int
  std::uint32_t state = ~previous;                          // ISA-L applies neither inversion itself
  while (!data.empty()) {
    const std::span<const std::byte> piece = data.first(std::min(data.size(), kMaxPiece));
    // The library's prototype lacks const; it only reads.
    auto* bytes = reinterpret_cast<unsigned char*>(const_cast<std::byte*>(piece.data()));
    state = crc32_iscsi(bytes, static_cast<int>(piece.size()), state);
    data = data.subspan(piece.size());
  }
  return ~state;
}

std::uint32_t crc32c_by_tables(std::span<const std::byte> data, std::uint32_t previous) noexcept {
  constexpr std::size_t kStep = 2 * sizeof(std::uint64_t);
  std::uint32_t state = ~previous;
  while (data.size() >= kStep) {
    state = effect_of<8>(word_at(data.data()) ^ state) ^
            effect_of<0>(word_at(data.data() + sizeof(std::uint64_t)));
    data = data.subspan(kStep);
  }
  for (const std::byte byte : data)
    state = (state >> 8U) ^ kTables[0][(state ^ std::to_integer<std::uint32_t>(byte)) & 0xffU];
  return ~state;
}

std::uint32_t crc32c(std::span<const std::byte> data, std::uint32_t previous) noexcept {
  static const Way way = quicker();
  return way(data, previous);
}

}  // namespace sluice
