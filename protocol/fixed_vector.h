#pragma once

#include <array>
#include <cstddef>
#include <utility>

#include "protocol/base/check.h"

namespace sluice::protocol {

/// A vector that holds at most `Capacity` elements inside itself: never allocates. `T` is default
/// constructible; elements beyond `size()` hold old values and are never shown.
template <typename T, std::size_t Capacity>
class FixedVector {
 public:
  using value_type = T;
  static constexpr std::size_t kCapacity = Capacity;

  constexpr FixedVector() = default;

  /// Assigns `element` to the next place. Room must be left: running out of it is a broken bound, not a
  /// condition to handle.
  template <typename U = T>
  constexpr void push_back(U&& element) {
    check(size_ < Capacity, "a fixed vector has room for what is pushed");
    elements_[size_++] = std::forward<U>(element);
  }
  constexpr void clear() noexcept { size_ = 0; }
  constexpr void pop_back() noexcept {
    check(size_ > 0, "only a non-empty vector is popped");
    --size_;
  }

  [[nodiscard]] constexpr std::size_t size() const noexcept { return size_; }
  [[nodiscard]] constexpr bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] constexpr bool full() const noexcept { return size_ == Capacity; }

  [[nodiscard]] constexpr T& operator[](std::size_t index) noexcept {
    check(index < size_, "an index lies within the vector");
    return elements_[index];
  }
  [[nodiscard]] constexpr const T& operator[](std::size_t index) const noexcept {
    check(index < size_, "an index lies within the vector");
    return elements_[index];
  }

  [[nodiscard]] constexpr T* begin() noexcept { return elements_.data(); }
  [[nodiscard]] constexpr T* end() noexcept { return elements_.data() + size_; }
  [[nodiscard]] constexpr const T* begin() const noexcept { return elements_.data(); }
  [[nodiscard]] constexpr const T* end() const noexcept { return elements_.data() + size_; }

  friend constexpr bool operator==(const FixedVector& a, const FixedVector& b) {
    if (a.size_ != b.size_) return false;
    for (std::size_t i = 0; i < a.size_; ++i) {
      if (!(a.elements_[i] == b.elements_[i])) return false;
    }
    return true;
  }

 private:
  std::array<T, Capacity> elements_{};
  std::size_t size_ = 0;
};

}  // namespace sluice::protocol
