#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "transport/provider.h"
#include "transport/sim/packet.h"

namespace sluice::transport::sim {

class QueuePair;
struct QueuePairCause;

/// The send queue of a queue pair: takes the requests apart into packets, reads the source when a packet
/// leaves (again, when it is sent again), and completes requests in order as they are acknowledged.
/// InfiniBand Architecture Specification 1.2.1, volume 1, 9.7 (go-back-N; timers and retries 9.7.6.1).
class Requester {
 public:
  Requester(QueuePair& queue_pair, std::uint32_t depth);

  [[nodiscard]] std::uint64_t posted() const noexcept { return posted_; }

  void post(const WorkRequest& request);
  void ring_doorbell();
  void on_answer(const Packet& packet);
  void on_transmit();
  void on_acknowledge_timer();
  void on_receiver_not_ready_timer();
  void lose_acknowledgements() noexcept { loses_acknowledgements_ = true; }
  /// Completes all that is outstanding: flushed, but for the one that failed.
  void flush(const QueuePairCause& cause);

 private:
  struct Work {
    WorkRequest request;
    std::uint32_t total_bytes = 0;
    std::uint32_t fragments_read = 0;  ///< of a READ: response packets that have landed
    std::vector<std::byte> inline_bytes;
  };
  struct Failure {
    std::uint64_t message;
    CompletionStatus status;
  };

  [[nodiscard]] Work& work_at(std::uint64_t message) { return works_[message % works_.size()]; }
  [[nodiscard]] std::uint32_t fragments_of(std::uint32_t bytes) const noexcept;
  [[nodiscard]] bool is_waiting_for_answer() const noexcept {
    return acknowledged_ < next_message_ || next_fragment_ > 0;
  }
  [[nodiscard]] bool may_transmit() const noexcept;
  void schedule_transmit(Duration delay);
  bool fill_packet(Work& work, Packet& packet);
  [[nodiscard]] bool scatter(const Work& work, std::uint32_t offset,
                             const std::vector<std::byte>& bytes) const;

  /// All messages before `end` are acknowledged.
  void acknowledge_until(std::uint64_t end);
  void on_read_response(const Packet& packet);
  void on_receiver_not_ready(const Packet& packet);
  void rewind(std::uint64_t message, std::uint32_t fragment);
  void start_acknowledge_timer();
  /// A local error shows only after all requests before it have completed.
  void fail_when_reached(std::uint64_t message, CompletionStatus status);
  void fail_if_reached();
  void fail_now(std::uint64_t message, CompletionStatus status);

  QueuePair& queue_pair_;
  std::vector<Work> works_;  ///< a ring, by message
  std::uint64_t posted_ = 0;
  std::uint64_t acknowledged_ = 0;  ///< messages before this one have completed
  std::uint64_t next_message_ = 0;  ///< the next packet to leave
  std::uint32_t next_fragment_ = 0;
  bool transmit_scheduled_ = false;
  bool waits_for_receiver_ = false;
  bool loses_acknowledgements_ = false;
  bool timer_scheduled_ = false;
  Instant acknowledge_deadline_{};
  unsigned timeouts_ = 0;
  unsigned receiver_not_ready_tries_ = 0;
  std::optional<Failure> failure_;
};

}  // namespace sluice::transport::sim
