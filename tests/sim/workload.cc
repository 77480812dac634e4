#include "tests/sim/workload.h"

#include <algorithm>
#include <array>
#include <functional>
#include <string>

namespace sluice::sim {

using protocol::IoOp;

namespace {

/// The caller's memory, an operation's: more than any request.
constexpr std::size_t kSlotBytes = 256UL * 1024;
/// What a caller has in memory that it doesn't use now.
constexpr std::byte kScribble{0xee};

}  // namespace

Workload::Workload(History& history, OpeningId opening, std::uint64_t seed, const WorkloadConfig& config)
    : history_(history),
      opening_(opening),
      random_(seed),
      config_(config),
      next_{config.only_asked ? INT64_MAX : 0},
      memory_(config.depth * kSlotBytes, kScribble),
      slots_(config.depth) {}

void Workload::start(VolumeId volume, std::uint64_t size_bytes, std::uint32_t block_size,
                     std::uint32_t largest_io, bool read_only) {
  volume_ = volume;
  block_size_ = block_size;
  blocks_ = size_bytes / block_size;
  largest_io_ = std::min<std::uint32_t>(largest_io, kSlotBytes);
  read_only_ = read_only;
}

std::span<std::byte> Workload::memory_of(std::size_t slot) noexcept {
  return std::span(memory_).subspan(slot * kSlotBytes, kSlotBytes);
}

bool Workload::turn(CallerPort& port, Instant now) {
  bool any = take_completions(port);
  if (!is_started()) return any;
  any = submit_asked(port) || any;
  if (is_stopped_) {
    while (next_to_read_ < blocks_ && submit_one(port))
      any = true;
    return any;
  }
  if (now < next_) return any;
  const std::uint64_t burst = random_.below(4) == 0 ? random_.below(config_.depth + 1) : 1;
  for (std::uint64_t i = 0; i < burst; ++i) {
    if (random_.chance_ppm(config_.mistake_ppm)) make_mistake(port);
    if (!submit_one(port)) break;
    any = true;
  }
  next_ = now + random_.up_to(random_.below(50) == 0 ? config_.longest_pause * 20 : config_.longest_pause);
  return any;
}

bool Workload::take_completions(CallerPort& port) {
  std::array<CallerPort::Completion, 16> taken;
  bool any = false;
  for (std::size_t count = port.take(taken); count > 0; count = port.take(taken)) {
    any = true;
    for (std::size_t i = 0; i < count; ++i)
      complete(taken[i]);
  }
  return any;
}

void Workload::complete(const CallerPort::Completion& completion) {
  if (completion.tag >= slots_.size() || !slots_[completion.tag].is_used)
    return history_.violate("exactly once", "a completion of tag " + std::to_string(completion.tag) +
                                                ", which isn't outstanding");
  Slot& slot = slots_[completion.tag];
  slot.is_used = false;
  --outstanding_;
  ++outcomes_[completion.status];
  if (slot.asked) answers_[*slot.asked] = completion.status;
  const std::span<std::byte> data = memory_of(completion.tag).first(slot.request.length);
  history_.end(
      slot.operation, completion.status,
      slot.request.op == IoOp::read ? std::span<const std::byte>(data) : std::span<const std::byte>());
  // The memory is the caller's again, who uses it at once (C3).
  scribble(completion.tag);
}

void Workload::scribble(std::size_t slot) {
  const std::uint32_t length = slots_[slot].request.length;
  if (slots_[slot].request.data != nullptr) std::ranges::fill(memory_of(slot).first(length), kScribble);
}

void Workload::on_device_write(std::span<const std::byte> written) {
  const std::less_equal<const std::byte*> not_after;
  const std::byte* const end = memory_.data() + memory_.size();
  if (!not_after(memory_.data(), written.data()) || !not_after(written.data() + written.size(), end)) return;
  const Slot& slot = slots_[static_cast<std::size_t>(written.data() - memory_.data()) / kSlotBytes];
  if (slot.is_used && slot.request.op == IoOp::read) return;
  history_.violate("C3", "a device wrote to memory that the caller has back, or uses for something else");
}

/// Nobody has written to memory that was the caller's.
void Workload::check_untouched(std::size_t slot) {
  const std::span<const std::byte> memory = memory_of(slot).first(slots_[slot].request.length);
  if (!std::ranges::all_of(memory, [](std::byte byte) { return byte == kScribble; }))
    history_.violate("C3", "the memory of a read was written to after its completion");
}

CallerPort::Request Workload::choose_request() {
  CallerPort::Request request;
  if (next_to_read_ < blocks_) {
    request.op = IoOp::read;
    const std::uint64_t count = std::min<std::uint64_t>(blocks_ - next_to_read_, 8);
    request.offset = next_to_read_ * block_size_;
    request.length = static_cast<std::uint32_t>(count) * block_size_;
    next_to_read_ += count;
    return request;
  }
  const std::uint64_t draw = random_.below(100);
  std::uint64_t below = config_.read_percent;
  request.op = IoOp::write;
  if (draw < below || read_only_) {
    request.op = IoOp::read;
  } else if (draw < (below += config_.flush_percent)) {
    request.op = IoOp::flush;
  } else if (draw < (below += config_.discard_percent)) {
    request.op = IoOp::discard;
  } else if (draw < below + config_.zeroes_percent) {
    request.op = IoOp::write_zeroes;
  }
  if (request.op == IoOp::flush) return request;
  request.fua = request.op != IoOp::read && random_.below(100) < config_.fua_percent;
  const std::uint64_t most =
      random_.below(10) == 0 ? largest_io_ / block_size_ : std::uint64_t{config_.longest_blocks};
  const std::uint64_t area =
      random_.below(4) == 0 ? blocks_ : std::min<std::uint64_t>(blocks_, config_.hot_blocks);
  const std::uint64_t first = random_.below(area);
  const std::uint64_t count = std::min(blocks_ - first, 1 + random_.below(most));
  request.offset = first * block_size_;
  request.length = static_cast<std::uint32_t>(count) * block_size_;
  const bool is_range = request.op == IoOp::discard || request.op == IoOp::write_zeroes;
  if (is_range && history_.is_range_taken(volume_, request.op, ByteCount(request.offset), request.length))
    request.op = IoOp::write;
  return request;
}

bool Workload::submit_one(CallerPort& port) {
  const auto free = std::ranges::find_if(slots_, [](const Slot& slot) { return !slot.is_used; });
  if (free == slots_.end()) return false;
  const std::uint64_t next_to_read = next_to_read_;
  const auto slot = static_cast<std::size_t>(free - slots_.begin());
  if (submit(port, slot, choose_request()) == StatusCode::ok) return true;
  next_to_read_ = next_to_read;
  return false;
}

std::size_t Workload::ask(const Wish& wish) {
  asked_.emplace_back(answers_.size(), wish);
  answers_.emplace_back();
  return answers_.size() - 1;
}

bool Workload::submit_asked(CallerPort& port) {
  bool any = false;
  while (!asked_.empty()) {
    const auto free = std::ranges::find_if(slots_, [](const Slot& slot) { return !slot.is_used; });
    if (free == slots_.end()) break;
    const auto [number, wish] = asked_.front();
    asked_.pop_front();
    CallerPort::Request request;
    request.op = wish.op;
    request.offset = wish.first * block_size_;
    request.length = static_cast<std::uint32_t>(wish.count) * block_size_;
    const StatusCode status = submit(port, static_cast<std::size_t>(free - slots_.begin()), request);
    if (status == StatusCode::ok) {
      free->asked = number;
    } else {
      answers_[number] = status;
    }
    any = true;
  }
  return any;
}

StatusCode Workload::submit(CallerPort& port, std::size_t index, CallerPort::Request request) {
  Slot& slot = slots_[index];
  check_untouched(index);
  request.tag = index;
  if (request.op == IoOp::read || request.op == IoOp::write) request.data = memory_of(index).data();
  slot.request = request;
  slot.asked.reset();
  slot.operation =
      history_.begin(opening_, volume_, request.op, request.fua, ByteCount(request.offset), request.length);
  if (request.op == IoOp::write) stamp(slot);
  slot.is_used = true;
  ++outstanding_;
  const StatusCode status = port.submit(request);
  if (status == StatusCode::ok) return status;
  slot.is_used = false;
  --outstanding_;
  history_.refuse(slot.operation, status);
  scribble(index);
  return status;
}

void Workload::stamp(const Slot& slot) {
  const std::span<std::byte> memory = memory_of(slot.request.tag);
  const std::uint64_t first = slot.request.offset / kSectorBytes;
  for (std::uint64_t i = 0; i < slot.request.length / kSectorBytes; ++i) {
    write_stamp(memory.subspan(i * kSectorBytes).first<kSectorBytes>(), volume_, first + i, opening_.value(),
                slot.operation.value());
  }
}

/// Attack 34, as far as a caller can: it is refused at once, with no effect.
void Workload::make_mistake(CallerPort& port) {
  const std::array<CallerPort::Request, 5> mistakes = {{
      {.tag = 0, .op = IoOp::read, .fua = false, .offset = 0, .length = 0, .data = memory_.data()},
      {.tag = 0,
       .op = IoOp::read,
       .fua = false,
       .offset = blocks_ * block_size_ + (64UL << 20U),
       .length = block_size_,
       .data = memory_.data()},
      {.tag = 0, .op = IoOp::write, .fua = false, .offset = 1, .length = block_size_, .data = memory_.data()},
      {.tag = 0,
       .op = IoOp::write,
       .fua = false,
       .offset = 0,
       .length = block_size_ - 1,
       .data = memory_.data()},
      {.tag = 0,
       .op = IoOp::discard,
       .fua = false,
       .offset = UINT64_MAX - block_size_ + 1,
       .length = block_size_,
       .data = nullptr},
  }};
  const CallerPort::Request& mistake = mistakes[random_.below(mistakes.size())];
  if (port.submit(mistake) == StatusCode::ok)
    history_.violate("W1", "a request that is out of bounds, empty or not aligned was taken");
}

}  // namespace sluice::sim
