#include "storage_node/io_memory.h"

#include <set>

#include <catch2/catch.hpp>

#include "storage_node/fixed_ring.h"
#include "storage_node/range_allocator.h"

namespace sluice::storage_node::test {
namespace {

constexpr std::uint32_t kMiB = 1024 * 1024;

std::unique_ptr<IoMemory> make_memory(std::uint64_t limit) {
  auto memory = IoMemory::create({ByteCount(limit), false}, nullptr);
  REQUIRE(memory);
  return std::move(*memory);
}

}  // namespace

TEST_CASE("buffers are whole, aligned for O_DIRECT, apart from each other and from staging ranges") {
  const auto memory = make_memory(16 * kMiB);
  std::vector<IoBuffer> taken;
  std::set<std::byte*> starts;
  for (IoBuffer buffer = memory->take(512); buffer; buffer = memory->take(512)) {
    CHECK(reinterpret_cast<std::uintptr_t>(buffer.data()) % 4096 == 0);
    CHECK(buffer.data() >= memory->buffers().data());
    CHECK(buffer.data() < memory->buffers().data() + memory->buffers().size());
    CHECK(starts.insert(buffer.data()).second);
    taken.push_back(std::move(buffer));
  }
  CHECK(taken.size() == 256 + 16 + 2);  // larger ones serve, too
  const auto range = memory->take_staging(ByteCount(12 * kMiB));
  REQUIRE(range);
  CHECK(range->memory().data() >= memory->buffers().data() + memory->buffers().size());
  CHECK(memory->buffers_on_loan() == taken.size());
  taken.clear();
  CHECK(memory->buffers_on_loan() == 0);
}

TEST_CASE("a buffer is the smallest free one that fits, and none is there beyond the largest") {
  const auto memory = make_memory(16 * kMiB);
  const IoBuffer first = memory->take(kMiB);
  const IoBuffer second = memory->take(70 * 1024);
  CHECK(first);
  CHECK(second);
  CHECK_FALSE(memory->has(kMiB));
  CHECK_FALSE(memory->take(65 * 1024));
  CHECK(memory->take(64 * 1024));
}

TEST_CASE("staging: the limit is kept, and what comes back is whole again") {
  const auto memory = make_memory(16 * kMiB);
  std::vector<StagingRange> ranges;
  for (int i = 0; i < 12; ++i)
    ranges.push_back(std::move(*memory->take_staging(ByteCount(kMiB))));
  const auto refused = memory->take_staging(ByteCount(kMiB));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == StatusCode::limit_reached);
  ranges.clear();
  CHECK(memory->staging_on_loan() == ByteCount(0));
  CHECK(memory->take_staging(ByteCount(12 * kMiB)));
}

TEST_CASE("R4: what is a path's slots is told from what has come back, and from buffers") {
  const auto memory = make_memory(16 * kMiB);
  auto first = memory->take_staging(ByteCount(kMiB));
  const auto second = memory->take_staging(ByteCount(kMiB));
  REQUIRE(first);
  REQUIRE(second);
  const std::span<const std::byte> was_first = first->memory();
  CHECK(memory->is_on_loan_to_paths(was_first));
  CHECK(memory->is_on_loan_to_paths({was_first.data(), was_first.size() + second->memory().size()}));
  CHECK_FALSE(memory->is_on_loan_to_paths(memory->buffers().first(1)));
  CHECK_FALSE(memory->is_on_loan_to_paths(memory->buffers().last(1)));
  first->reset();
  CHECK_FALSE(memory->is_on_loan_to_paths(was_first.first(1)));
  CHECK_FALSE(memory->is_on_loan_to_paths(was_first.last(1)));
  CHECK_FALSE(memory->is_on_loan_to_paths({was_first.data(), was_first.size() + 1}));
  CHECK(memory->is_on_loan_to_paths(second->memory()));
  CHECK_FALSE(memory->is_on_loan_to_paths({second->memory().data(), second->memory().size() + 1}));
}

TEST_CASE("too little memory is refused, and says how much is needed") {
  const auto refused = IoMemory::create({ByteCount(kMiB), false}, nullptr);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("16777216") != std::string::npos);
}

TEST_CASE("a range allocator joins what comes back with both neighbours, in any order") {
  RangeAllocator ranges(ByteCount(30));
  CHECK(*ranges.take(ByteCount(10)) == ByteCount(0));
  CHECK(*ranges.take(ByteCount(10)) == ByteCount(10));
  CHECK(*ranges.take(ByteCount(10)) == ByteCount(20));
  CHECK_FALSE(ranges.take(ByteCount(1)));
  ranges.give_back(ByteCount(20), ByteCount(10));
  ranges.give_back(ByteCount(0), ByteCount(10));
  CHECK_FALSE(ranges.take(ByteCount(20)));
  ranges.give_back(ByteCount(10), ByteCount(10));
  CHECK(ranges.taken() == ByteCount(0));
  CHECK(ranges.take(ByteCount(30)));
}

TEST_CASE("a ring gives back in order, around its end, and clears what it held") {
  FixedRing<int> ring(3);
  for (int round = 0; round < 5; ++round) {
    ring.push(round);
    ring.push(round + 10);
    CHECK(ring.pop() == round);
    CHECK(ring.front() == round + 10);
    CHECK(ring.pop() == round + 10);
  }
  ring.push(1);
  ring.push(2);
  ring.push(3);
  CHECK(ring.full());
  ring.clear();
  CHECK(ring.empty());
}

}  // namespace sluice::storage_node::test
