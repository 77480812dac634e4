#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "protocol/volume_sessions.h"
#include "runtime/control_link.h"
#include "runtime/link.h"
#include "runtime/reactor.h"
#include "transport/provider.h"
#include "transport/slab.h"

namespace sluice::client::test {

/// What outlives a node's process.
struct SmallDisk {
  std::vector<std::byte> bytes;
  Gvn fence;
  ManagerVersion manager_version;
};

/// A storage node of a test: the protocol's VolumeSessions with one volume in memory, on real connections,
/// and with the faults that a test asks for. Its master is asked by a plain call.
class SmallNode final : private runtime::ListenHandler,
                        private runtime::ControlHandler,
                        private runtime::LinkHandler {
 public:
  static constexpr protocol::NodeId kId{5};

  struct Config {
    std::vector<transport::Address> addresses;  ///< one a path
    VolumeId volume;
    std::uint16_t path_depth = 16;
    std::uint32_t longest_io = 1U << 20U;
    protocol::FixedVector<protocol::SlotClass, protocol::kMaxSlotClasses> slots;
  };
  using AskMasterCall = std::function<protocol::VerifyAnswer(const protocol::VerifyRequest&)>;

  /// `providers`: one for each address.
  SmallNode(std::vector<std::unique_ptr<transport::Provider>> providers, const Clock& clock, Config config,
            protocol::BootId boot, SmallDisk& disk, AskMasterCall ask_master);
  ~SmallNode() override;

  bool turn();
  [[nodiscard]] runtime::Reactor& reactor() noexcept { return reactor_; }
  /// What it would tell a master; with the real ports where 0 was asked for.
  [[nodiscard]] protocol::Hello hello() const;
  [[nodiscard]] const protocol::VolumeSessions& sessions() const { return sessions_; }

  /// Operations of these kinds wait until let_go(): for attempts that arrive while they are held.
  std::function<bool(const protocol::IoRequest&)> holds;
  void let_go();
  [[nodiscard]] std::size_t held() const { return held_.size(); }
  /// The next reads' data are damaged after their checksum was made.
  std::uint32_t damage_next_reads = 0;
  /// Path attaches are refused.
  bool refuses_paths = false;
  /// Writes that took effect.
  std::uint64_t writes_done = 0;

 private:
  struct Path {
    std::optional<protocol::PathKey> key;  ///< none: waits for its acceptance
    transport::Slab slab;
    std::unique_ptr<transport::ProtectionDomain> domain;
    std::unique_ptr<transport::Region> region;
    std::unique_ptr<runtime::Link> link;  ///< goes before what it uses
    std::size_t answers_at = 0;           ///< where the buffers of answers begin in the slab
    std::uint32_t next_answer = 0;
    std::span<const std::byte> arriving;
    bool destroying = false;
  };
  struct Asker {
    runtime::ControlLink* link = nullptr;
    protocol::RequestId id;
  };
  struct HeldIo {
    protocol::Execute action;
    std::vector<std::byte> data;
  };

  void on_incoming(runtime::Incoming incoming) override;
  void on_control_up(runtime::ControlLink& /*link*/) override {}
  void on_control(runtime::ControlLink& link, const protocol::ControlFrame& frame) override;
  void on_control_down(runtime::ControlLink& link, const Error& /*why*/) override { link.close(); }
  void on_control_drained(runtime::ControlLink& link) override;
  void on_up(runtime::Link& /*link*/, std::span<const std::byte> /*private_data*/) override {}
  void on_message(runtime::Link& link, std::span<const std::byte> bytes,
                  transport::MessageHandle message) override;
  void on_sent(runtime::Link& /*link*/, std::uint64_t /*tag*/,
               transport::CompletionStatus /*status*/) override {}
  void on_down(runtime::Link& link, const Error& why, std::span<const std::byte> private_data) override;
  void on_drained(runtime::Link& link) override;

  template <typename Tell>
  void tell(Tell&& event) {
    protocol::ServerActions actions;
    event(actions);
    for (const protocol::ServerAction& action : actions)
      std::visit([this](const auto& each) { this->perform(each); }, action);
  }
  void perform(const protocol::Execute& action);
  void perform(const protocol::Respond& action);
  void perform(const protocol::DestroyQueuePair& action);
  void perform(const protocol::ReleasePath& action);
  void perform(const protocol::AcceptPath& action);
  void perform(const protocol::RejectPath& action);
  void perform(const protocol::AskMaster& action);
  void perform(const protocol::PersistFence& action);
  void perform(const protocol::AnswerSession& action);
  void perform(const protocol::AnswerClose& action);
  void perform(const protocol::AnswerQuiesce& /*action*/) {}

  void run(const protocol::Execute& action, std::span<const std::byte> data);
  [[nodiscard]] std::span<const std::byte> data_of(const protocol::IoRequest& request,
                                                   const Path& path) const;
  Path* find(const protocol::PathKey& key);
  Path* find(const runtime::Link& link);

  Config config_;
  SmallDisk& disk_;
  AskMasterCall ask_master_;
  const Clock& clock_;
  protocol::BootId boot_;
  protocol::VolumeSessions sessions_;
  runtime::Reactor reactor_;
  std::vector<std::unique_ptr<transport::Listener>> listeners_;
  std::vector<std::unique_ptr<runtime::ControlLink>> controls_;
  std::vector<std::unique_ptr<Path>> paths_;
  std::map<protocol::Token, Asker> askers_;
  std::map<protocol::Token, runtime::Incoming> attaches_;
  std::map<std::uint32_t, std::vector<std::byte>> read_data_;  ///< by attempt
  std::deque<HeldIo> held_;
  std::vector<std::function<void()>> later_;  ///< what must not be told within an event
  Instant next_tick_;
  std::uint64_t next_token_ = 0;
  std::uint64_t next_cookie_ = 0;
};

}  // namespace sluice::client::test
