#pragma once

#include <string>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/volume_sessions.h"
#include "storage_node/volume_host.h"

namespace sluice::storage_node {

/// Tells the log what became of a volume's sessions, and what was refused and why: looked up now and then, so
/// that the data path has nothing to do with it and a storm of refusals is a line a second.
class SessionJournal {
 public:
  SessionJournal(VolumeHost& host, VolumeId volume) : host_(host), volume_(volume) {}

  void look(const protocol::VolumeSessions& sessions, Instant now);

 private:
  struct Known {
    Gvn gvn;
    protocol::ClientId client;
    bool active = true;
    protocol::RefusalCounts told;
  };

  void look_for_changes(const protocol::VolumeSessions& sessions);
  void look_for_refusals(const protocol::VolumeSessions& sessions);
  void say(const Known& session, const std::string& what) const;

  VolumeHost& host_;
  VolumeId volume_;
  std::vector<Known> known_;
  Instant last_refusals_;
};

}  // namespace sluice::storage_node
