#pragma once

#include <memory>
#include <string>

#include <sched.h>

#include "tests/contract/fabric.h"

namespace sluice::transport::contract {

/// What the fabrics of the operating system have in common: one machine, real time.
class RealFabric : public TestFabric {
 public:
  RealFabric(FabricTraits traits, std::string host) : traits_(traits), host_(std::move(host)) {}

  [[nodiscard]] const FabricTraits& traits() const noexcept override { return traits_; }
  [[nodiscard]] Address address(int) const override { return {host_, 0}; }
  void advance() override { ::sched_yield(); }
  [[nodiscard]] Instant now() const override { return clock_.now(); }

 protected:
  [[nodiscard]] const std::string& host() const noexcept { return host_; }

 private:
  FabricTraits traits_;
  std::string host_;
  SteadyClock clock_;
};

}  // namespace sluice::transport::contract
