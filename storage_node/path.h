#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/status.h"
#include "protocol/io_frame.h"
#include "protocol/private_data.h"
#include "protocol/server_actions.h"
#include "runtime/link.h"
#include "runtime/reactor.h"
#include "storage_node/fixed_ring.h"
#include "storage_node/io_memory.h"
#include "storage_node/session_domain.h"

namespace sluice::storage_node {

/// What every path is given, and how long its peer may be silent.
struct PathConfig {
  protocol::FixedVector<protocol::SlotClass, protocol::kMaxSlotClasses> slots;
  std::uint32_t in_capsule_limit = protocol::kMaxInCapsuleData;  ///< bytes
  Duration silence_limit = std::chrono::seconds(60);             ///< without a message
  Duration stall_limit = std::chrono::seconds(10);               ///< with answers that don't leave
};
/// Bytes of all slots of a path.
[[nodiscard]] ByteCount slot_bytes(const PathConfig& config) noexcept;

class Path;

/// Told what happens on a path, from within Reactor::poll() and Path::tick().
class PathHandler {
 public:
  PathHandler() = default;
  PathHandler(const PathHandler&) = delete;
  PathHandler& operator=(const PathHandler&) = delete;
  virtual ~PathHandler() = default;

  /// A message that is no keepalive. What it carries stays until the call returns; see Path::keep_capsule.
  virtual void on_path_request(Path& path, std::span<const std::byte> message) = 0;
  /// Nothing can be sent any more.
  virtual void on_path_lost(Path& path, const Error& why) = 0;
  /// Its queue pair is destroyed: nothing can reach its memory any more. May destroy the path.
  virtual void on_path_disconnected(Path& path) = 0;
};

/// One connection as a path of a session: its queue pair, its slots, what it is about to answer.
///
/// The order of its end (R4) is that of its members: the queue pair, then the slots' region, then their
/// memory.
class Path final : private runtime::LinkHandler {
 public:
  Path(const protocol::PathKey& key, std::uint16_t depth, const PathConfig& config, PathHandler& handler);
  ~Path() override = default;

  /// Makes the connection this path, with slots of its own (R1). On an error the peer is rejected. Errors:
  /// what the device has to say.
  Status accept(runtime::Reactor& reactor, runtime::Incoming incoming, std::shared_ptr<SessionDomain> domain,
                StagingRange staging);

  [[nodiscard]] const protocol::PathKey& key() const noexcept { return key_; }
  [[nodiscard]] const std::shared_ptr<SessionDomain>& domain() const noexcept { return domain_; }
  [[nodiscard]] std::optional<runtime::Rail> rail() const noexcept { return rail_; }
  [[nodiscard]] bool has_queue_pair() const noexcept { return link_ != nullptr; }
  [[nodiscard]] bool is_open() const noexcept { return link_ && !is_closing_; }
  [[nodiscard]] std::string peer() const { return link_ ? link_->peer() : "unknown"; }

  /// The first `length` bytes of a slot; null if the path has no such slot, or not of that size.
  [[nodiscard]] std::byte* slot(protocol::SlotIndex slot, std::uint32_t length) const noexcept;

  /// The data that came in the capsule of request `seq`; empty if it isn't here any more.
  [[nodiscard]] std::span<const std::byte> capsule(Seq seq) const noexcept;
  /// Keeps the message that is just being handled, until its capsule is released: it takes up a receive.
  void keep_capsule(Seq seq) noexcept;
  void release_capsule(Seq seq) noexcept;

  /// R2: on this path's queue pair, and if there is data, WRITEs its `length` bytes to `target` before. If
  /// the queue pair is gone, nothing happens.
  void respond(const protocol::IoResponse& response, const protocol::RemoteBuffer& target,
               std::uint32_t length, IoBuffer data) noexcept;
  /// Sends what had no room so far. To be called every turn while has_backlog().
  void send_backlog() noexcept;
  [[nodiscard]] bool has_backlog() const noexcept { return !backlog_.empty(); }

  /// Takes the queue pair down; on_path_disconnected follows, at once if there is none (any more).
  void disconnect();

  /// Gives up a peer that is silent, or doesn't take its answers. To be called a few times a second.
  void tick(Instant now);

 private:
  struct Answer {
    protocol::IoResponse response;
    protocol::RemoteBuffer target;
    std::uint32_t length = 0;
    IoBuffer data;
  };
  struct Capsule {
    Seq seq;
    std::span<const std::byte> message;
    transport::MessageHandle handle;
  };

  void on_up(runtime::Link& link, std::span<const std::byte> private_data) override;
  void on_message(runtime::Link& link, std::span<const std::byte> bytes,
                  transport::MessageHandle message) override;
  void on_sent(runtime::Link& link, std::uint64_t tag, transport::CompletionStatus status) override;
  void on_down(runtime::Link& link, const Error& why, std::span<const std::byte> private_data) override;
  void on_drained(runtime::Link& link) override;

  [[nodiscard]] transport::ChannelConfig channel_config(const transport::Provider& provider) const;
  [[nodiscard]] std::vector<std::byte> acceptance() const;
  [[nodiscard]] bool take_keepalive(std::span<const std::byte> message);
  bool post(Answer& answer) noexcept;
  void give_up(StatusCode code, const char* why);

  protocol::PathKey key_;
  std::uint16_t depth_;
  const PathConfig& config_;
  PathHandler& handler_;
  std::optional<runtime::Rail> rail_;

  StagingRange staging_;
  std::shared_ptr<SessionDomain> domain_;
  std::unique_ptr<transport::Region> slots_;
  FixedRing<IoBuffer> leaving_;  ///< data of answers that the device has, oldest first
  FixedRing<Answer> backlog_;
  std::optional<Capsule> arriving_;  ///< the message that is being handled; its seq isn't known yet
  std::vector<Capsule> kept_;        ///< few: see keep_capsule
  bool is_closing_ = false;
  bool is_overrun_ = false;  ///< an answer found no place in the backlog
  bool heard_ = true;        ///< since the last tick
  bool progress_ = true;     ///< of answers, since the last tick
  Instant last_heard_;
  Instant last_progress_;
  std::unique_ptr<runtime::Link> link_;
};

}  // namespace sluice::storage_node
