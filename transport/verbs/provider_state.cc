#include "transport/verbs/provider_state.h"

#include <algorithm>

namespace sluice::transport::verbs {

void DeadlineList::set(DeadlineClient& client, Instant when) {
  clear(client);
  entries_.push_back({&client, when});
}

void DeadlineList::clear(const DeadlineClient& client) noexcept {
  std::erase_if(entries_, [&](const Entry& entry) { return entry.client == &client; });
}

std::optional<Instant> DeadlineList::earliest() const noexcept {
  if (entries_.empty()) return std::nullopt;
  return std::ranges::min(entries_, {}, &Entry::when).when;
}

void DeadlineList::run(Instant now) {
  for (;;) {
    const auto due = std::ranges::find_if(entries_, [&](const Entry& entry) { return entry.when <= now; });
    if (due == entries_.end()) return;
    DeadlineClient& client = *due->client;
    entries_.erase(due);
    client.on_deadline();
  }
}

}  // namespace sluice::transport::verbs
