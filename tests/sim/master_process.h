#pragma once

#include <memory>
#include <string>
#include <vector>

#include "master/master.h"
#include "tests/sim/process.h"
#include "tests/sim/store.h"

namespace sluice::sim {

/// A master's process. It exits once it finds itself deposed.
class MasterProcess final : public Process, private runtime::Turning {
 public:
  MasterProcess(Environment& environment, std::string host, StoreMedium& medium, transport::Address address,
                const transport::TransportConfig& transport);
  ~MasterProcess() override;

  [[nodiscard]] const master::Master& master() const noexcept { return *master_; }
  [[nodiscard]] bool is_in_charge() const {
    return is_alive() && master_->manager_version() != ManagerVersion(0);
  }

 private:
  bool turn() override;
  bool arm() override { return master_->arm(); }
  [[nodiscard]] Duration longest_sleep() const override { return master_->longest_sleep(); }

  SimStore store_;
  std::unique_ptr<master::Master> master_;
};

}  // namespace sluice::sim
