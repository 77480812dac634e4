#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "protocol/base/check.h"

namespace sluice::storage_node {

/// First in, first out, with room for a number of elements that is fixed when it is made: never allocates
/// afterwards.
template <typename T>
class FixedRing {
 public:
  explicit FixedRing(std::size_t capacity) : elements_(capacity) {}

  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] bool full() const noexcept { return size_ == elements_.size(); }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  void push(T element) noexcept {
    check(!full(), "a ring has room for what is pushed");
    elements_[(first_ + size_) % elements_.size()] = std::move(element);
    ++size_;
  }
  [[nodiscard]] T& front() noexcept {
    check(!empty(), "only a ring that holds something has a front");
    return elements_[first_];
  }
  T pop() noexcept {
    T element = std::exchange(front(), T{});
    first_ = (first_ + 1) % elements_.size();
    --size_;
    return element;
  }
  void clear() noexcept {
    while (!empty())
      static_cast<void>(pop());
  }

 private:
  std::vector<T> elements_;
  std::size_t first_ = 0;
  std::size_t size_ = 0;
};

}  // namespace sluice::storage_node
