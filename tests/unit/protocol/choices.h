#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>

namespace sluice::protocol::test {

/// A run's decisions, read from bytes: a property test draws them at random, a fuzzer evolves them.
class Choices {
 public:
  explicit Choices(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}

  [[nodiscard]] bool any_left() const { return at_ < bytes_.size(); }

  /// 0 .. count - 1, count at most 256; 0 when the bytes have run out.
  std::uint32_t below(std::size_t count) {
    const std::uint8_t byte = any_left() ? bytes_[at_++] : std::uint8_t{0};
    return static_cast<std::uint32_t>(byte % count);
  }
  bool yes() { return below(2) == 1; }

 private:
  std::span<const std::uint8_t> bytes_;
  std::size_t at_ = 0;
};

/// A broken rule ends the run, in a test as in a fuzzer.
inline void require(bool holds, const char* rule) {
  if (!holds) throw std::logic_error(std::string("broken: ") + rule);
}

}  // namespace sluice::protocol::test
