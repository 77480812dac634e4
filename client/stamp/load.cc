#include "client/stamp/load.h"

#include <algorithm>
#include <array>
#include <memory>
#include <random>
#include <span>

#include "client/stamp/block_stamp.h"

namespace sluice::stamp {
namespace {

using client::BlockClient;
using client::Completion;

constexpr std::size_t kShownBlocks = 10;
constexpr std::size_t kPageBytes = 4096;

/// Memory of whole pages, registered with the client for as long as it lives.
class Buffers {
 public:
  static Result<std::unique_ptr<Buffers>> make(BlockClient& client, std::uint32_t count) {
    std::unique_ptr<Buffers> buffers(new Buffers(client, count));
    if (auto registered = client.register_memory(buffers->memory_); !registered) {
      return tl::unexpected(registered.error());
    }
    buffers->is_registered_ = true;
    return buffers;
  }
  Buffers(const Buffers&) = delete;
  Buffers& operator=(const Buffers&) = delete;
  ~Buffers() {
    if (is_registered_) static_cast<void>(client_.unregister_memory(memory_));
  }

  [[nodiscard]] std::span<std::byte, kBlockBytes> at(std::uint32_t index) const {
    return memory_.subspan(std::size_t{index} * kBlockBytes).first<kBlockBytes>();
  }

 private:
  Buffers(BlockClient& client, std::uint32_t count)
      : client_(client), bytes_(std::size_t{count} * kBlockBytes + kPageBytes) {
    void* start = bytes_.data();
    std::size_t space = bytes_.size();
    std::align(kPageBytes, std::size_t{count} * kBlockBytes, start, space);
    memory_ = {static_cast<std::byte*>(start), std::size_t{count} * kBlockBytes};
  }

  BlockClient& client_;
  std::vector<std::byte> bytes_;
  std::span<std::byte> memory_;
  bool is_registered_ = false;
};

/// The operations in flight, and what they found. Operation i has buffer i, and at most one has a block.
class Run {
 public:
  Run(BlockClient& client, const Buffers& buffers, std::uint32_t depth, std::uint64_t block_count)
      : client_(client), buffers_(buffers), operations_(depth), is_busy_(block_count) {
    for (std::uint32_t i = depth; i > 0; --i)
      free_.push_back(i - 1);
    started_ = last_progress_ = clock_.now();
  }

  [[nodiscard]] bool has_room() const noexcept { return !free_.empty(); }
  [[nodiscard]] bool is_idle() const noexcept { return free_.size() == operations_.size(); }
  [[nodiscard]] bool is_busy(std::uint64_t block) const { return is_busy_[block]; }
  [[nodiscard]] Duration elapsed() const noexcept { return clock_.now() - started_; }

  Status write(Journal& journal, std::uint64_t block) {
    const std::uint64_t version = journal.of(block).sent + 1;
    const std::uint32_t index = take(block, version, true);
    write_stamp({block, version}, buffers_.at(index));
    if (auto noted = journal.note_sent(block, version); !noted) return noted;
    submitted(index, client_.submit_write(index, block * kBlockBytes, buffers_.at(index)));
    return {};
  }

  void read(std::uint64_t block) {
    const std::uint32_t index = take(block, 0, false);
    submitted(index, client_.submit_read(index, block * kBlockBytes, buffers_.at(index)));
  }

  /// Takes what has completed. `journal` learns of it; null: it is only compared.
  Status collect(const Journal& known, Journal* journal, Duration timeout) {
    std::array<Completion, 64> completions;
    const std::size_t count = client_.poll(completions, timeout);
    const Instant now = clock_.now();
    if (count > 0 || is_idle()) {
      if (!is_idle()) report_.longest_stall = std::max(report_.longest_stall, now - last_progress_);
      last_progress_ = now;
    }
    for (std::size_t i = 0; i < count; ++i) {
      if (auto noted = complete(completions[i], known, journal); !noted) return noted;
    }
    return {};
  }

  [[nodiscard]] LoadReport report() {
    report_.elapsed = elapsed();
    if (!is_idle()) report_.longest_stall = std::max(report_.longest_stall, clock_.now() - last_progress_);
    return report_;
  }

 private:
  struct Operation {
    std::uint64_t block = 0;
    std::uint64_t version = 0;
    bool is_write = false;
  };

  std::uint32_t take(std::uint64_t block, std::uint64_t version, bool is_write) {
    if (is_idle()) last_progress_ = clock_.now();
    const std::uint32_t index = free_.back();
    free_.pop_back();
    operations_[index] = {block, version, is_write};
    is_busy_[block] = true;
    return index;
  }

  void submitted(std::uint32_t index, StatusCode status) {
    if (status == StatusCode::ok) return;
    ++report_.failures[status];
    give_back(index);
  }

