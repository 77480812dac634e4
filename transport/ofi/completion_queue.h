#pragma once

#include <array>
#include <memory>
#include <vector>

#include "protocol/base/clock.h"
#include "transport/ofi/protection_domain.h"
#include "transport/ofi/wait_set.h"
#include "transport/ofi/work_queues.h"
#include "transport/provider.h"

namespace sluice::transport::ofi {

class OfiCompletionQueue;

/// Where a completion queue learns of connection events while it waits.
class ConnectionEvents {
 public:
  ConnectionEvents() = default;
  ConnectionEvents(const ConnectionEvents&) = delete;
  ConnectionEvents& operator=(const ConnectionEvents&) = delete;
  virtual ~ConnectionEvents() = default;

  /// Makes the queue's waiter wake up for connection events.
  virtual Status enter_queue(OfiCompletionQueue& queue) = 0;
  virtual void leave_queue(OfiCompletionQueue& queue) noexcept = 0;
  /// Takes in what the fabric has. True: there is an event for Provider::next_event().
  virtual bool pump() = 0;
  /// True: there is one, without looking at the fabric.
  [[nodiscard]] virtual bool has_pending() const noexcept = 0;
  /// How long until something times out; at most `limit`.
  [[nodiscard]] virtual Duration until_deadline(Duration limit) const noexcept = 0;
};

/// The contract's completion queue. A libfabric queue belongs to one domain, and a protection domain is a
/// domain; so this has one libfabric queue, or more if they are many, for the endpoints of each domain, and
/// polls them in turn.
class OfiCompletionQueue final : public CompletionQueue {
 public:
  static Result<std::unique_ptr<OfiCompletionQueue>> create(const Fabric& fabric, ConnectionEvents& events,
                                                            std::uint32_t depth);
  ~OfiCompletionQueue() override;

  std::size_t poll(std::span<Completion> out) noexcept override;
  std::size_t wait(std::span<Completion> out, Duration timeout) noexcept override;
  Status watch(int fd) override { return wait_set_->watch(fd); }
  void unwatch(int fd) noexcept override { wait_set_->unwatch(fd); }
  [[nodiscard]] int wait_fd() const noexcept override { return wait_set_->fd(); }
  bool arm() noexcept override;

  /// One endpoint's place in the queue.
  struct Attachment {
    fid_cq* queue = nullptr;
    std::uint16_t index = 0;
  };
  /// Errors: limit_reached (it doesn't fit), out_of_memory.
  Result<Attachment> attach(WorkQueues& work, const std::shared_ptr<Domain>& domain);
  void detach(WorkQueues& work, const Attachment& attachment) noexcept;

  /// Takes in all that the fabric has to say on that queue. Once its endpoint is closed, what the fabric
  /// says of its work is thereby said.
  void settle(const Attachment& attachment) noexcept;
  /// There may be something to take from `work`.
  void list_ready(WorkQueues& work) noexcept;
  /// No endpoint of that domain is left.
  void drop(const Domain& domain) noexcept;
  /// Lets the fabric progress if nobody polled since the last call.
  void progress_if_unpolled() noexcept;

  [[nodiscard]] WaitSet& wait_set() noexcept { return *wait_set_; }

 private:
  static constexpr std::size_t kBatch = 32;

  struct FabricQueue {
    std::shared_ptr<Domain> domain;  // outlives the handle
    CompletionQueueHandle handle;
    int fd = -1;
    std::uint32_t capacity = 0;
    std::uint32_t reserved = 0;
    std::vector<WorkQueues*> users;
    bool is_broken = false;
  };

  OfiCompletionQueue(const Fabric& fabric, ConnectionEvents& events, std::uint32_t depth)
      : fabric_(fabric), events_(events), depth_(depth) {}

  Result<FabricQueue*> queue_with_room(const std::shared_ptr<Domain>& domain, std::uint32_t entries);
  Result<std::unique_ptr<FabricQueue>> open_queue(const std::shared_ptr<Domain>& domain,
                                                  std::uint32_t capacity);
  [[nodiscard]] FabricQueue& find(const fid_cq* queue) noexcept;

  [[nodiscard]] bool never_sleeps() const noexcept {
    return fabric_.config().polling.mode == PollingMode::busy;
  }

  std::size_t take_ready(std::span<Completion> out) noexcept;
  bool read(FabricQueue& queue, std::size_t limit) noexcept;
  void read_errors(FabricQueue& queue) noexcept;
  void on_broken(FabricQueue& queue, long error) noexcept;
  void list_failed(WorkQueues& work) noexcept;
  void report_failures() noexcept;
  std::size_t spin(std::span<Completion> out, Instant until) noexcept;
  bool has_event_or_watched(WaitSet::Wakeup wakeup) noexcept;

  const Fabric& fabric_;
  ConnectionEvents& events_;
  std::uint32_t depth_;
  std::uint32_t reserved_ = 0;
  bool is_entered_ = false;
  std::unique_ptr<WaitSet> wait_set_;
  std::vector<std::unique_ptr<FabricQueue>> queues_;
  std::size_t next_queue_ = 0;  // where the next poll begins, so that no domain starves another
  std::vector<WorkQueues*> ready_;
  std::vector<WorkQueues*> failed_;
  std::vector<bool> indices_;  // of endpoints: those in use
  std::array<fi_cq_data_entry, kBatch> batch_{};
  bool was_polled_ = false;
  SteadyClock clock_;
};

}  // namespace sluice::transport::ofi
