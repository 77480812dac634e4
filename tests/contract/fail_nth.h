#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "transport/fault_injection.h"

namespace sluice::transport::contract {

/// Fails the call of one number, counted from 0 over everything that asks it.
class FailNth final : public FaultInjector {
 public:
  explicit FailNth(std::uint64_t nth) : nth_(nth) {}

  bool should_fail(std::string_view call) noexcept override {
    if (!armed_ || count_++ != nth_) return false;
    failed_call_ = call;
    return true;
  }
  void arm(bool armed) noexcept { armed_ = armed; }
  [[nodiscard]] bool has_failed() const noexcept { return !failed_call_.empty(); }
  [[nodiscard]] const std::string& failed_call() const noexcept { return failed_call_; }

 private:
  std::uint64_t nth_;
  std::uint64_t count_ = 0;
  bool armed_ = true;
  std::string failed_call_;
};

}  // namespace sluice::transport::contract