  void give_back(std::uint32_t index) {
    is_busy_[operations_[index].block] = false;
    free_.push_back(index);
  }

  Status complete(const Completion& completion, const Journal& known, Journal* journal) {
    const auto index = static_cast<std::uint32_t>(completion.tag);
    const Operation operation = operations_[index];
    Status noted;
    if (completion.status != StatusCode::ok) {
      ++report_.failures[completion.status];
    } else if (operation.is_write) {
      ++report_.writes;
      if (journal != nullptr) noted = journal->note_acknowledged(operation.block, operation.version);
    } else {
      ++report_.reads;
      noted = compare(operation.block, buffers_.at(index), known, journal);
    }
    give_back(index);
    return noted;
  }

  Status compare(std::uint64_t block, std::span<const std::byte, kBlockBytes> bytes, const Journal& known,
                 Journal* journal) {
    const ReadStamp found = read_stamp(block, bytes);
    const Journal::Entry& entry = known.of(block);
    const std::uint64_t version = found.stamp.version;
    if (found.damage != Damage::none) {
      note_wrong("block " + std::to_string(block) + " is damaged: " + std::string(to_string(found.damage)) +
                 " (stamp of block " + std::to_string(found.stamp.block) + ", version " +
                 std::to_string(version) + ")");
    } else if (version < entry.acknowledged) {
      note_wrong("block " + std::to_string(block) + " holds version " + std::to_string(version) +
                 ", but version " + std::to_string(entry.acknowledged) + " was acknowledged or read before");
    } else if (version > entry.sent) {
      note_wrong("block " + std::to_string(block) + " holds version " + std::to_string(version) +
                 ", but only " + std::to_string(entry.sent) + " were ever sent");
    } else if (journal != nullptr && version > entry.acknowledged) {
      // What was read once must not go back.
      return journal->note_acknowledged(block, version);
    }
    return {};
  }

  void note_wrong(std::string sentence) {
    ++report_.wrong_block_count;
    if (report_.wrong_blocks.size() < kShownBlocks) report_.wrong_blocks.push_back(std::move(sentence));
  }

  BlockClient& client_;
  const Buffers& buffers_;
  SteadyClock clock_;
  std::vector<Operation> operations_;
  std::vector<std::uint32_t> free_;
  std::vector<bool> is_busy_;
  Instant started_;
  Instant last_progress_;
  LoadReport report_;
};

bool is_over(const BlockClient& client) noexcept {
  return client.state() == client::ConnectionState::ended;
}

}  // namespace

Result<LoadReport> run_load(BlockClient& client, Journal& journal, const LoadPlan& plan,
                            const volatile bool& stop) {
  const auto buffers = Buffers::make(client, plan.depth);
  if (!buffers) return tl::unexpected(buffers.error());
  Run run(client, **buffers, plan.depth, journal.block_count());
  std::mt19937_64 random(plan.seed);  // the same seed gives the same load everywhere
  const auto is_time_up = [&] { return plan.length > Duration::zero() && run.elapsed() >= plan.length; };
  while (!stop && !is_time_up() && !is_over(client)) {
    for (std::uint32_t tries = plan.depth; tries > 0 && run.has_room(); --tries) {
      const std::uint64_t block = random() % journal.block_count();
      const bool is_read = random() % 100 < plan.read_percent;
      if (run.is_busy(block)) continue;
      if (is_read) {
        run.read(block);
      } else if (auto written = run.write(journal, block); !written) {
        return tl::unexpected(written.error());
      }
    }
    if (auto taken = run.collect(journal, &journal, std::chrono::milliseconds(100)); !taken) {
      return tl::unexpected(taken.error());
    }
  }
  const Instant give_up_at = SteadyClock().now() + std::chrono::seconds(30);
  while (!run.is_idle() && SteadyClock().now() < give_up_at) {
    if (auto taken = run.collect(journal, &journal, std::chrono::milliseconds(100)); !taken) {
      return tl::unexpected(taken.error());
    }
  }
  return run.report();
}

Result<LoadReport> check_all(BlockClient& client, const Journal& journal, std::uint32_t depth) {
  const auto buffers = Buffers::make(client, depth);
  if (!buffers) return tl::unexpected(buffers.error());
  Run run(client, **buffers, depth, journal.block_count());
  std::uint64_t next = 0;
  while (!is_over(client) && (next < journal.block_count() || !run.is_idle())) {
    while (run.has_room() && next < journal.block_count())
      run.read(next++);
    if (auto taken = run.collect(journal, nullptr, std::chrono::milliseconds(100)); !taken) {
      return tl::unexpected(taken.error());
    }
  }
  return run.report();
}

}  // namespace sluice::stamp
