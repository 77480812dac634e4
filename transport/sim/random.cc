#include "transport/sim/random.h"

#include <bit>

#include "protocol/base/check.h"

namespace sluice::transport::sim {

namespace {

constexpr std::uint32_t kMillion = 1'000'000;

std::uint64_t splitmix64(std::uint64_t& state) noexcept {
  state += 0x9e37'79b9'7f4a'7c15U;
  std::uint64_t mixed = state;
  mixed = (mixed ^ (mixed >> 30U)) * 0xbf58'476d'1ce4'e5b9U;
  mixed = (mixed ^ (mixed >> 27U)) * 0x94d0'49bb'1331'11ebU;
  return mixed ^ (mixed >> 31U);
}

}  // namespace

Random::Random(std::uint64_t seed) noexcept {
  for (std::uint64_t& word : state_)
    word = splitmix64(seed);
}

std::uint64_t Random::next() noexcept {
  const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const std::uint64_t shifted = state_[1] << 17U;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= shifted;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

std::uint64_t Random::below(std::uint64_t bound) noexcept {
  check(bound > 0, "a random number lies below a bound of at least 1");
  if (bound == 1) return 0;
  const auto unused_bits = static_cast<unsigned>(std::countl_zero(bound - 1));
  for (;;) {
    const std::uint64_t candidate = next() >> unused_bits;
    if (candidate < bound) return candidate;
  }
}

bool Random::chance_ppm(std::uint32_t ppm) noexcept {
  return ppm > 0 && below(kMillion) < ppm;
}

Duration Random::up_to(Duration longest) noexcept {
  if (longest <= Duration::zero()) return Duration::zero();
  return Duration(static_cast<std::int64_t>(below(static_cast<std::uint64_t>(longest.count()) + 1)));
}

}  // namespace sluice::transport::sim
