#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "protocol/server_session.h"
#include "storage_node/backend.h"
#include "storage_node/backend_work.h"
#include "storage_node/io_memory.h"
#include "storage_node/path.h"

namespace sluice::storage_node {

class IoTask;

/// What a task asks of its volume.
class IoTaskHost {
 public:
  IoTaskHost() = default;
  IoTaskHost(const IoTaskHost&) = delete;
  IoTaskHost& operator=(const IoTaskHost&) = delete;
  virtual ~IoTaskHost() = default;

  /// A buffer for the task; empty if there is none now: then resume() follows once there is one.
  virtual IoBuffer take_buffer(IoTask& task, std::uint32_t bytes) = 0;
  virtual void resume(IoTask& task) = 0;
  /// W7. False: the task is over, and its memory may be somebody else's.
  virtual bool may_submit(IoTask& task) = 0;
  virtual void start(const BackendRequest& request) = 0;
  /// After these the task is over.
  virtual void on_bad_payload(IoTask& task) = 0;
  virtual void on_io_done(IoTask& task, const protocol::IoOutcome& outcome) = 0;
};

/// One request from its admission to its outcome.
///
///     placing --data found--> checking --CRC good--> admitted --W7--> submitted --backend--> done
///        |                       |                      |
///        +--no buffer: waits     +--bad payload         +--the session ended, or no such slot
///
/// One function a state; each says whether the next may follow at once.
class IoTask final : public BackendWork {
 public:
  enum class State : std::uint8_t { idle, placing, checking, admitted, submitted };

  /// `durable`: the session's policy asks for it, whatever the request says.
  void prepare(IoTaskHost& host, Path& path, protocol::AttemptId attempt, const protocol::IoRequest& request,
               bool durable) noexcept;
  /// Goes on as far as it can.
  void advance();

  [[nodiscard]] Path& path() const noexcept { return *path_; }
  [[nodiscard]] protocol::AttemptId attempt() const noexcept { return attempt_; }
  [[nodiscard]] std::uint32_t length() const noexcept { return request_.length; }
  [[nodiscard]] IoTaskHost& host() const noexcept { return *host_; }

  /// A read's data, for its answer.
  [[nodiscard]] IoBuffer take_data() noexcept { return std::exchange(buffer_, {}); }
  /// Back to idle; its buffer goes back, too.
  void finish() noexcept;

 private:
  friend class IoTaskList;

  [[nodiscard]] bool place();
  [[nodiscard]] bool place_capsule();
  [[nodiscard]] bool check_payload();
  [[nodiscard]] bool submit();
  void on_backend_done(StatusCode status) override;

  IoTaskHost* host_ = nullptr;
  Path* path_ = nullptr;
  protocol::AttemptId attempt_;
  protocol::IoRequest request_;
  bool durable_ = false;
  State state_ = State::idle;
  std::byte* data_ = nullptr;  ///< of a read or write: in `buffer_`, or in a slot of the path
  IoBuffer buffer_;
  IoTask* next_ = nullptr;  ///< in the list that it is in, if any
};

/// Tasks in a row. A task is in one list at most; nothing allocates.
class IoTaskList {
 public:
  [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
  [[nodiscard]] IoTask* front() const noexcept { return first_; }
  void push(IoTask& task) noexcept;
  IoTask* pop() noexcept;

 private:
  IoTask* first_ = nullptr;
  IoTask* last_ = nullptr;
};

/// The tasks of one path: as many as it may have requests (R3: they end before its slots go).
class IoTaskPool {
 public:
  explicit IoTaskPool(std::uint16_t depth);

  [[nodiscard]] IoTask& take() noexcept;
  void give_back(IoTask& task) noexcept;

 private:
  std::vector<IoTask> tasks_;
  std::vector<IoTask*> free_;
};

/// Who waits for a buffer of a reactor's memory, in the order of asking.
class BufferQueue {
 public:
  explicit BufferQueue(IoMemory& memory) : memory_(memory) {}

  /// See IoTaskHost::take_buffer.
  [[nodiscard]] IoBuffer take(IoTask& task, std::uint32_t bytes) noexcept;
  /// Lets those go on for whom there is a buffer now. To be called once a turn.
  void serve();

 private:
  IoMemory& memory_;
  IoTaskList waiting_;
  IoTask* served_ = nullptr;  ///< whose turn it is
};

}  // namespace sluice::storage_node
