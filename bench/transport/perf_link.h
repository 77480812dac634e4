#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "bench/transport/perf_plan.h"
#include "transport/provider.h"

namespace sluice::bench {

/// One end of the measured connection: an endpoint, its memory and its counters. The lower half of the memory
/// is what this side sends from, the upper half what the peer sends or writes to.
class PerfLink {
 public:
  /// Waits for one client and takes its plan. `announce` is called with the address once it listens.
  static Result<std::unique_ptr<PerfLink>> serve(transport::Provider& provider,
                                                 const transport::Address& address,
                                                 void (*announce)(const transport::Address&));
  /// Errors: as Provider::connect, and why the peer refused.
  static Result<std::unique_ptr<PerfLink>> connect(transport::Provider& provider,
                                                   const transport::Address& address, PerfPlan plan);

  [[nodiscard]] const PerfPlan& plan() const noexcept { return plan_; }
  [[nodiscard]] std::span<std::byte> outgoing() noexcept { return std::span(memory_).first(half()); }
  [[nodiscard]] std::span<std::byte> incoming() noexcept { return std::span(memory_).subspan(half()); }
  [[nodiscard]] std::uint32_t send_room() const noexcept { return endpoint_->send_room(); }

  /// Posts a SEND of the first `length` outgoing bytes.
  Status send(std::uint32_t length);
  /// Posts a WRITE of the first `length` outgoing bytes to the start of the peer's incoming half.
  Status write(std::uint32_t length, bool signaled);
  /// WRITE and SEND in one chain.
  Status write_then_send(std::uint32_t write_length, std::uint32_t send_length);

  /// Takes completions; a failed one, or the loss of the connection, is an error.
  Status poll();
  /// Polls until so many messages came in altogether.
  Status wait_for_receives(std::uint64_t total);
  /// Polls until everything posted has completed; the last request posted must be signalled.
  Status wait_for_sends();
  [[nodiscard]] std::uint64_t received() const noexcept { return received_; }
  /// Signalled requests that completed.
  [[nodiscard]] std::uint64_t completed() const noexcept { return completed_; }

  /// Ends the connection and sees it drained.
  Status finish();

 private:
  explicit PerfLink(transport::Provider& provider) : provider_(provider) {}

  Status prepare_memory(std::uint32_t half_bytes);
  [[nodiscard]] transport::EndpointConfig endpoint_config() const;
  Status wait_until_established();
  Status repost(std::uint32_t slot);
  void prepare(transport::WorkRequest& work, transport::Opcode opcode, std::uint32_t length, bool signaled);
  [[nodiscard]] std::size_t half() const noexcept { return memory_.size() / 2; }

  static constexpr std::uint32_t kReceives = kPerfDepth;

  transport::Provider& provider_;
  PerfPlan plan_;
  std::vector<std::byte> memory_;
  std::vector<std::byte> receive_memory_;
  std::unique_ptr<transport::CompletionQueue> queue_;
  std::unique_ptr<transport::ProtectionDomain> domain_;
  std::unique_ptr<transport::Region> region_;
  std::unique_ptr<transport::Region> receive_region_;
  std::unique_ptr<transport::Endpoint> endpoint_;
  std::vector<transport::ReceiveRequest> initial_receives_;
  transport::LocalBuffer outgoing_;
  transport::RemoteBuffer peer_target_;
  std::uint32_t inline_bytes_ = 0;
  std::uint32_t receive_bytes_ = 0;
  std::uint64_t received_ = 0;
  std::uint64_t completed_ = 0;
  std::uint32_t unsignaled_run_ = 0;
  std::uint32_t next_slot_ = 0;
  unsigned empty_polls_ = 0;
  std::array<transport::WorkRequest, 2> chain_;
  std::array<transport::Completion, 16> batch_;
};

}  // namespace sluice::bench
