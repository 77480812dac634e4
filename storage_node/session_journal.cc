#include "storage_node/session_journal.h"

#include <algorithm>

namespace sluice::storage_node {
namespace {

using protocol::Refusal;
using protocol::RefusalCounts;
using protocol::ServerSession;

constexpr Duration kRefusalInterval = std::chrono::seconds(1);

/// " expired=3 seq_misuse=1": what came since; empty if nothing did.
std::string difference(const RefusalCounts& now, const RefusalCounts& before) {
  std::string text;
  for (std::size_t i = 0; i < protocol::kRefusalCount; ++i) {
    const auto reason = static_cast<Refusal>(i);
    const std::uint64_t count = now.of(reason) - before.of(reason);
    if (count > 0) text += " " + std::string(to_string(reason)) + "=" + std::to_string(count);
  }
  return text;
}

}  // namespace

void SessionJournal::look(const protocol::VolumeSessions& sessions, Instant now) {
  look_for_changes(sessions);
  if (now - last_refusals_ < kRefusalInterval) return;
  last_refusals_ = now;
  look_for_refusals(sessions);
}

void SessionJournal::look_for_changes(const protocol::VolumeSessions& sessions) {
  for (Known& known : known_) {
    const ServerSession* const session = sessions.session(known.gvn);
    if (session == nullptr) {
      say(known, "session over: nothing of it can have an effect any more");
    } else if (known.active && !session->is_active()) {
      known.active = false;
      say(known, "session ends: it is cut off and drained");
    }
  }
  std::erase_if(known_, [&](const Known& known) { return sessions.session(known.gvn) == nullptr; });
  for (const ServerSession* const session : sessions.sessions()) {
    const auto is_it = [&](const Known& known) { return known.gvn == session->config().gvn; };
    if (std::any_of(known_.begin(), known_.end(), is_it)) continue;
    known_.push_back({session->config().gvn, session->config().client, session->is_active(), {}});
    say(known_.back(), "session begins, " + std::string(to_string(session->config().mode)) + ", " +
                           std::string(to_string(session->config().policy)));
  }
}

void SessionJournal::look_for_refusals(const protocol::VolumeSessions& sessions) {
  for (Known& known : known_) {
    const ServerSession* const session = sessions.session(known.gvn);
    const std::string refused = difference(session->refusals(), known.told);
    if (refused.empty()) continue;
    known.told = session->refusals();
    say(known, "requests refused:" + refused);
  }
}

void SessionJournal::say(const Known& session, const std::string& what) const {
  host_.log(transport::LogLevel::info, "volume=" + std::to_string(volume_.value()) +
                                           " gvn=" + to_string(session.gvn) +
                                           " client=" + std::string(session.client.view()) + ": " + what);
}

}  // namespace sluice::storage_node
