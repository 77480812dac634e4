#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "client/block_client.h"
#include "client/cli/latency.h"
#include "client/cli/progress.h"
#include "client/cli/transfer.h"

namespace sluice::cli {

enum class BenchPattern : std::uint8_t { randread, randwrite, read, write, mixed };

struct BenchPlan {
  BenchPattern pattern = BenchPattern::randread;
  std::uint64_t block_bytes = 4096;  ///< of one request; a multiple of the volume's block size
  std::uint64_t depth = 1;           ///< requests under way
  Duration time = std::chrono::seconds(10);
  std::optional<std::uint64_t> operations;  ///< ends the run instead of the time
  std::uint64_t span_bytes = 0;             ///< of the volume, from its start
  std::uint32_t read_percent = 70;          ///< mixed
  bool verify = false;
  std::uint64_t seed = 1;
};

struct BenchTotals {
  LatencyHistogram latency;
  std::uint64_t errors = 0;
  StatusCode first_error = StatusCode::ok;
};

struct BenchResult {
  BenchTotals reads;
  BenchTotals writes;
  Duration took{};
  std::uint64_t verified = 0;    ///< reads whose content was compared
  std::uint64_t mismatches = 0;  ///< of those
};

/// One run of requests against a volume. With `verify` each write carries a stamp of its place and its
/// number, each read of a place that this run has written is compared, and at the end all such places are.
class BenchRun {
 public:
  BenchRun(client::BlockClient& client, RegisteredBuffers& buffers, const BenchPlan& plan);

  /// Errors: cancelled. Requests that fail are counted in the result.
  Result<BenchResult> run();

 private:
  struct Request {
    bool is_read = false;
    std::uint64_t slot = 0;        ///< which block_bytes of the volume
    std::uint64_t generation = 0;  ///< what was written, or is expected; 0: unknown
    Instant start;
  };

  [[nodiscard]] bool is_over(Instant now) const;
  Status submit(std::size_t index);
  void complete(const client::Completion& completion);
  void reap(bool is_measured);
  Status read_back();
  Status submit_read_back(std::size_t index, std::uint64_t slot);
  [[nodiscard]] bool chooses_read();
  [[nodiscard]] std::uint64_t choose_slot();

  client::BlockClient& client_;
  RegisteredBuffers& buffers_;
  BenchPlan plan_;
  std::uint64_t slots_;
  std::mt19937_64 random_;
  std::vector<Request> requests_;
  std::vector<std::size_t> idle_;
  std::vector<std::uint64_t> generations_;  ///< of each slot; empty unless verifying
  std::uint64_t next_slot_ = 0;             ///< sequential patterns
  std::uint64_t submitted_ = 0;
  SteadyClock clock_;
  Instant end_;
  BenchResult result_;
};

/// Fills `data` with what stands for generation `generation` of the bytes at `offset`.
void stamp(std::span<std::byte> data, std::uint64_t offset, std::uint64_t generation) noexcept;
[[nodiscard]] bool has_stamp(std::span<const std::byte> data, std::uint64_t offset,
                             std::uint64_t generation) noexcept;

}  // namespace sluice::cli
