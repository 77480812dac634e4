#pragma once

#include <memory>
#include <string>
#include <vector>

#include "client/volume_client.h"
#include "tests/sim/history.h"
#include "tests/sim/process.h"
#include "tests/sim/workload.h"

namespace sluice::sim {

struct ClientSetup {
  std::string client_id;
  std::string volume;
  bool steal = false;
  bool read_only = false;
  bool fails_on_loss = false;
  bool registers_memory = true;
  std::vector<std::string> local_addresses;  ///< one a rail
  std::vector<transport::Address> masters;
  transport::TransportConfig transport;
  WorkloadConfig workload;
  std::uint64_t seed = 0;
};

/// A client's process: one opening of one volume, and a caller that uses it.
class ClientProcess final : public Process, private runtime::Turning, private CallerPort {
 public:
  ClientProcess(Environment& environment, std::string host, History& history, const ClientSetup& setup);
  ~ClientProcess() override;

  void close();
  [[nodiscard]] OpeningId opening() const noexcept { return opening_; }
  [[nodiscard]] Workload& workload() noexcept { return workload_; }
  [[nodiscard]] bool is_connected() const { return client_->state() == client::ConnectionState::connected; }
  /// For good, with nothing outstanding.
  [[nodiscard]] bool has_ended() const { return client_->has_ended() && workload_.outstanding() == 0; }
  [[nodiscard]] const client::VolumeClient& client() const noexcept { return *client_; }
  [[nodiscard]] std::string describe() const;
  [[nodiscard]] std::map<std::string, std::uint64_t> marks() const override;

 private:
  bool turn() override;
  bool arm() override { return client_->arm(); }
  [[nodiscard]] Duration longest_sleep() const override;
  StatusCode submit(const Request& request) override;
  std::size_t take(std::span<Completion> out) override;
  void on_killed(bool with_the_power) override;
  void note_session();

  History& history_;
  OpeningId opening_;
  SimRandomSource random_;
  Workload workload_;
  runtime::Reactor reactor_;
  std::unique_ptr<client::VolumeClient> client_;
  Gvn noted_;
  Gvn acknowledged_;
};

}  // namespace sluice::sim
