#pragma once

#include <array>
#include <memory>
#include <vector>

#include "transport/provider.h"
#include "transport/verbs/handles.h"
#include "transport/verbs/provider_state.h"

namespace sluice::transport::verbs {

/// A queue pair's side of its completion queue.
class CompletionSink {
 public:
  CompletionSink() = default;
  CompletionSink(const CompletionSink&) = delete;
  CompletionSink& operator=(const CompletionSink&) = delete;
  virtual ~CompletionSink() = default;

  /// Accounts for a work completion. True: `out` is for the user. False: it was ours alone (a drain marker).
  virtual bool on_work_completion(const ibv_wc& completion, Completion& out) noexcept = 0;
  /// All that was queued before announce_last() has been taken by the user.
  virtual void on_last_completion_taken() noexcept = 0;
};

/// One ibv_cq with its completion channel, and the way it is waited on.
class VerbsCompletionQueue final : public CompletionQueue {
 public:
  static Result<std::unique_ptr<VerbsCompletionQueue>> create(ProviderState& state, std::uint32_t depth);
  ~VerbsCompletionQueue() override;

  std::size_t poll(std::span<Completion> out) noexcept override;
  std::size_t wait(std::span<Completion> out, Duration timeout) noexcept override;
  Status watch(int fd) override;
  void unwatch(int fd) noexcept override;
  [[nodiscard]] int wait_fd() const noexcept override { return epoll_fd_; }
  bool arm() noexcept override;

  [[nodiscard]] ibv_cq* handle() const noexcept { return queue_.get(); }

  /// Reserves `entries` for a new queue pair and gives it an index. Errors: limit_reached.
  Result<std::uint16_t> attach(CompletionSink& sink, std::uint32_t entries);
  /// Names the queue pair, once it exists: nothing of another one is taken for its completion.
  void name_queue_pair(std::uint16_t index, std::uint32_t number) noexcept {
    sinks_[index].queue_pair = number;
  }
  /// After the queue pair was destroyed: forgets it and everything of it that is still queued here.
  void detach(std::uint16_t index, std::uint32_t entries) noexcept;
  /// Takes the device's entries into the software queue. After a queue pair was destroyed no more of it
  /// follow.
  void pull_all() noexcept;
  /// Queues a completion that the device will not deliver.
  void push_synthetic(const Completion& completion) noexcept;
  /// Nothing more will come for this index: its sink is told when the user has taken what came before.
  void announce_last(std::uint16_t index) noexcept { finished_.push_back(index); }

 private:
  VerbsCompletionQueue(ProviderState& state, std::uint32_t depth, int epoll_fd) noexcept;

  void tell_finished() noexcept;
  std::size_t take_queued(std::span<Completion> out) noexcept;
  std::size_t take_from_device(std::span<Completion> out) noexcept;
  [[nodiscard]] bool something_queued() const noexcept;
  void consume_notifications() noexcept;
  /// Sleeps on the epoll set. True: a connection event or a watched descriptor is ready.
  bool sleep(Duration timeout) noexcept;

  ProviderState& state_;
  CompletionChannelHandle channel_;
  CompletionQueueHandle queue_;
  int epoll_fd_ = -1;
  std::uint32_t depth_;
  std::uint32_t reserved_ = 0;

  struct Attached {
    CompletionSink* sink = nullptr;  ///< null: the place is free
    std::uint32_t queue_pair = 0;
  };

  std::vector<Attached> sinks_;  ///< by index
  /// A ring of completions taken from the device but not by the user yet; as large as the device's queue.
  std::vector<Completion> queued_;
  std::size_t queued_head_ = 0;
  std::size_t queued_size_ = 0;
  std::vector<std::uint16_t> finished_;  ///< drained endpoints that haven't been told yet

  bool armed_ = false;
  unsigned unacknowledged_notifications_ = 0;
};

}  // namespace sluice::transport::verbs
