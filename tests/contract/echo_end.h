#pragma once

#include <cstdint>
#include <future>
#include <memory>
#include <string>

#include "tests/contract/fabric.h"
#include "transport/channel.h"

namespace sluice::transport::contract {

/// One end of an exchange of messages that runs in a thread of its own, in event mode: it sleeps in wait()
/// whenever it has nothing to do. It reports in words instead of asserting, because Catch2's assertions
/// belong to one thread.
class EchoEnd {
 public:
  explicit EchoEnd(PollingMode mode);

  /// Listens, tells where, and echoes `count` messages of one client. Empty on success.
  std::string serve(std::promise<Address> where, std::uint64_t count);
  /// Sends `count` messages, each after the echo of the one before. Empty on success.
  std::string call(const Address& where, std::uint64_t count);

 private:
  template <typename Handle>
  std::string step(Handle&& on_message);
  void take_events();
  std::string open();

  PollingMode mode_;
  std::unique_ptr<TestFabric> fabric_ = make_fabric();
  std::unique_ptr<Provider> provider_;
  std::unique_ptr<ProtectionDomain> domain_;
  std::unique_ptr<CompletionQueue> queue_;
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<ConnectionRequest> request_;
  std::unique_ptr<Channel> channel_;
  bool established_ = false;
  bool ended_ = false;
  std::string failure_;
};

}  // namespace sluice::transport::contract
