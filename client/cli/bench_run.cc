#include "client/cli/bench_run.h"

#include <array>
#include <cstring>

#include "client/cli/interrupt.h"

namespace sluice::cli {
namespace {

/// splitmix64's finaliser: neighbours share nothing.
std::uint64_t mix(std::uint64_t value) noexcept {
  value = (value ^ (value >> 30U)) * 0xbf58'476d'1ce4'e5b9;
  value = (value ^ (value >> 27U)) * 0x94d0'49bb'1331'11eb;
  return value ^ (value >> 31U);
}

std::uint64_t stamp_word(std::uint64_t offset, std::uint64_t generation) noexcept {
  return mix(mix(offset) + generation);
}

}  // namespace

void stamp(std::span<std::byte> data, std::uint64_t offset, std::uint64_t generation) noexcept {
  for (std::size_t i = 0; i + sizeof(std::uint64_t) <= data.size(); i += sizeof(std::uint64_t)) {
    const std::uint64_t word = stamp_word(offset + i, generation);
    std::memcpy(data.data() + i, &word, sizeof word);
  }
}

bool has_stamp(std::span<const std::byte> data, std::uint64_t offset, std::uint64_t generation) noexcept {
  for (std::size_t i = 0; i + sizeof(std::uint64_t) <= data.size(); i += sizeof(std::uint64_t)) {
    std::uint64_t word = 0;
    std::memcpy(&word, data.data() + i, sizeof word);
    if (word != stamp_word(offset + i, generation)) return false;
  }
  return true;
}

BenchRun::BenchRun(client::BlockClient& client, RegisteredBuffers& buffers, const BenchPlan& plan)
    : client_(client),
      buffers_(buffers),
      plan_(plan),
      slots_(plan.span_bytes / plan.block_bytes),
      random_(plan.seed),
      requests_(buffers.count()) {
  if (plan_.verify) generations_.resize(slots_);
  for (std::size_t i = 0; i < buffers_.count(); ++i) {
    idle_.push_back(i);
    stamp(buffers_.at(i), i * buffers_.bytes(), plan_.seed);
  }
}

Result<BenchResult> BenchRun::run() {
  const Instant start = clock_.now();
  end_ = start + plan_.time;
  Status outcome;
  while (outcome && !is_over(clock_.now())) {
    while (outcome && !idle_.empty() && !(plan_.operations && submitted_ >= *plan_.operations))
      outcome = submit(idle_.back());
    reap(true);
    if (outcome) outcome = InterruptGuard::check();
  }
  while (client_.outstanding() > 0)
    reap(true);
  result_.took = clock_.now() - start;
  if (outcome && plan_.verify) outcome = read_back();
  while (client_.outstanding() > 0)
    reap(false);
  if (!outcome) return tl::unexpected(outcome.error());
  return result_;
}

bool BenchRun::is_over(Instant now) const {
  if (plan_.operations) return submitted_ >= *plan_.operations;
  return now >= end_;
}

bool BenchRun::chooses_read() {
  switch (plan_.pattern) {
    case BenchPattern::randread:
    case BenchPattern::read:
      return true;
    case BenchPattern::randwrite:
    case BenchPattern::write:
      return false;
    case BenchPattern::mixed:
      return random_() % 100 < plan_.read_percent;
  }
  return true;
}

std::uint64_t BenchRun::choose_slot() {
  if (plan_.pattern == BenchPattern::read || plan_.pattern == BenchPattern::write) {
    return next_slot_++ % slots_;
  }
  return random_() % slots_;
}

Status BenchRun::submit(std::size_t index) {
  Request& request = requests_[index];
  request.is_read = chooses_read();
  request.slot = choose_slot();
  request.generation = 0;
  const std::uint64_t offset = request.slot * plan_.block_bytes;
  const std::span<std::byte> buffer = buffers_.at(index).first(plan_.block_bytes);
  ++submitted_;
  if (plan_.verify) {
    // Overlapping requests take effect in the order of submission: a read is to find the last write before
    // it.
    std::uint64_t& generation = generations_[request.slot];
    if (!request.is_read) {
      generation = submitted_;
      stamp(buffer, offset, generation);
    }
    request.generation = generation;
  }
  request.start = clock_.now();
  const StatusCode taken = request.is_read ? client_.submit_read(index, offset, buffer)
                                           : client_.submit_write(index, offset, buffer);
  if (taken != StatusCode::ok) return refused_request(client_, taken);
  idle_.pop_back();
  return {};
}

void BenchRun::reap(bool is_measured) {
  std::array<client::Completion, 64> completions;
  const Duration left = is_measured && !plan_.operations
                            ? std::clamp(end_ - clock_.now(), Duration(std::chrono::milliseconds(1)),
                                         Duration(std::chrono::milliseconds(500)))
                            : Duration(std::chrono::milliseconds(500));
  const std::size_t count = client_.poll(completions, left);
  for (const client::Completion& completion : std::span(completions).first(count)) {
    const Request& request = requests_[completion.tag];
    BenchTotals& totals = request.is_read ? result_.reads : result_.writes;
    if (is_measured && completion.status == StatusCode::ok) totals.latency.add(clock_.now() - request.start);
    complete(completion);
  }
}

void BenchRun::complete(const client::Completion& completion) {
  const Request& request = requests_[completion.tag];
  idle_.push_back(completion.tag);
  if (completion.status != StatusCode::ok) {
    BenchTotals& totals = request.is_read ? result_.reads : result_.writes;
    if (totals.errors++ == 0) totals.first_error = completion.status;
    // What the place holds now, nobody knows.
    if (plan_.verify && !request.is_read) generations_[request.slot] = 0;
    return;
  }
  if (!request.is_read || request.generation == 0) return;
  ++result_.verified;
  const std::span<std::byte> data = buffers_.at(completion.tag).first(plan_.block_bytes);
  if (!has_stamp(data, request.slot * plan_.block_bytes, request.generation)) ++result_.mismatches;
}

Status BenchRun::read_back() {
  Progress progress("verify");
  Status outcome;
  for (std::uint64_t slot = 0; slot < slots_ && outcome; ++slot) {
    if (generations_[slot] == 0) continue;
    while (idle_.empty())
      reap(false);
    outcome = submit_read_back(idle_.back(), slot);
    progress.update(ByteCount(slot * plan_.block_bytes), ByteCount(plan_.span_bytes));
    if (outcome) outcome = InterruptGuard::check();
  }
  return outcome;
}

Status BenchRun::submit_read_back(std::size_t index, std::uint64_t slot) {
  requests_[index] = {.is_read = true, .slot = slot, .generation = generations_[slot], .start = clock_.now()};
  const StatusCode taken =
      client_.submit_read(index, slot * plan_.block_bytes, buffers_.at(index).first(plan_.block_bytes));
  if (taken != StatusCode::ok) return refused_request(client_, taken);
  idle_.pop_back();
  return {};
}

}  // namespace sluice::cli
