#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "master/ledger.h"
#include "master/node_registry.h"
#include "master/orders.h"
#include "protocol/control_messages.h"
#include "transport/transport_config.h"

namespace sluice::master {

/// Who waits for an answer.
struct Asker {
  std::uint64_t connection = 0;
  protocol::RequestId request;
};

struct DueAnswer {
  Asker asker;
  protocol::CommandAnswer answer;
};

/// The volumes, as operators see them: made, resized, renamed, removed and moved. A change is committed
/// before its order is given, or after, whichever leaves no moment in which a volume could be opened whose
/// storage isn't as the record says:
/// - create: the record without storage -> the node makes it -> the record with storage.
/// - grow: the node resizes -> the record; shrink: the record -> the node resizes.
/// - remove: the record goes -> the old node ends its sessions and gives the storage back.
/// - migrate: moving -> the old node is quiesced, the new one copies -> the record -> the old one gives back.
/// What a crash of the master leaves undone is taken up again from the store (see orders.h). One thread.
class VolumeRegistry {
 public:
  /// All outlive the registry.
  VolumeRegistry(Ledger& ledger, const NodeRegistry& nodes, Orders& orders, std::uint64_t max_volumes,
                 transport::LogSink log);

  void on_command(const Asker& asker, const protocol::VolumeCommand& command);
  [[nodiscard]] protocol::VolumeList list(const protocol::ListVolumes& request);

  /// This master is in charge now: goes on with whatever isn't done.
  [[nodiscard]] Status take_up();
  void on_outcome(const DutyOutcome& outcome);
  void on_node_lost(protocol::NodeId node);
  /// Looks again at what couldn't be read or committed.
  void tick();

  /// What has to be answered now. A command's answer may come long after it.
  [[nodiscard]] std::vector<DueAnswer> take_answers();
  /// Whoever still waits is told this.
  void answer_all(StatusCode status, const std::string& reason);

 private:
  struct Waiter {
    Asker asker;
    protocol::VolumeVerb verb;
    protocol::NodeId node;  ///< whose order it waits for
  };
  /// What a command came to at once.
  struct Taken {
    VolumeId volume;
    protocol::NodeId node;
    bool waits = false;  ///< for the node
  };

  [[nodiscard]] Result<Taken> create(const protocol::VolumeCommand& command);
  [[nodiscard]] Result<Taken> resize(const protocol::VolumeCommand& command);
  [[nodiscard]] Result<Taken> rename(const protocol::VolumeCommand& command);
  [[nodiscard]] Result<Taken> remove(const protocol::VolumeCommand& command);
  [[nodiscard]] Result<Taken> migrate(const protocol::VolumeCommand& command);
  [[nodiscard]] Result<Taken> cancel_move(const protocol::VolumeCommand& command);

  void on_made(const DutyOutcome& outcome);
  void on_resized(const DutyOutcome& outcome);
  void on_given_back(const DutyOutcome& outcome);
  void on_filled(const DutyOutcome& outcome);
  [[nodiscard]] Status forget_unmade(VolumeId volume);
  [[nodiscard]] Status give_up_resize(VolumeId volume);

  void sync(VolumeId volume);
  [[nodiscard]] bool someone_waits(VolumeId volume) const { return waiters_.contains(volume); }
  void answer(const Asker& asker, StatusCode status, VolumeId volume, protocol::NodeId node,
              const std::string& reason);
  void answer_waiters(VolumeId volume, protocol::NodeId node, const Status& status);
  [[nodiscard]] protocol::VolumeEntry entry_of(const protocol::VolumeRecord& record) const;
  void log(transport::LogLevel level, const std::string& line) const;

  Ledger& ledger_;
  const NodeRegistry& nodes_;
  Orders& orders_;
  std::uint64_t max_volumes_;
  transport::LogSink log_;
  std::multimap<VolumeId, Waiter> waiters_;
  std::vector<DueAnswer> answers_;
  std::set<VolumeId> unsynced_;
};

}  // namespace sluice::master
