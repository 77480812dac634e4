#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "protocol/base/status.h"
#include "protocol/sequence_window.h"

namespace sluice::protocol::test {

/// The window's table written down as plainly as possible: remembers every number for ever, in a map, and
/// lives in unbounded memory. What SequenceWindow must be equal to.
class ReferenceWindow {
 public:
  explicit ReferenceWindow(std::uint64_t size) : size_(size) {}

  enum class Answer { path_killed, session_fenced, expired, out_of_window, wait, status, run_again, execute };
  struct Outcome {
    Answer answer = Answer::path_killed;
    StatusCode status = StatusCode::ok;
  };
  struct Entry {
    RequestIdentity identity;
    bool executing = false;
    StatusCode status = StatusCode::ok;
    std::uint32_t executor = 0;
    std::vector<std::uint32_t> waiters;
  };

  Outcome admit(std::uint64_t seq, std::uint64_t low, const RequestIdentity& identity,
                std::uint32_t attempt) {
    if (seq == 0 || low == 0 || low > seq || seq - low >= size_) return {Answer::path_killed};  // W1
    if (low > base) {                                                                           // W2
      for (const auto& [number, entry] : entries) {
        if (entry.executing && number < low) return {Answer::session_fenced};
      }
      base = low;
    }
    if (seq < base) return {Answer::expired};                 // W3
    if (seq - base >= size_) return {Answer::out_of_window};  // W4
    const auto known = entries.find(seq);
    if (known != entries.end()) {
      if (!(known->second.identity == identity)) return {Answer::session_fenced};  // W5
      if (known->second.executing) {                                               // W6
        known->second.waiters.push_back(attempt);
        return {Answer::wait};
      }
      if (identity.op == IoOp::read) return {Answer::run_again};
      return {Answer::status, known->second.status};
    }
    entries[seq] = {identity, true, StatusCode::ok, attempt, {}};  // W7
    return {Answer::execute};
  }

  void complete(std::uint64_t seq, StatusCode status) {
    entries.at(seq).executing = false;
    entries.at(seq).status = status;
    entries.at(seq).waiters.clear();
  }

  std::optional<std::uint32_t> withdraw(std::uint64_t seq) {
    Entry& entry = entries.at(seq);
    if (entry.waiters.empty()) {
      entries.erase(seq);
      return std::nullopt;
    }
    entry.executor = entry.waiters.front();
    entry.waiters.erase(entry.waiters.begin());
    return entry.executor;
  }

  [[nodiscard]] std::uint32_t executing() const {
    std::uint32_t count = 0;
    for (const auto& [number, entry] : entries)
      count += entry.executing ? 1U : 0U;
    return count;
  }

  std::uint64_t base = 1;
  std::map<std::uint64_t, Entry> entries;

 private:
  std::uint64_t size_;
};

/// What the window's verdict means in the table's words.
inline ReferenceWindow::Answer in_table_words(Verdict verdict) {
  using Answer = ReferenceWindow::Answer;
  switch (verdict) {
    case Verdict::bad_low:
      return Answer::path_killed;
    case Verdict::passes_executing:
    case Verdict::seq_misuse:
      return Answer::session_fenced;
    case Verdict::expired:
      return Answer::expired;
    case Verdict::wait:
      return Answer::wait;
    case Verdict::stored_status:
      return Answer::status;
    case Verdict::run_again:
      return Answer::run_again;
    case Verdict::execute:
      break;
  }
  return Answer::execute;
}

inline RequestIdentity identity_for(std::uint64_t number, IoOp op = IoOp::write) {
  return {op, false, ByteCount(number * 4096), 4096,
          op == IoOp::write ? static_cast<std::uint32_t>(number) : 0U};
}

}  // namespace sluice::protocol::test
