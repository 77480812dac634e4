#pragma once

#include <cstdint>
#include <map>
#include <set>

#include "protocol/io_frame.h"
#include "transport/sim/network.h"

namespace sluice::sim {

/// What reached whom on the data path, and in which order: whether what a schedule is meant to bring about
/// has come about. Of clusters with one volume, whose versions tell all sessions apart.
class Traffic {
 public:
  /// How often it happened.
  struct Counts {
    std::uint64_t twins = 0;       ///< a request reached the node while a copy of it had no answer yet
    std::uint64_t slot_twins = 0;  ///< ... with data in a slot
    std::uint64_t overtaken = 0;   ///< a copy came when it and a later change of its bytes were answered
    std::uint64_t overtaken_discards = 0;  ///< ... of a discard or of zeroes
    std::uint64_t entry_reused = 0;   ///< a copy came when it was answered, and its entry had another number
    std::uint64_t window_full = 0;    ///< a request came first when all others of its window had come
    std::uint64_t old_low = 0;        ///< a request came with a `low` below one that had come before
    std::uint64_t dead_requests = 0;  ///< a request's queue pair was gone, or took nothing any more
    std::uint64_t dead_writes = 0;    ///< a packet's of a WRITE, with a request's data or an answer's
  };

  Traffic(transport::sim::Network& network, std::uint64_t window);
  Traffic(const Traffic&) = delete;
  Traffic& operator=(const Traffic&) = delete;
  ~Traffic();

  [[nodiscard]] const Counts& counts() const noexcept { return counts_; }

 private:
  struct Known {
    protocol::IoRequest request;
    /// One a connection at most: what comes by it once more was sent again by the device.
    std::set<protocol::PathTag> attempts;
    bool is_answered = false;
  };
  struct Session {
    std::map<Seq, Known> requests;
    Seq highest_low;
  };

  void on_arrival(const transport::sim::Arrival& arrival);
  void on_request(const protocol::IoRequest& request);
  void on_copy(const Session& session, const Known& known);

  transport::sim::Network& network_;
  std::uint64_t window_;
  std::map<Gvn, Session> sessions_;
  Counts counts_;
};

}  // namespace sluice::sim
