#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "protocol/base/clock.h"
#include "tests/sim/history.h"
#include "transport/sim/random.h"

namespace sluice::sim {

/// A volume as its caller sees it, whatever is behind.
class CallerPort {
 public:
  struct Request {
    std::uint64_t tag = 0;
    protocol::IoOp op = protocol::IoOp::flush;
    bool fua = false;
    std::uint64_t offset = 0;  ///< bytes
    std::uint32_t length = 0;  ///< bytes
    std::byte* data = nullptr;
  };
  struct Completion {
    std::uint64_t tag = 0;
    StatusCode status = StatusCode::ok;
  };

  CallerPort() = default;
  CallerPort(const CallerPort&) = delete;
  CallerPort& operator=(const CallerPort&) = delete;
  virtual ~CallerPort() = default;

  virtual StatusCode submit(const Request& request) = 0;
  virtual std::size_t take(std::span<Completion> out) = 0;
};

struct WorkloadConfig {
  std::uint32_t depth = 8;           ///< operations under way at most
  std::uint32_t longest_blocks = 4;  ///< mostly; now and then more
  std::uint32_t hot_blocks = 8;      ///< most operations are among so many, so that they overlap
  std::uint32_t read_percent = 40;
  std::uint32_t flush_percent = 5;
  std::uint32_t discard_percent = 3;
  std::uint32_t zeroes_percent = 4;
  std::uint32_t fua_percent = 10;
  std::uint32_t mistake_ppm = 5'000;  ///< requests that have to be refused
  Duration longest_pause = std::chrono::microseconds(500);
  bool only_asked = false;  ///< nothing but what Workload::ask() asks for
};

/// One operation, in blocks.
struct Wish {
  protocol::IoOp op = protocol::IoOp::flush;
  std::uint64_t first = 0;
  std::uint64_t count = 0;
};

/// A caller that does all that a caller may do to a volume, checks what it is told, and reuses its memory the
/// moment that it may.
class Workload {
 public:
  Workload(History& history, OpeningId opening, std::uint64_t seed, const WorkloadConfig& config);

  /// The volume can be used: from here on operations are submitted.
  void start(VolumeId volume, std::uint64_t size_bytes, std::uint32_t block_size, std::uint32_t largest_io,
             bool read_only);
  /// Completions, and new operations when it is time for some. True if there was anything.
  bool turn(CallerPort& port, Instant now);
  /// Has it submit this next, stopped or not. The number for answer().
  std::size_t ask(const Wish& wish);
  /// What came of it; nothing yet if it isn't over.
  [[nodiscard]] std::optional<StatusCode> answer(std::size_t number) const { return answers_.at(number); }
  /// Nothing more is submitted.
  void stop() noexcept { is_stopped_ = true; }
  /// Reads the whole volume once, after stop().
  void read_all() noexcept { next_to_read_ = 0; }
  [[nodiscard]] bool has_read_all() const noexcept { return next_to_read_ >= blocks_; }

  [[nodiscard]] bool is_started() const noexcept { return blocks_ > 0; }
  [[nodiscard]] std::size_t outstanding() const noexcept { return outstanding_; }
  [[nodiscard]] Instant next_submission() const noexcept { return is_stopped_ ? Instant{INT64_MAX} : next_; }
  /// C3: a device has written there. If it is the caller's memory, a read that isn't over has it now.
  void on_device_write(std::span<const std::byte> written);
  /// The caller's memory: register it, or don't.
  [[nodiscard]] std::span<std::byte> memory() noexcept { return memory_; }
  /// Operations that ended, by status.
  [[nodiscard]] const std::map<StatusCode, std::uint64_t>& outcomes() const noexcept { return outcomes_; }

 private:
  struct Slot {
    OperationId operation;
    CallerPort::Request request;
    std::optional<std::size_t> asked;  ///< the number of what it was asked for
    bool is_used = false;
  };

  [[nodiscard]] std::span<std::byte> memory_of(std::size_t slot) noexcept;
  bool take_completions(CallerPort& port);
  void complete(const CallerPort::Completion& completion);
  bool submit_one(CallerPort& port);
  bool submit_asked(CallerPort& port);
  void make_mistake(CallerPort& port);
  [[nodiscard]] CallerPort::Request choose_request();
  StatusCode submit(CallerPort& port, std::size_t slot, CallerPort::Request request);
  void stamp(const Slot& slot);
  void scribble(std::size_t slot);
  void check_untouched(std::size_t slot);

  History& history_;
  OpeningId opening_;
  transport::sim::Random random_;
  WorkloadConfig config_;
  VolumeId volume_;
  std::uint64_t blocks_ = 0;
  std::uint32_t block_size_ = 0;
  std::uint32_t largest_io_ = 0;
  bool read_only_ = false;
  bool is_stopped_ = false;
  std::uint64_t next_to_read_ = UINT64_MAX;
  std::size_t outstanding_ = 0;
  Instant next_;
  std::vector<std::byte> memory_;
  std::vector<Slot> slots_;
  std::deque<std::pair<std::size_t, Wish>> asked_;  ///< and not submitted yet
  std::vector<std::optional<StatusCode>> answers_;  ///< to what was asked for
  std::map<StatusCode, std::uint64_t> outcomes_;
};

}  // namespace sluice::sim
